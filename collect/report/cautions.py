"""What to know before believing a ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.lang import _
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
            _(
                "The host changed during the run: compare host.json with {files}, and take a new "
                "run id."
            ).format(files=text.comma([text.one_line(name) for name in host.changed_facts]))
        )
    if host.measured_blocks == 1:
        found.append(
            _(
                "One block of {duration_s} s trials: there is no interval, and the order below may "
                "be chance."
            ).format(duration_s=f"{host.plan.load.duration_s:g}")
        )
    elif any(_has_stray(part) for part in endpoints):
        found.append(
            _("Rows with a question mark share too few blocks with the others to be compared.")
        )
    if host.plan.order == "sequential":
        found.append(
            _(
                "Sequential order: what differs below may be the hour's and not the server's, "
                "because a slow half hour of the host falls on one server alone. Intervals do not "
                "know of it. Do not conclude from these tiers; bench_order: interleaved can tell."
            )
        )
    workers = {variant.workers for variant in host.plan.variants}
    if len(workers) > 1:
        found.append(
            _(
                "The worker budgets differ ({fewest} to {most} workers): this compares "
                "configurations, not servers."
            ).format(fewest=min(workers), most=max(workers))
        )
    return tuple(found)


def _has_stray(part: EndpointReport) -> bool:
    rows = [row for row in part.rps.rows if row.median is not None]
    return any(row.tier is None for row in rows) and any(row.tier for row in rows)
