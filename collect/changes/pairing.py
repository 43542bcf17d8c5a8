"""Pair what two runs have in common: hosts, then variants and endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collect.store import HostRun, Run


@dataclass(frozen=True, slots=True)
class HostPair:
    """One host in run A, and the one in run B that it is compared with."""

    a: HostRun
    b: HostRun
    variants: tuple[str, ...]
    """Ids that both have, in the order of A; twins left out: they stand for noise, not a server."""
    endpoints: tuple[str, ...]
    notes: tuple[str, ...]
    """What was left out, and why; whole sentences."""

    @property
    def name(self) -> str:
        """The host's name; both where they differ."""
        return self.a.name if self.a.name == self.b.name else f"{self.a.name} -> {self.b.name}"


def pair_hosts(a: Run, b: Run) -> tuple[tuple[HostPair, ...], tuple[str, ...]]:
    """Return the pairs of hosts, and notes on those that have no partner.

    Hosts are paired by name; two runs with one host each are paired whatever its name.

    Raises:
        DataError: no host, or no variant and endpoint on a host, is in both runs.
    """
    names_a, names_b = ({host.name: host for host in run.hosts} for run in (a, b))
    notes: list[str] = []
    if len(names_a) == len(names_b) == 1:
        pairs = [(a.hosts[0], b.hosts[0])]
        if a.hosts[0].name != b.hosts[0].name:
            notes.append(
                f"The only host of A, {a.hosts[0].name}, is compared with the only host of B, "
                f"{b.hosts[0].name}, though their names differ."
            )
    else:
        pairs = [(host, names_b[name]) for name, host in names_a.items() if name in names_b]
        notes += _alone("host", list(names_a), list(names_b))
    if not pairs:
        raise DataError(
            f"nothing to pair: no host is in both runs; {a.run_id} has {_list(names_a)}, "
            f"{b.run_id} has {_list(names_b)}"
        )
    found = [_pair(*pair) for pair in pairs]
    whole = tuple(pair for pair in found if pair.variants and pair.endpoints)
    if not whole:
        raise DataError(f"nothing to pair: {_why_not(found[0])}")
    notes += [
        f"{pair.name} is left out: {_why_not(pair)}."
        for pair in found
        if not (pair.variants and pair.endpoints)
    ]
    return whole, tuple(notes)


def _pair(a: HostRun, b: HostRun) -> HostPair:
    notes: list[str] = []
    every = [[variant.id for variant in host.plan.variants] for host in (a, b)]
    twins = {
        variant.id
        for host in (a, b)
        for variant in host.plan.variants
        if variant.twin_of is not None
    }
    own_a, own_b = ([name for name in names if name not in twins] for names in every)
    ends_a, ends_b = ([endpoint.name for endpoint in host.plan.endpoints] for host in (a, b))
    notes += _alone("variant", own_a, own_b)
    notes += _alone("endpoint", ends_a, ends_b)
    if twins:
        notes.append(f"Twins are left out: {_list(sorted(twins))}.")
    return HostPair(
        a,
        b,
        variants=tuple(name for name in own_a if name in own_b),
        endpoints=tuple(name for name in ends_a if name in ends_b),
        notes=tuple(notes),
    )


def _alone(kind: str, a: Sequence[str], b: Sequence[str]) -> list[str]:
    notes = []
    for run, own, other in (("A", a, b), ("B", b, a)):
        if alone := [name for name in own if name not in other]:
            notes.append(f"Only in {run}: {kind}{'s' if len(alone) > 1 else ''} {_list(alone)}.")
    return notes


def _why_not(pair: HostPair) -> str:
    kind = "endpoint" if pair.variants else "variant"
    has_a, has_b = (
        _list([x.name for x in plan.endpoints] if pair.variants else [x.id for x in plan.variants])
        for plan in (pair.a.plan, pair.b.plan)
    )
    return f"no {kind} of {pair.name} is in both runs; A has {has_a}; B has {has_b}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
