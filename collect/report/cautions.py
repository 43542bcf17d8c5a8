"""What to know before believing a ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.report.ranking import EndpointReport
    from collect.store import HostRun


def cautions(host: HostRun, endpoints: Sequence[EndpointReport]) -> tuple[str, ...]:
    """Say each in a sentence or two, with its remedy."""
    found = []
    if host.changed_facts:
        found.append(
            f"The host changed during the run: compare host.json with "
            f"{', '.join(map(text.one_line, host.changed_facts))}, and take a new run id."
        )
    if host.blocks == 1:
        found.append(
            f"One block of {host.plan.load.duration_s:g} s trials: there is no interval, and the "
            "order below may be chance."
        )
    elif any(_has_stray(part) for part in endpoints):
        found.append(
            "Rows with a question mark share too few blocks with the others to be compared."
        )
    if host.plan.order == "sequential":
        found.append(
            "Sequential order: what differs below may be the hour's and not the server's, because "
            "a slow half hour of the host falls on one server alone. Intervals do not know of it. "
            "Do not conclude from these tiers; bench_order: interleaved can tell."
        )
    workers = {variant.workers for variant in host.plan.variants}
    if len(workers) > 1:
        found.append(
            f"The worker budgets differ ({min(workers)} to {max(workers)} workers): "
            "this compares configurations, not servers."
        )
    return tuple(found)


def _has_stray(part: EndpointReport) -> bool:
    rows = [row for row in part.rps.rows if row.median is not None]
    return any(row.tier is None for row in rows) and any(row.tier for row in rows)
