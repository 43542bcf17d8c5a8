"""Several hosts side by side: how far each variant is behind the best, and whether that holds.

Figures of different machines are never averaged: only places and ratios inside a host are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from collect.lang import N_, _, ngettext, sentences
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.report.build import HostReport
    from collect.report.ranking import Row
    from collect.stats import Ranking

TITLE = N_("All hosts together")
LEGEND = N_(
    "Each cell: how many times better the best variant of that host is, and the tier on that host. "
    "Requests per second of different machines are not averaged. holds: yes where this variant is "
    "ahead of, level with and behind the same others on every host; partly where some are told "
    "apart on some hosts only; no where it is ahead of another on one host and behind it elsewhere."
)
_NAMED = 3
"""More pairs than this make no sentence."""


@dataclass(frozen=True, slots=True)
class TogetherRow:
    """One variant on one endpoint."""

    variant: str
    cells: tuple[str, ...]
    """In the order of the hosts: `1.20x (2=)`; empty where the host did not measure it."""
    holds: str
    """`yes`, `partly`, `no`; `?` where no two hosts compare it with anybody."""


@dataclass(frozen=True, slots=True)
class TogetherTable:
    """One endpoint on every host that measured it."""

    endpoint: str
    hosts: tuple[str, ...]
    said: tuple[str, ...]
    rows: tuple[TogetherRow, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two variants, and on which hosts the first is ahead of, level with or behind the second."""

    first: str
    second: str
    ahead: tuple[str, ...]
    level: tuple[str, ...]
    behind: tuple[str, ...]

    @property
    def contradicts(self) -> bool:
        return bool(self.ahead and self.behind)

    @property
    def is_partial(self) -> bool:
        return bool(self.level) and bool(self.ahead or self.behind) and not self.contradicts


def together(hosts: Sequence[HostReport]) -> tuple[TogetherTable, ...]:
    """Return a table an endpoint; none where there is only one host."""
    names = dict.fromkeys(part.endpoint.name for host in hosts for part in host.endpoints)
    tables = (_table(name, hosts) for name in names)
    return tuple(table for table in tables if len(table.hosts) > 1)


def same_settings(hosts: Sequence[HostReport]) -> str:
    """Say which variants had other settings, or another load, on another host; empty if none."""
    loads = {text.load(host.plan.load) for host in hosts}
    knobs: dict[str, list[tuple[int, Mapping[str, object]]]] = {}
    for host in hosts:
        for variant in host.plan.variants:
            knobs.setdefault(variant.id, []).append((variant.workers, variant.knobs))
    differing = [name for name, found in knobs.items() if any(one != found[0] for one in found)]
    said = []
    if len(loads) > 1:
        said.append(
            _("The load was not the same on every host: {loads}.").format(
                loads=text.comma(sorted(loads))
            )
        )
    if differing:
        if len(differing) == len(knobs):
            settings = _(
                "Settings (such as workers per core) were not the same on every host: see the "
                "table of settings of each."
            )
        else:
            settings = _(
                "Settings (such as workers per core) were not the same on every host for "
                "{variants}: see the table of settings of each."
            )
        said.append(settings.format(variants=_join(differing)))
    return sentences(*said)


def _table(endpoint: str, hosts: Sequence[HostReport]) -> TogetherTable:
    found: dict[str, dict[str, Row]] = {}
    orders, rankings = {}, {}
    for host in hosts:
        for part in host.endpoints:
            if part.endpoint.name == endpoint:
                found[host.name] = {row.variant.id: row for row in part.rps.rows}
                orders[host.name] = host.plan.order
                if host.plan.order == "interleaved":
                    rankings[host.name] = part.rps.ranking
    variants = [*dict.fromkeys(variant for rows in found.values() for variant in rows)]
    # Tiers of a run in sequential order prove nothing.
    tiers = {
        host: {
            variant: row.tier
            for variant, row in rows.items()
            if row.tier is not None and orders[host] == "interleaved"
        }
        for host, rows in found.items()
    }
    told = {host: _told(ranking) for host, ranking in rankings.items()}
    pairs = [_pair(first, second, told) for first, second in combinations(variants, 2)]
    rows = tuple(
        TogetherRow(
            variant,
            tuple(
                _cell(rows.get(variant), orders[host] == "sequential")
                for host, rows in found.items()
            ),
            _holds([pair for pair in pairs if variant in (pair.first, pair.second)]),
        )
        for variant in variants
    )
    return TogetherTable(endpoint, tuple(found), _said(endpoint, tiers, pairs), rows)


