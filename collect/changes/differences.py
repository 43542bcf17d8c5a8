"""What must be the same in two runs, and is not: the host, its packages, the load, the settings.

What a run did not record is unknown; an unknown differs from nothing, and is named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from collect.decode import encode
from collect.errors import DataError
from collect.lang import N_, _
from collect.store import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collect.changes.pairing import HostPair
    from collect.model import Endpoint, Plan, Variant
    from collect.store import HostRun

MEMORY_TOLERANCE = 0.01
"""What a kernel keeps for itself, and so what it says the host has, varies from boot to boot."""

_FACTS = {
    "os": N_("operating system"),
    "kernel": N_("kernel"),
    "architecture": N_("architecture"),
    "virtualisation": N_("virtualisation"),
    "cpu_model": N_("CPU model"),
    "cores": N_("cores"),
    "python": "Python",
}
_GROUPS = {"versions": N_("version of {name}"), "packages": N_("package {name}")}
_GROUP_NAMES = {"versions": N_("versions"), "packages": N_("packages")}
_ONE = N_("one value")
_ANOTHER = N_("another value (neither is shown: it may be a secret)")
_NOT_SET = N_("not set")
_NOT_INSTALLED = N_("not installed")

_File = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same in both runs."""

    host: str
    what: str
    a: str
    b: str

    def __str__(self) -> str:
        """Write it on one line."""
        return _("{host}: {what}: {a} in A, {b} in B").format(
            host=self.host, what=self.what, a=self.a, b=self.b
        )


