"""How the run went: its order, its trials, why it ended, what its twin and its pairs say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.checks import VerdictStatus
    from collect.model import PairDecision
    from collect.report.ranking import EndpointReport
    from collect.stats import Ranking
    from collect.store import HostRun

_ORDERS = {
    "interleaved": "interleaved; each block holds every variant once, in random order",
    "sequential": "sequential; one variant after the other, each in its own hour",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing about the run."""

    label: str
    said: str


def course(
    host: HostRun, endpoints: Sequence[EndpointReport], counts: Mapping[VerdictStatus, int]
) -> tuple[Line, ...]:
    """Say it in a line each.

    Args:
        host: the host's run.
        endpoints: its rankings.
        counts: trials by verdict, every attempt.
    """
    lines = [
        Line("Order", f"{_ORDERS[host.plan.order]}."),
        Line("Trials", _trials(host, counts)),
        Line("End", _end(host)),
    ]
    if twins := [variant.twin_of for variant in host.plan.variants if variant.twin_of is not None]:
        lines.append(Line("Twin", _twin(twins, endpoints)))
    # More of a sequential run would be no better than less.
    if host.plan.order == "interleaved":
        lines += [Line("Closest", said) for part in endpoints if (said := _closest(part))]
    return tuple(lines)


def _trials(host: HostRun, counts: Mapping[VerdictStatus, int]) -> str:
    planned = sum(trial.block <= host.blocks for trial in host.plan.trials)
    reruns = f" and {text.number(len(host.reruns), 're-run')}" if host.reruns else ""
    return (
        f"{planned - len(host.missing)} of {planned}{reruns} are here: {counts.get('valid', 0)} "
        f"valid, {counts.get('suspect', 0)} suspect, {counts.get('invalid', 0)} invalid."
    )


def _end(host: HostRun) -> str:
    plan, decision = host.plan, host.decision
    reason = None if decision is None else decision.reason
    of_blocks = f"{host.blocks} of {text.number(plan.blocks, 'block')}"
    if reason == "decided":
        gap = plan.stopping.gap
        within = "" if gap is None else f", or known to lie within {text.percent(gap)}"
        return f"decided after {of_blocks}: every pair is told apart by req/s{within}."
    if reason == "time_budget":
        budget = plan.stopping.time_budget_s
        spent = "" if budget is None else f" of {text.seconds(budget)}"
        return f"the time budget{spent} was used up after {of_blocks}."
    if reason == "all_blocks" or (reason is None and not host.missing):
        return f"after {of_blocks}, as planned."
    cut = {trial.block for trial in host.missing}
    done = plan.blocks - len(cut) if decision is None else decision.blocks_done
    return f"not yet: {done} of {plan.blocks} blocks are whole. It goes on, or was cut off."


def _twin(originals: Sequence[str], endpoints: Sequence[EndpointReport]) -> str:
    found = []
    for part in endpoints:
        gaps = [
            f"{name} {text.percent(table.ranking.smallest_gap)}{_gap(table.ranking)}"
            for name, table in (
                ("req/s", part.rps),
                ("memory", part.memory),
                ("p99", part.p99),
                ("CPU", part.cpu),
            )
            if table.ranking.smallest_gap is not None
        ]
        if gaps:
            found.append(f"{text.one_line(part.endpoint.name)}: {', '.join(gaps)}")
    names = ", ".join(map(text.one_line, originals))
    if not found:
        return f"{names} was deployed twice; two valid blocks of both would show the gap."
    return (
        f"{names} was deployed twice, and noise alone set the two apart by this much. It is the "
        f"smallest difference to believe today; closer pairs share a tier. {'; '.join(found)}."
    )


def _gap(ranking: Ranking) -> str:
    """Show the interval of req/s only: four of them make no line that anybody reads."""
    if ranking.metric != "rps" or len(ranking.twins) != 1:
        return ""
    return f" ({text.interval(ranking.twins[0].gap)})"


def _closest(part: EndpointReport) -> str | None:
    pair = part.rps.ranking.closest
    if pair is None or pair.ratio is None:
        return None
    first, second = (pair.a, pair.b) if pair.ratio >= 1 else (pair.b, pair.a)
    return (
        f"on {text.one_line(part.endpoint.name)} {text.one_line(first)} and "
        f"{text.one_line(second)}, {text.interval(text.upright(pair))}; {_needed(pair, part)}."
    )


def _needed(pair: PairDecision, part: EndpointReport) -> str:
    if pair.blocks_needed:
        return f"about {text.number(pair.blocks_needed, 'more block')} would decide it"
    floor = part.rps.ranking.smallest_gap
    if floor is not None and pair.ratio and abs(math.log(pair.ratio)) <= math.log1p(floor):
        return "closer than the twin's own gap, so more blocks would hardly decide it"
    return "more blocks would hardly decide it"