def _told(ranking: Ranking) -> dict[tuple[str, str], int]:
    """Return of each pair whether its first is faster (1), slower (-1) or not told apart (0).

    Not by the tiers: one of them may be a chain whose ends are told apart.
    """
    found = {}
    for pair in ranking.pairs:
        if pair.ratio is not None:
            way = (1 if pair.ratio > 1 else -1) if pair.state == "separated" else 0
            found[pair.a, pair.b], found[pair.b, pair.a] = way, -way
    return found


def _pair(first: str, second: str, told: Mapping[str, Mapping[tuple[str, str], int]]) -> _Pair:
    ways = {host: own[first, second] for host, own in told.items() if (first, second) in own}
    ahead, level, behind = (
        tuple(host for host, way in ways.items() if way == wanted) for wanted in (1, 0, -1)
    )
    return _Pair(first, second, ahead, level, behind)


def _holds(pairs: Sequence[_Pair]) -> str:
    compared = [pair for pair in pairs if len(pair.ahead + pair.level + pair.behind) > 1]
    if not compared:
        return "?"
    if any(pair.contradicts for pair in compared):
        return _("no")
    return _("partly") if any(pair.is_partial for pair in compared) else _("yes")


def _cell(row: Row | None, is_sequential: bool) -> str:  # noqa: FBT001 - one place calls it
    if row is None:
        return ""
    if row.median is None:
        return row.missing
    ratio = "1" if row.is_first else text.UNKNOWN
    if row.behind is not None and not row.is_first:
        ratio = f"{text.times(row.behind.ratio)}x"
    return f"{ratio} ({text.tier(row, 'sequential' if is_sequential else 'interleaved')})"


def _said(
    endpoint: str, tiers: Mapping[str, Mapping[str, int]], pairs: Sequence[_Pair]
) -> tuple[str, ...]:
    endpoint = text.one_line(endpoint)
    firsts = {
        host: tuple(sorted(variant for variant, tier in own.items() if tier == 1))
        for host, own in tiers.items()
        if own
    }
    if len(firsts) < 2:  # noqa: PLR2004 - one host holds nothing against another
        return (
            _("On {endpoint} no two hosts can be held against each other yet.").format(
                endpoint=endpoint
            ),
        )
    return (_fastest(endpoint, firsts), _order(pairs))


def _fastest(endpoint: str, firsts: Mapping[str, tuple[str, ...]]) -> str:
    if len(set(firsts.values())) == 1:
        best = next(iter(firsts.values()))
        if len(best) == 1:
            said = _("On {endpoint} {best} is fastest on each of the {count} hosts.")
        else:
            said = _("On {endpoint} {best} share the first tier on each of the {count} hosts.")
        return said.format(endpoint=endpoint, best=_join(best), count=len(firsts))
    parts = [
        _("{host} {best}").format(host=text.one_line(host), best=_join(best))
        for host, best in firsts.items()
    ]
    return _("On {endpoint} the first tier is not the same on every host: {parts}.").format(
        endpoint=endpoint, parts=text.semicolon(parts)
    )


def _order(pairs: Sequence[_Pair]) -> str:
    compared = [pair for pair in pairs if len(pair.ahead + pair.level + pair.behind) > 1]
    if contradictions := [pair for pair in compared if pair.contradicts]:
        named = [
            _("{first} is ahead of {second} on {ahead} and behind it on {behind}").format(
                first=text.one_line(pair.first),
                second=text.one_line(pair.second),
                ahead=_join(pair.ahead),
                behind=_join(pair.behind),
            )
            for pair in contradictions[:_NAMED]
        ]
        more = len(contradictions) - _NAMED
        if more > 0:
            named.append(_("and {more_pairs}").format(more_pairs=text.number(more, "more pair")))
        return _("The order does not hold: {pairs}.").format(pairs=text.semicolon(named))
    partial = sum(pair.is_partial for pair in compared)
    if not partial:
        return _("The order holds: the hosts agree on every pair.")
    return ngettext(
        "No host contradicts another; {partial} of {pairs} is told apart on some hosts only.",
        "No host contradicts another; {partial} of {pairs} are told apart on some hosts only.",
        partial,
    ).format(partial=partial, pairs=text.number(len(compared), "pair"))


def _join(names: Sequence[str]) -> str:
    return text.both([text.one_line(name) for name in names])
