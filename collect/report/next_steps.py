"""What to run next to be surer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.lang import _
from collect.plan import estimate_s
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.model import PairDecision
    from collect.report.ranking import EndpointReport, Table
    from collect.store import HostRun, Run

_PLAYBOOK = "ansible-playbook bench.yml -i INVENTORY"
LEAST_BLOCKS = 5
MOST_BLOCKS = 40
"""Whoever needs more than this had better take the two as equal."""
_NAMED = 3
"""More pairs than this make no sentence."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the steps follow from."""

    endpoints: Sequence[EndpointReport]
    unmended: int
    """Invalid trials that no re-run stands in for."""


def next_steps(run: Run, host: HostRun, findings: Findings) -> tuple[str, ...]:
    """Return a sentence for each step, with its command."""
    steps = []
    run_id = text.one_line(run.run_id)
    if host.missing and host.windows:
        steps.append(
            _("Windows are still to come. Fetch what they measured with: {command}").format(
                command=f"ansible-playbook pull.yml -i INVENTORY -e bench_run_id={run_id}"
            )
        )
    elif host.missing:
        steps.append(
            _(
                "{missing} of {planned} trials are not here yet. Go on with all else that this "
                "run was begun with, and: {command}"
            ).format(
                missing=len(host.missing),
                planned=len(host.plan.trials),
                command=f"{_PLAYBOOK} -e bench_run_id={run_id}",
            )
        )
    if findings.unmended:
        steps.append(_("Mend what is listed under “Left out” and run again."))
    if host.plan.order == "sequential":
        steps.append(
            _("For tiers that hold, run: {command}").format(
                command=f"{_PLAYBOOK} -e bench_order=interleaved"
            )
        )
    elif not host.windows:
        steps += _more_blocks(host, findings.endpoints)
    if not steps:
        steps.append(
            _(
                "Keep results/{run_id}: every table is rebuilt from it. To share this page: "
                "{command}"
            ).format(
                run_id=run_id,
                command=f"serverbench report {run_id} --format markdown --output report.md",
            )
        )
    return tuple(steps)


def _more_blocks(host: HostRun, endpoints: Sequence[EndpointReport]) -> list[str]:
    rankings = [part.rps.ranking for part in endpoints]
    if sum(variant.twin_of is None for variant in host.plan.variants) < 2:  # noqa: PLR2004 - a pair
        return []
    if all(ranking.note for ranking in rankings):
        return [
            _("Nothing is told apart yet. Run: {command}").format(
                command=_command(host, LEAST_BLOCKS)
            )
        ]
    # Who is fastest decides what is deployed; which of the others are equal seldom does.
    if leads := [(part, pair) for part in endpoints for pair in _open_lead(part.rps)]:
        return _settle_lead(host, leads)
    unsettled = [ranking.closest for ranking in rankings if ranking.closest]
    if not unsettled:
        return []
    totals = [host.blocks + pair.blocks_needed for pair in unsettled if pair.blocks_needed]
    within = [total for total in totals if total <= MOST_BLOCKS]
    if not within:
        step = _(
            "{blocks} blocks would hardly tell the closest pairs apart: take them as equal, or "
            "find a quieter host, or longer trials (bench_load.duration_s)."
        ).format(blocks=MOST_BLOCKS)
        return [step]
    if len(within) == len(unsettled):
        step = _("To decide the closest pairs, run: {command}")
    else:
        step = _("To decide some of the closest pairs, run: {command}")
    return [step.format(command=_command(host, max(LEAST_BLOCKS, *within)))]


def _open_lead(table: Table) -> list[PairDecision]:
    """Return the undecided pairs of the first row with those that share its tier."""
    tiers = {row.variant.id: row.tier for row in table.rows if row.tier is not None}
    first = next(iter(tiers), None)
    return [
        pair
        for pair in table.ranking.pairs
        if pair.state == "open"
        and first in (pair.a, pair.b)
        and tiers.get(pair.a) == tiers.get(pair.b) is not None
    ]


def _settle_lead(host: HostRun, leads: Sequence[tuple[EndpointReport, PairDecision]]) -> list[str]:
    """Say how many blocks would tell who is fastest, and of which pairs they hardly would."""
    totals: dict[str, int] = {}
    hopeless = []
    for part, pair in leads:
        endpoint = text.one_line(part.endpoint.name)
        total = host.blocks + (pair.blocks_needed or MOST_BLOCKS)
        if total <= MOST_BLOCKS:
            totals[endpoint] = max(totals.get(endpoint, LEAST_BLOCKS), total)
        else:
            names = text.both([text.one_line(name) for name in (pair.a, pair.b)])
            hopeless.append(_("{names} on {endpoint}").format(names=names, endpoint=endpoint))
    steps = []
    if totals:
        step = (
            _("To narrow down who is fastest on {endpoints}, run: {command}")
            if hopeless
            else _("To tell who is fastest on {endpoints}, run: {command}")
        )
        command = _command(host, max(totals.values()))
        steps.append(step.format(endpoints=text.both([*totals]), command=command))
    if hopeless:
        named = hopeless[:_NAMED]
        if len(hopeless) > _NAMED:
            named.append(_("{count} more").format(count=len(hopeless) - _NAMED))
        steps.append(
            _(
                "{blocks} blocks would hardly tell these apart: {pairs}. Take them as equal, or "
                "find a quieter host, or longer trials (bench_load.duration_s)."
            ).format(blocks=MOST_BLOCKS, pairs=text.semicolon(named))
        )
    return steps


def _command(host: HostRun, blocks: int) -> str:
    per_block_s = estimate_s(host.plan).total_s / host.plan.blocks
    # What a run was begun with stands in no file: -e rates=true, a file of variables, …
    return _("{command} (and all else that this run was begun with; about {duration})").format(
        command=f"{_PLAYBOOK} -e bench_blocks={blocks}", duration=text.seconds(per_block_s * blocks)
    )
