"""The answer in a sentence or two, claiming no more than the tiers do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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
        return "No trial has given figures yet."
    compared = [part for part in endpoints if _tiers(part.rps)]
    if not compared:
        return _without_pairs(endpoints)
    if plan.order == "sequential":
        said = " ".join(_first_of_sequential(part) for part in compared)
        return (
            f"Nobody can be called fastest: the trials ran in sequential order, so a difference "
            f"may be the hour's and not the server's. {said}"
        )
    said = " ".join(_sentence(part, plan.stopping.gap) for part in compared)
    so_far = "" if is_whole else "So far: "
    return f"{so_far}{said}{_read_first(compared)}{_not_compared(endpoints)}"


def _without_pairs(endpoints: Sequence[EndpointReport]) -> str:
    found = {
        row.variant.id for part in endpoints for row in part.rps.rows if row.median is not None
    }
    if len(found) > 1:
        # Mostly one reason for all of them: too few blocks.
        notes = (part.rps.ranking.note for part in endpoints)
        return f"Nobody can be called fastest yet. {next((note for note in notes if note), '')}"
    figures = [
        f"{text.figure(row.median)} req/s on {text.one_line(part.endpoint.name)}"
        for part in endpoints
        for row in part.rps.rows
        if row.median is not None
    ]
    return f"{text.one_line(found.pop())}: {', '.join(figures)}; nothing to compare it with."


def _tiers(table: Table) -> list[list[Row]]:
    """Return the rows of each tier, the best first."""
    tiers: dict[int, list[Row]] = {}
    for row in table.rows:
        if row.tier is not None:
            tiers.setdefault(row.tier, []).append(row)
    return [tiers[number] for number in sorted(tiers)]


def _sentence(part: EndpointReport, gap: float | None) -> str:
    first, *others = _tiers(part.rps)
    on = f"On {text.one_line(part.endpoint.name)}"
    if len(first) > 1:
        rest = sum(map(len, others))
        if not rest:
            return f"{on} {_tied(part.rps, first, gap, is_everybody=True)}."
        than = _id(others[0][0]) if rest == 1 else f"the other {rest}"
        return f"{on} {_tied(part.rps, first, gap)}; each of them is faster than {than}."
    # The order inside a tier means nothing: the closest is who the winner must be held against.
    nearest = min(others[0], key=lambda row: abs(math.log(row.behind.ratio)) if row.behind else 0.0)
    ratio = f"{text.interval(nearest.behind)} " if nearest.behind else "ahead of "
    which = "the next tier" if len(others[0]) == 1 else f"the closest of the {len(others[0])} next"
    return f"{on} {_id(first[0])} is fastest: {ratio}{_id(nearest)}, {which}."


def _first_of_sequential(part: EndpointReport) -> str:
    first = _tiers(part.rps)[0]
    on = f"On {text.one_line(part.endpoint.name)}"
    if len(first) > 1:
        return f"{on} the best figures tie even so."
    return f"{on} the highest figure is {_id(first[0])}'s."


def _tied(
    table: Table, rows: Sequence[Row], gap: float | None, *, is_everybody: bool = False
) -> str:
    ids = {row.variant.id for row in rows}
    between = [pair for pair in table.ranking.pairs if {pair.a, pair.b} <= ids]
    if any(pair.state == "separated" for pair in between):
        # The ends of a chain may be told apart; no line can be drawn through its middle.
        which = f"all {len(rows)} variants" if is_everybody else _names(rows)
        return f"{which} share the first tier, because no clean line runs between them"
    if between and all(pair.state == "within_gap" for pair in between):
        which = f"all {len(rows)} variants" if is_everybody else _names(rows)
        return f"{which} lie within {text.percent(gap)} of each other"
    if is_everybody:
        return f"no two of the {len(rows)} variants can be told apart"
    return f"{_names(rows)} can't be told apart"


def _read_first(endpoints: Sequence[EndpointReport]) -> str:
    """Point at the marks of whoever is called fastest."""
    winners = [tier[0] for part in endpoints if len(tier := _tiers(part.rps)[0]) == 1]
    marks = sorted({mark for row in winners for mark in row.marks})
    return f" Read mark{'s' if len(marks) > 1 else ''} {', '.join(marks)} first." if marks else ""


def _not_compared(endpoints: Sequence[EndpointReport]) -> str:
    names = dict.fromkeys(
        _id(row) for part in endpoints for row in part.rps.rows if row.tier is None
    )
    return f" Not compared everywhere: {_join([*names])}." if names else ""


def _names(rows: Sequence[Row]) -> str:
    return _join([_id(row) for row in rows])


def _join(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} more"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _id(row: Row) -> str:
    return text.one_line(row.variant.id)
