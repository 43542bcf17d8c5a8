"""Which rate a leg is to keep, from the capacities that the run has measured so far.

Pure: the same trials give the same rate, so a run that goes on asks for what it would have asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from collect.model import Plan, PlannedTrial, Trial

AUTO_SHARE = 0.5
"""`common: auto`: of what the slowest variant carried in the first block."""
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Target:
    """What a leg is to do; requests per second."""

    rate_rps: float
    """To keep; of a search, the capacity that its bounds are taken from."""
    start_rps: float | None = None
    """Where a search begins: what earlier blocks found; None in the first."""


def target_of(
    plan: Plan,
    planned: PlannedTrial,
    found: Iterable[Trial],
    spoiled: Callable[[Trial], Collection[str]],
) -> Target | None:
    """Return the leg's target; None where no capacity is known to take it from.

    A capacity is the median over the blocks so far, so that the rate settles.

    Args:
        plan: the plan, with its rates.
        planned: the leg.
        found: the run's trials so far.
        spoiled: codes of the reasons that make a trial invalid; empty for one that counts.
    """
    rates = plan.rates
    if rates is None:
        return None
    if planned.leg == "common" and rates.common_rps is not None:
        return Target(rates.common_rps)
    usable = [
        trial
        for trial in found
        if trial.endpoint == planned.endpoint
        and trial.block <= planned.block
        and not spoiled(trial)
    ]
    if planned.leg == "common":
        # The first one: of a scheduled run, it may be that of a later window.
        earlier = [t for t in usable if t.block < planned.block and t.wrk is not None]
        first = min((t.block for t in earlier), default=0)
        slowest = min(_capacities(t for t in earlier if t.block == first).values(), default=None)
        return None if slowest is None else Target(_rounded(slowest * AUTO_SHARE))
    own = _capacities(usable).get(planned.variant)
    if own is None:
        return None
    if planned.leg == "slo":
        ends = [
            trial.search.rate_rps
            for trial in usable
            if trial.variant == planned.variant
            and trial.search is not None
            and trial.block < planned.block
        ]
        return Target(own, median(ends) if ends else None)
    return Target(_rounded(own * (planned.share or 1.0)))


def _capacities(trials: Iterable[Trial]) -> dict[str, float]:
    """Return the median req/s of each variant that has any."""
    by_variant: dict[str, list[float]] = {}
    for trial in trials:
        if trial.wrk is not None and trial.wrk.rps > 0:
            by_variant.setdefault(trial.variant, []).append(trial.wrk.rps)
    return {variant: median(values) for variant, values in by_variant.items()}


def _rounded(rps: float) -> float:
    """Round to three digits: more would promise what a capacity does not hold."""
    return max(0.1, float(f"{rps:.{_DIGITS}g}"))
