"""How the run went: its order, its trials, why it ended, what its twin and its pairs say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from collect.lang import N_, _
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.checks import VerdictStatus
    from collect.model import PairDecision
    from collect.report.ranking import EndpointReport
    from collect.stats import Ranking
    from collect.store import HostRun

_ORDERS = {
    "interleaved": N_("interleaved; each block holds every variant once, in random order."),
    "sequential": N_("sequential; one variant after the other, each in its own hour."),
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
        Line(_("Order"), _(_ORDERS[host.plan.order])),
        Line(_("Trials"), _trials(host, counts)),
        Line(_("End"), _end(host)),
    ]
    if host.windows:
        lines.append(Line(_("Windows"), _windows(host)))
    if twins := [variant.twin_of for variant in host.plan.variants if variant.twin_of is not None]:
        lines.append(Line(_("Twin"), _twin(twins, endpoints)))
    # More of a sequential run would be no better than less.
    if host.plan.order == "interleaved":
        lines += [Line(_("Closest"), said) for part in endpoints if (said := _closest(part))]
    return tuple(lines)


def _trials(host: HostRun, counts: Mapping[VerdictStatus, int]) -> str:
    planned = sum(trial.block <= host.blocks for trial in host.plan.trials)
    if host.reruns:
        said = _(
            "{here} of {planned} and {reruns} are here: {valid} valid, {suspect} suspect, "
            "{invalid} invalid."
        )
    else:
        said = _(
            "{here} of {planned} are here: {valid} valid, {suspect} suspect, {invalid} invalid."
        )
    return said.format(
        here=planned - len(host.missing) - len(host.missed),
        planned=planned,
        reruns=text.number(len(host.reruns), "re-run"),
        valid=counts.get("valid", 0),
        suspect=counts.get("suspect", 0),
        invalid=counts.get("invalid", 0),
    )


def _windows(host: HostRun) -> str:
    """Say which windows of a scheduled run have run, which were missed and why, and what comes."""
    ran = [state for state in host.windows if state.blocks_done]
    missed = [state for state in host.windows if state.is_past and not state.blocks_done]
    to_come = [state for state in host.windows if not state.is_past and not state.blocks_done]
    said = [
        _("{ran} of {planned} have run, in the zone of the host.").format(
            ran=len(ran), planned=len(host.windows)
        )
    ]
    reasons: dict[str, list[str]] = {}
    for state in missed:
        why = state.why_missed or _("nothing is noted; the host was off, or the run was cut off")
        reasons.setdefault(why, []).append(_moment(state.window.starts_at))
    said += [
        _("Missed: {moments} ({why}).").format(
            moments=text.comma(moments), why=text.one_line(why).rstrip(".")
        )
        for why, moments in reasons.items()
    ]
    if to_come:
        said.append(_("Next: {moment}.").format(moment=_moment(to_come[0].window.starts_at)))
    return " ".join(said)


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M}"


def _end(host: HostRun) -> str:
    if host.windows and host.missing:
        return _("not yet: windows are still to come. It goes on by itself.")
    plan, decision = host.plan, host.decision
    reason = None if decision is None else decision.reason
    of_blocks = _("{done} of {planned}").format(
        done=host.measured_blocks, planned=text.number(plan.blocks, "block")
    )
    if reason == "decided":
        gap = plan.stopping.gap
        if gap is None:
            return _("decided after {blocks}: every pair is told apart by req/s.").format(
                blocks=of_blocks
            )
        return _(
            "decided after {blocks}: every pair is told apart by req/s, or known to lie within "
            "{gap}."
        ).format(blocks=of_blocks, gap=text.percent(gap))
    if reason == "time_budget":
        budget = plan.stopping.time_budget_s
        if budget is None:
            return _("the time budget was used up after {blocks}.").format(blocks=of_blocks)
        return _("the time budget of {budget} was used up after {blocks}.").format(
            budget=text.seconds(budget), blocks=of_blocks
        )
    if host.missed:
        return _(
            "after {blocks}; the others belong to windows that were missed or cut off."
        ).format(blocks=of_blocks)
    if reason == "all_blocks" or (reason is None and not host.missing):
        return _("after {blocks}, as planned.").format(blocks=of_blocks)
    cut = {trial.block for trial in host.missing}
    done = plan.blocks - len(cut) if decision is None else decision.blocks_done
    return _("not yet: {done} of {planned} blocks are whole. It goes on, or was cut off.").format(
        done=done, planned=plan.blocks
    )


def _twin(originals: Sequence[str], endpoints: Sequence[EndpointReport]) -> str:
    found = []
    for part in endpoints:
        gaps = [
            _gap(name, table.ranking)
            for name, table in (
                ("req/s", part.rps),
                (_("memory"), part.memory),
                ("p99", part.p99),
                ("CPU", part.cpu),
            )
            if table.ranking.smallest_gap is not None
        ]
        if gaps:
            found.append(
                _("{endpoint}: {gaps}").format(
                    endpoint=text.one_line(part.endpoint.name), gaps=text.comma(gaps)
                )
            )
    names = text.comma([text.one_line(name) for name in originals])
    if not found:
        return _("{names} was deployed twice; two valid blocks of both would show the gap.").format(
            names=names
        )
    return _(
        "{names} was deployed twice, and noise alone set the two apart by this much. It is the "
        "smallest difference to believe today; closer pairs share a tier. {gaps}."
    ).format(names=names, gaps=text.semicolon(found))


def _gap(name: str, ranking: Ranking) -> str:
    """Show the interval of req/s only: four of them make no line that anybody reads."""
    gap = text.percent(ranking.smallest_gap)
    if ranking.metric != "rps" or len(ranking.twins) != 1:
        return f"{name} {gap}"
    return f"{name} {gap} ({text.interval(ranking.twins[0].gap)})"


def _closest(part: EndpointReport) -> str | None:
    pair = part.rps.ranking.closest
    if pair is None or pair.ratio is None:
        return None
    first, second = (pair.a, pair.b) if pair.ratio >= 1 else (pair.b, pair.a)
    return _("on {endpoint} {first} and {second}, {ratio}; {needed}.").format(
        endpoint=text.one_line(part.endpoint.name),
        first=text.one_line(first),
        second=text.one_line(second),
        ratio=text.interval(text.upright(pair)),
        needed=_needed(pair, part),
    )


def _needed(pair: PairDecision, part: EndpointReport) -> str:
    if pair.blocks_needed:
        return _("about {more_blocks} would decide it").format(
            more_blocks=text.number(pair.blocks_needed, "more block")
        )
    floor = part.rps.ranking.smallest_gap
    if floor is not None and pair.ratio and abs(math.log(pair.ratio)) <= math.log1p(floor):
        return _("closer than the twin's own gap, so more blocks would hardly decide it")
    return _("more blocks would hardly decide it")
