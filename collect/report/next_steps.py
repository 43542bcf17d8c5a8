"""What to run next to be surer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.plan import estimate_s
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.report.ranking import EndpointReport
    from collect.store import HostRun, Run

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
    if host.missing:
        steps.append(
            f"{len(host.missing)} of {len(host.plan.trials)} trials are not here yet. Go on with: "
            f"ansible-playbook bench.yml -i INVENTORY -e bench_run_id={run_id}"
        )
    if findings.unmended:
        steps.append("Mend what is listed under “Left out” and run again.")
    if host.plan.order == "sequential":
        steps.append(
            "For tiers that hold, run: ansible-playbook bench.yml -i INVENTORY "
            "-e bench_order=interleaved"
        )
    else:
        steps += _more_blocks(host, findings.endpoints)
    if not steps:
        steps.append(
            f"Keep results/{run_id}: every table is rebuilt from it. To share this page: "
            f"serverbench report {run_id} --format markdown --output report.md"
        )
    return tuple(steps)


def _more_blocks(host: HostRun, endpoints: Sequence[EndpointReport]) -> list[str]:
    rankings = [part.rps.ranking for part in endpoints]
    if sum(variant.twin_of is None for variant in host.plan.variants) < 2:  # noqa: PLR2004 - a pair
        return []
    if all(ranking.note for ranking in rankings):
        return [f"Nothing is told apart yet. Run: {_command(host, LEAST_BLOCKS)}"]
    unsettled = [ranking.closest for ranking in rankings if ranking.closest]
    if not unsettled:
        return []
    totals = [host.blocks + pair.blocks_needed for pair in unsettled if pair.blocks_needed]
    within = [total for total in totals if total <= MOST_BLOCKS]
    if not within:
        step = (
            f"{MOST_BLOCKS} blocks would hardly tell the closest pairs apart: take them as equal, "
            "or find a quieter host, or longer trials (bench_load.duration_s)."
        )
        return [step]
    which = "the closest pairs" if len(within) == len(unsettled) else "some of the closest pairs"
    return [f"To decide {which}, run: {_command(host, max(LEAST_BLOCKS, *within))}"]


def _command(host: HostRun, blocks: int) -> str:
    per_block_s = estimate_s(host.plan).total_s / host.plan.blocks
    return (
        f"ansible-playbook bench.yml -i INVENTORY -e bench_blocks={blocks} "
        f"(about {text.seconds(per_block_s * blocks)})"
    )
