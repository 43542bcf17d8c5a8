"""Add the A/A twin: one variant a second time, under another name.

Whatever gap is measured between the two comes from noise alone, so it is the smallest difference to
believe in that run. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collect.errors import DataError, shown
from collect.variants import check_id, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.model import Variant

TWIN = "bench_twin"
_SUFFIX = "-twin"
_WORDS = {"true": True, "yes": True, "false": False, "no": False, "": False, "null": False}
"""`-e bench_twin=true` hands over text."""


def add_twin(variants: Sequence[Variant], twin: object) -> tuple[Variant, ...]:
    """Return the variants, with the twin of one of them at the end.

    At the end and not beside its original: with `bench_order: sequential` the two would otherwise
    lie closer in time than any other pair, and flatter that order.

    Args:
        variants: what `expand_variants` returned.
        twin: true for the first variant, the id of another one, or false (null) for no twin.

    Raises:
        DataError: there is no such variant, or the twin's id is taken.
    """
    wanted = plain(twin)
    if isinstance(wanted, str):
        wanted = _WORDS.get(wanted.lower(), wanted)
    if wanted is None or wanted is False or not variants:
        return tuple(variants)
    ids = [variant.id for variant in variants]
    found = variants[0] if wanted is True else None
    if isinstance(wanted, str) and wanted in ids:
        found = variants[ids.index(wanted)]
    if found is None:
        raise DataError(f"{TWIN}: got {shown(wanted)}; accepted: true, false, {', '.join(ids)}")
    name = f"{found.id}{_SUFFIX}"
    if name in ids:
        raise DataError(f"{TWIN}: the twin of {found.id} would be {name}, which is another variant")
    check_id(name, TWIN)
    copy = replace(
        found,
        id=name,
        unit=f"serverbench-{name}.service",
        socket_unit=None if found.socket_unit is None else f"serverbench-{name}.socket",
        proxy_unit=None if found.proxy_unit is None else f"serverbench-{name}-proxy.service",
        twin_of=found.id,
    )
    return (*variants, copy)
