"""Add the rungs of the ladder to a plan: what a request passes through, from the server up.

Pure. A variant with the ladder has units of its own, so that none that serves is rewritten; its
entry point is `serverbench_ladder` (roles/ladder), which hands all but the rungs' own paths to
the project.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from collect.errors import DataError, shown
from collect.variants import check_id, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.model import Variant

LADDER = "bench_ladder"
RUNGS = ("bare", "view", "middleware", "django-ninja", "database")
"""The known rungs from the server up. Others may follow, in the order of their endpoints."""

_SUFFIX = "-ladder"
_WORDS = {"true": True, "yes": True, "false": False, "no": False, "": False, "null": False}
"""`-e ladder=true` hands over text."""
_ANSWER = {"status": 200, "json_exact": {"status": "ok"}}
_OWN = [
    {
        "name": f"ladder-{rung}",
        "path": f"/_serverbench/{rung}/",
        "rung": rung,
        "expect": _ANSWER,
    }
    for rung in RUNGS[:3]
]


def is_wanted(data: object) -> bool:
    """Read the variable; `DataError` for what is neither true nor false."""
    value = plain(data)
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise DataError(f"{LADDER}: got {shown(value)}; accepted: true, false")


def add_rungs(
    endpoints: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the endpoints with every rung below them, from the server up.

    Args:
        endpoints: those that were asked for.
        known: all that there are; of these come the project's own rungs below.

    Raises:
        DataError: nothing that was asked for is a rung, or two are the same one.
    """
    ranks = {_rung(item): _rank(item, known) for item in known if _rung(item)}
    asked = [_rung(item) for item in endpoints if _rung(item)]
    if not asked:
        raise DataError(
            f"{LADDER}: none of the endpoints is a rung; accepted: `rung: <name>` with at least "
            "one of bench_endpoints in app_endpoints, such as rung: database"
        )
    for index, rung in enumerate(asked):
        if rung in asked[:index] or rung in RUNGS[: len(_OWN)]:
            raise DataError(
                f"app_endpoints: rung {rung!r} stands with two endpoints; accepted: each of "
                "bench_endpoints another rung, and none of " + ", ".join(RUNGS[: len(_OWN)])
            )
    highest = max(ranks[rung] for rung in asked)
    below: dict[object, Mapping[str, Any]] = {}
    for item in known:
        rung = _rung(item)
        if rung and rung not in asked and ranks[rung] < highest:
            below.setdefault(rung, item)
    rungs = [*below.values(), *(item for item in endpoints if _rung(item))]
    rungs.sort(key=lambda item: ranks[_rung(item)])
    others = [item for item in endpoints if not _rung(item)]
    return [*_OWN, *rungs, *others]


def add_ladder(
    variants: Sequence[Variant], applications: Mapping[str, object]
) -> tuple[Variant, ...]:
    """Return the variants with the ladder before their application.

    Args:
        variants: what `expand_variants` returned.
        applications: by interface, the project's entry point (`app_wsgi`, `app_asgi`).

    Raises:
        DataError: an interface has no entry point.
    """
    return tuple(_with_ladder(variant, applications) for variant in variants)


def _with_ladder(variant: Variant, applications: Mapping[str, object]) -> Variant:
    own = variant.knobs.get("application") or plain(applications.get(variant.interface))
    if not isinstance(own, str) or not own:
        raise DataError(
            f"app_{variant.interface}: got {shown(own)}; accepted: an entry point such as "
            "config.wsgi:application"
        )
    name = f"{variant.id}{_SUFFIX}"
    check_id(name, "bench_ladder")
    environment = {**variant.knobs.get("environment", {}), "SERVERBENCH_APPLICATION": own}
    return replace(
        variant,
        id=name,
        unit=f"serverbench-{name}.service",
        socket_unit=None if variant.socket_unit is None else f"serverbench-{name}.socket",
        proxy_unit=None if variant.proxy_unit is None else f"serverbench-{name}-proxy.service",
        knobs={
            **variant.knobs,
            "application": f"serverbench_ladder.{variant.interface}:application",
            "environment": environment,
        },
    )


def _rung(endpoint: Mapping[str, Any]) -> str | None:
    rung = endpoint.get("rung")
    return rung if isinstance(rung, str) else None


def _rank(endpoint: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> int:
    rung = _rung(endpoint)
    if rung in RUNGS:
        return RUNGS.index(rung)
    return len(RUNGS) + [_rung(item) for item in known].index(rung)
