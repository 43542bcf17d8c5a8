"""Pair what two runs have in common: hosts, then variants and endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.errors import DataError
from collect.lang import SOURCE, _, ngettext, speaking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
                _(
                    "The only host of A, {host_a}, is compared with the only host of B, {host_b}, "
                    "though their names differ."
                ).format(host_a=a.hosts[0].name, host_b=b.hosts[0].name)
            )
    else:
        pairs = [(host, names_b[name]) for name, host in names_a.items() if name in names_b]
        notes += _alone(
            list(names_a),
            list(names_b),
            lambda n: ngettext("Only in {run}: host {names}.", "Only in {run}: hosts {names}.", n),
        )
    if not pairs:
        raise DataError(
            f"nothing to pair: no host is in both runs; {a.run_id} has {_list(names_a)}, "
            f"{b.run_id} has {_list(names_b)}"
        )
    found = [_pair(*pair) for pair in pairs]
    whole = tuple(pair for pair in found if pair.variants and pair.endpoints)
    if not whole:
        # Errors are in English.
        with speaking(SOURCE):
            raise DataError(f"nothing to pair: {_why_not(found[0])}")
    notes += [
        _("{host} is left out: {why}.").format(host=pair.name, why=_why_not(pair))
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
    notes += _alone(
        own_a,
        own_b,
        lambda n: ngettext(
            "Only in {run}: variant {names}.", "Only in {run}: variants {names}.", n
        ),
    )
    notes += _alone(
        ends_a,
        ends_b,
        lambda n: ngettext(
            "Only in {run}: endpoint {names}.", "Only in {run}: endpoints {names}.", n
        ),
    )
    if twins:
        notes.append(_("Twins are left out: {names}.").format(names=_list(sorted(twins))))
    return HostPair(
        a,
        b,
        variants=tuple(name for name in own_a if name in own_b),
        endpoints=tuple(name for name in ends_a if name in ends_b),
        notes=tuple(notes),
    )


def _alone(a: Sequence[str], b: Sequence[str], said: Callable[[int], str]) -> list[str]:
    notes = []
    for run, own, other in (("A", a, b), ("B", b, a)):
        if alone := [name for name in own if name not in other]:
            notes.append(said(len(alone)).format(run=run, names=_list(alone)))
    return notes


def _why_not(pair: HostPair) -> str:
    has_a, has_b = (
        _list([x.name for x in plan.endpoints] if pair.variants else [x.id for x in plan.variants])
        for plan in (pair.a.plan, pair.b.plan)
    )
    if pair.variants:
        said = _("no endpoint of {host} is in both runs; A has {has_a}; B has {has_b}")
    else:
        said = _("no variant of {host} is in both runs; A has {has_a}; B has {has_b}")
    return said.format(host=pair.name, has_a=has_a, has_b=has_b)


def _list(names: Iterable[str]) -> str:
    return _(", ").join(names)
