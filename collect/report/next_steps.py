"""What to run next to be surer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.lang import _
from collect.plan import estimate_s
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.report.ranking import EndpointReport
    from collect.store import HostRun, Run

_PLAYBOOK = "ansible-playbook bench.yml -i INVENTORY"
LEAST_BLOCKS = 5
MOST_BLOCKS = 40
"""Whoever needs more than this had better take the two as equal."""


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


def _command(host: HostRun, blocks: int) -> str:
    per_block_s = estimate_s(host.plan).total_s / host.plan.blocks
    # What a run was begun with stands in no file: -e rates=true, a file of variables, …
    return _("{command} (and all else that this run was begun with; about {duration})").format(
        command=f"{_PLAYBOOK} -e bench_blocks={blocks}", duration=text.seconds(per_block_s * blocks)
    )