def find_differences(pair: HostPair) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Return what differs between the two hosts and plans, and what of it nobody knows.

    Only what was paired is looked at: a variant or endpoint that one run lacks is no difference.

    Raises:
        DataError: a `host.json` cannot be read.
    """
    a, b = _read_facts(pair.a), _read_facts(pair.b)
    unknown: list[str] = []
    found = chain(
        _fact_differences(a, b, unknown),
        _memory_differences(a, b, unknown),
        *(_group_differences(a, b, group, unknown) for group in _GROUPS),
        _plan_differences(pair.a.plan, pair.b.plan),
        *(
            _variant_differences(pair.a.plan.variant(name), pair.b.plan.variant(name))
            for name in pair.variants
        ),
        *(
            _endpoint_differences(pair.a.plan.endpoint(name), pair.b.plan.endpoint(name))
            for name in pair.endpoints
        ),
    )
    # Only now do the generators run, and `unknown` fills.
    differences = tuple(Difference(pair.name, what, one, other) for what, one, other in found)
    return differences, tuple(unknown)


def _read_facts(host: HostRun) -> list[_File]:
    """Return `host.json` and each `host.N.json` of a run that found the host changed."""
    files = []
    for name in (HOST, *host.changed_facts):
        path = host.folder / name
        if not path.exists():
            continue
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: not JSON ({error}); was the copy cut off?") from error
        if not isinstance(data, dict):
            raise DataError(f"{path}: holds {type(data).__name__}; accepted: a mapping")
        files.append(data)
    return files


def _fact_differences(
    a: list[_File], b: list[_File], unknown: list[str]
) -> Iterator[tuple[str, str, str]]:
    for key, name in _FACTS.items():
        yield from _values_differ(
            _(name), [file.get(key) for file in a], [file.get(key) for file in b], unknown
        )


def _memory_differences(
    a: list[_File], b: list[_File], unknown: list[str]
) -> Iterator[tuple[str, str, str]]:
    sizes_a, sizes_b = ([size for file in files if (size := _memory(file))] for files in (a, b))
    if not sizes_a or not sizes_b:
        unknown.append(_who(_("memory"), known_a=bool(sizes_a), known_b=bool(sizes_b)))
        return
    every = [*sizes_a, *sizes_b]
    if max(every) > min(every) * (1 + MEMORY_TOLERANCE):
        in_a, in_b = (
            _join([f"{size / 2**20:,.0f} MiB" for size in sizes]) for sizes in (sizes_a, sizes_b)
        )
        yield _("memory"), in_a, in_b


def _memory(file: _File) -> int | None:
    """Return what processes may use, in bytes."""
    sizes = [file.get("memory_total_bytes"), file.get("memory_limit_bytes")]
    known = [x for x in sizes if isinstance(x, int) and not isinstance(x, bool) and x > 0]
    return min(known, default=None)


def _group_differences(
    a: list[_File], b: list[_File], group: str, unknown: list[str]
) -> Iterator[tuple[str, str, str]]:
    in_a, in_b = (
        [x for file in files if isinstance(x := file.get(group), dict)] for files in (a, b)
    )
    if not in_a or not in_b:
        unknown.append(_who(_(_GROUP_NAMES[group]), known_a=bool(in_a), known_b=bool(in_b)))
        return
    # The list of packages is whole: what is not in it is not there. Tools are looked up by name.
    absent = _(_NOT_INSTALLED) if group == "packages" else None
    for name in sorted({*chain(*in_a), *chain(*in_b)}):
        yield from _values_differ(
            _(_GROUPS[group]).format(name=name),
            [file.get(name, absent) for file in in_a],
            [file.get(name, absent) for file in in_b],
            # A tool that neither run found is nobody's concern.
            unknown if absent or any(file.get(name) for file in (*in_a, *in_b)) else [],
        )


def _plan_differences(a: Plan, b: Plan) -> Iterator[tuple[str, str, str]]:
    if a.order != b.order:
        yield _("order"), a.order, b.order
    yield from _mappings_differ(_("load"), encode(a.load), encode(b.load))


def _variant_differences(a: Variant, b: Variant) -> Iterator[tuple[str, str, str]]:
    yield from _mappings_differ(
        a.id,
        {name: getattr(a, name) for name in ("server", "interface", "proxy", "workers")},
        {name: getattr(b, name) for name in ("server", "interface", "proxy", "workers")},
    )
    for name in sorted(({*a.knobs, *b.knobs}) - {"workers"}):
        if name == "environment":
            sides = (_as_mapping(variant.knobs.get(name)) for variant in (a, b))
            yield from _secrets_differ(f"{a.id} {name}", *sides)
            continue
        if _effective(a, name) != _effective(b, name):
            in_a, in_b = (
                "n/a" if name in variant.not_honoured else _show(variant.knobs.get(name))
                for variant in (a, b)
            )
            yield f"{a.id} {name}", in_a, in_b


def _effective(variant: Variant, knob: str) -> object:
    # Not set, and set but not honoured, both leave the server's own default.
    return None if knob in variant.not_honoured else variant.knobs.get(knob)


def _endpoint_differences(a: Endpoint, b: Endpoint) -> Iterator[tuple[str, str, str]]:
    name = _("endpoint {name}").format(name=a.name)
    fields = ("method", "path", "body")
    yield from _mappings_differ(
        name, {x: getattr(a, x) for x in fields}, {x: getattr(b, x) for x in fields}
    )
    yield from _mappings_differ(f"{name} expect", encode(a.expect), encode(b.expect))
    yield from _secrets_differ(f"{name} header", a.headers, b.headers)


def _values_differ(
    what: str, a: list[object], b: list[object], unknown: list[str]
) -> Iterator[tuple[str, str, str]]:
    """Compare what the files of either run say, those that say nothing left out."""
    in_a, in_b = ([_show(x) for x in values if x is not None] for values in (a, b))
    if not in_a or not in_b:
        unknown.append(_who(what, known_a=bool(in_a), known_b=bool(in_b)))
    elif set(in_a) != set(in_b):
        yield what, _join(in_a), _join(in_b)


def _mappings_differ(
    what: str, a: Mapping[str, object], b: Mapping[str, object]
) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield f"{what} {name}", _show(a.get(name)), _show(b.get(name))


def _secrets_differ(
    what: str, a: Mapping[str, object], b: Mapping[str, object]
) -> Iterator[tuple[str, str, str]]:
    for name in sorted({*a, *b}):
        if a.get(name) == b.get(name):
            continue
        if name in a and name in b:
            yield f"{what} {name}", _(_ONE), _(_ANOTHER)
        else:
            in_a, in_b = (_("set") if name in side else _(_NOT_SET) for side in (a, b))
            yield f"{what} {name}", in_a, in_b


def _as_mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _show(value: object) -> str:
    if value is None:
        return _(_NOT_SET)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _join(values: list[str]) -> str:
    return _(", then ").join(dict.fromkeys(values))


def _who(what: str, *, known_a: bool, known_b: bool) -> str:
    if not known_a and not known_b:
        return _("{what} (in A and B)").format(what=what)
    return _("{what} (in {run})").format(what=what, run="B" if known_a else "A")
