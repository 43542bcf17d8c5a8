"""The answer in a sentence or two, claiming no more than the tiers do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from collect.lang import _, ngettext, sentences
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.model import Plan
    from collect.report.ranking import EndpointReport, Row, Table

_NAMED = 4
"""More names than this make no sentence."""


def answer(plan: Plan, endpoints: Sequence[EndpointReport], *, is_whole: bool) -> str:
    """Say which variant is fastest, or that nobody can know.

    Args:
        plan: the host's plan; figures of a sequential one prove nothing.
        endpoints: its rankings.
        is_whole: whether every trial is here.
    """
    if not any(row.median for part in endpoints for row in part.rps.rows):
        return _("No trial has given figures yet.")
    compared = [part for part in endpoints if _tiers(part.rps)]
    if not compared:
        return _without_pairs(endpoints)
    if plan.order == "sequential":
        return sentences(
            _(
                "Nobody can be called fastest: the trials ran in sequential order, so a difference "
                "may be the hour's and not the server's."
            ),
            *(_first_of_sequential(part) for part in compared),
        )
    said = sentences(
        *(_sentence(part, plan.stopping.gap) for part in compared),
        _failed(compared),
        _memory(compared),
    )
    if not is_whole:
        said = _("So far: {said}").format(said=said)
    return sentences(said, _read_first(compared), _not_compared(endpoints))


def _without_pairs(endpoints: Sequence[EndpointReport]) -> str:
    found = {
        row.variant.id for part in endpoints for row in part.rps.rows if row.median is not None
    }
    if len(found) > 1:
        # Mostly one reason for all of them: too few blocks.
        notes = (part.rps.ranking.note for part in endpoints)
        note = next((note for note in notes if note), "")
        return sentences(_("Nobody can be called fastest yet."), note)
    figures = [
        _("{figure} req/s on {endpoint}").format(
            figure=text.figure(row.median), endpoint=text.one_line(part.endpoint.name)
        )
        for part in endpoints
        for row in part.rps.rows
        if row.median is not None
    ]
    return _("{variant}: {figures}; nothing to compare it with.").format(
        variant=text.one_line(found.pop()), figures=text.clauses(figures)
    )


def _tiers(table: Table) -> list[list[Row]]:
    """Return the rows of each tier, the best first."""
    tiers: dict[int, list[Row]] = {}
    for row in table.rows:
        if row.tier is not None:
            tiers.setdefault(row.tier, []).append(row)
    return [tiers[number] for number in sorted(tiers)]


def _sentence(part: EndpointReport, gap: float | None) -> str:
    first, *others = _tiers(part.rps)
    endpoint = text.one_line(part.endpoint.name)
    slower, faster = _told_from(first[0], part.rps)
    # Without one in its own tier, what lies between the tiers says it all.
    if len(first) > 1 and not faster and any(row.tier == first[0].tier for row in slower):
        return _leader(part, first[0], slower)
    if len(first) > 1:
        rest = sum(map(len, others))
        tied = _tied(part.rps, first, gap, is_everybody=not rest)
        if not rest:
            return _("On {endpoint} {tied}.").format(endpoint=endpoint, tied=tied)
        if rest == 1:
            return _("On {endpoint} {tied}; each of them is faster than {variant}.").format(
                endpoint=endpoint, tied=tied, variant=_id(others[0][0])
            )
        return _("On {endpoint} {tied}; each of them is faster than the other {count}.").format(
            endpoint=endpoint, tied=tied, count=rest
        )
    # The order inside a tier means nothing: the closest is who the winner must be held against.
    nearest = min(others[0], key=lambda row: abs(math.log(row.behind.ratio)) if row.behind else 0.0)
    if len(others[0]) == 1:
        if nearest.behind:
            said = _("On {endpoint} {best} is fastest: {ratio} {next}, the next tier.")
        else:
            said = _("On {endpoint} {best} is fastest: ahead of {next}, the next tier.")
    elif nearest.behind:
        said = _(
            "On {endpoint} {best} is fastest: {ratio} {next}, the closest of the {count} next."
        )
    else:
        said = _(
            "On {endpoint} {best} is fastest: ahead of {next}, the closest of the {count} next."
        )
    return said.format(
        endpoint=endpoint,
        best=_id(first[0]),
        ratio=text.interval(nearest.behind),
        next=_id(nearest),
        count=len(others[0]),
    )


def _told_from(best: Row, table: Table) -> tuple[list[Row], list[Row]]:
    """Return who is told apart from the first: those it is ahead of, and those ahead of it.

    A tier hangs together by a chain: its first and its last may lie far apart. And a pair is
    compared over the blocks that hold both, so the first of all may be behind one of the others.
    """
    is_ahead: dict[str, bool] = {}
    for pair in table.ranking.pairs:
        if pair.state == "separated" and pair.ratio and best.variant.id in (pair.a, pair.b):
            is_a_better = (pair.ratio > 1) == table.ranking.higher_is_better
            is_a = best.variant.id == pair.a
            is_ahead[pair.b if is_a else pair.a] = is_a_better == is_a
    told = [row for row in table.rows if row.variant.id in is_ahead]
    return (
        [row for row in told if is_ahead[row.variant.id]],
        [row for row in told if not is_ahead[row.variant.id]],
    )


def _leader(part: EndpointReport, best: Row, slower: Sequence[Row]) -> str:
    nearest = min(slower, key=lambda row: row.behind.ratio if row.behind else math.inf)
    others = sum(row.tier is not None for row in part.rps.rows) - 1
    said = (
        _(
            "On {endpoint} {best} has the best figures: it is faster than {told} of the other "
            "{others}, than {next} as the closest of them by {ratio}; the rest may be its equals."
        )
        if len(slower) > 1
        else _(
            "On {endpoint} {best} has the best figures: of the other {others} it is faster than "
            "{next}, by {ratio}; the rest may be its equals."
        )
    )
    return said.format(
        endpoint=text.one_line(part.endpoint.name),
        best=_id(best),
        told=len(slower),
        others=others,
        next=_id(nearest),
        ratio=text.interval(nearest.behind),
    )


def _first_of_sequential(part: EndpointReport) -> str:
    first = _tiers(part.rps)[0]
    if len(first) > 1:
        said = _("On {endpoint} the best figures tie even so.")
    else:
        said = _("On {endpoint} the highest figure is {best}'s.")
    return said.format(endpoint=text.one_line(part.endpoint.name), best=_id(first[0]))


def _tied(
    table: Table, rows: Sequence[Row], gap: float | None, *, is_everybody: bool = False
) -> str:
    ids = {row.variant.id for row in rows}
    between = [pair for pair in table.ranking.pairs if {pair.a, pair.b} <= ids]
    which = _("all {count} variants").format(count=len(rows)) if is_everybody else _names(rows)
    if any(pair.state == "separated" for pair in between):
        # The ends of a chain may be told apart; no line can be drawn through its middle.
        return _("{which} share the first tier, because no clean line runs between them").format(
            which=which
        )
    if between and all(pair.state == "within_gap" for pair in between):
        return _("{which} lie within {gap} of each other").format(
            which=which, gap=text.percent(gap)
        )
    if is_everybody:
        return _("no two of the {count} variants can be told apart").format(count=len(rows))
    return _("{which} can't be told apart").format(which=which)


def _memory(endpoints: Sequence[EndpointReport]) -> str:
    """Say who needs least and most where memory matters most; nothing where none is told apart."""
    told = [tiers for part in endpoints if len(tiers := _tiers(part.memory)) > 1]
    if not told:
        return ""
    first, *_between, last = max(told, key=lambda tiers: tiers[0][0].median or 0)
    one = last[0]
    # A tier may hang together by a chain, and its ends not lie apart from the first; and one that
    # nearly everybody is in names nobody.
    if one.behind is None or one.behind.low <= 1 or len(first) > _NAMED:
        return ""
    part = next(part for part in endpoints if one in part.memory.rows)
    more, _less = _told_from(first[0], part.memory)
    said = (
        _("Least memory on {endpoint}: {least}; most: {most}, {interval} {best}.")
        if len(last) == 1
        else _("Least memory on {endpoint}: {least}; most: {most}, {interval} {best} for {one}.")
    )
    return said.format(
        endpoint=text.one_line(part.endpoint.name),
        least=_names([row for row in first if row not in more]),
        best=_id(first[0]),
        most=_names(last),
        interval=text.interval(one.behind),
        one=_id(one),
    )


def _read_first(endpoints: Sequence[EndpointReport]) -> str:
    """Point at the marks of whoever is called fastest."""
    winners = [tier[0] for part in endpoints if len(tier := _tiers(part.rps)[0]) == 1]
    marks = sorted({mark for row in winners for mark in row.marks})
    if not marks:
        return ""
    return ngettext("Read mark {marks} first.", "Read marks {marks} first.", len(marks)).format(
        marks=text.comma(marks)
    )


def _failed(endpoints: Sequence[EndpointReport]) -> str:
    """Say of whoever is called best how often it failed, which its figures do not hold."""
    return sentences(
        *(
            _(
                "{variant} failed on {endpoint} in {failed} of {blocks} blocks, which no figure "
                "here holds: see “Left out”."
            ).format(
                variant=_id(row),
                endpoint=text.one_line(part.endpoint.name),
                failed=row.failed,
                blocks=row.planned,
            )
            for part in endpoints
            for row in _tiers(part.rps)[0]
            if row.failed
        )
    )


def _not_compared(endpoints: Sequence[EndpointReport]) -> str:
    names = dict.fromkeys(
        _id(row) for part in endpoints for row in part.rps.rows if row.tier is None
    )
    return _("Not compared everywhere: {names}.").format(names=_join([*names])) if names else ""


def _names(rows: Sequence[Row]) -> str:
    return _join([_id(row) for row in rows])


def _join(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return _("{names} and {count} more").format(
            names=text.comma(names[: _NAMED - 1]), count=len(names) - _NAMED + 1
        )
    return text.both(names)


def _id(row: Row) -> str:
    return text.one_line(row.variant.id)
