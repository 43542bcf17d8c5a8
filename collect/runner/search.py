"""Search for the highest rate that keeps the 99th percentile under a limit.

On a log scale: up or down from a start in growing strides until the answer is bracketed, then
halving the bracket. The number of steps is fixed, so that the time is known beforehand. It gathers
steps around the answer; what they say together is for `collect.stats.slo` to find, over all blocks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from collect.checks import is_missed
from collect.model import SearchFigures, SearchStep
from collect.runner.seams import LoadResult, Pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collect.model import Endpoint, RateFigures, Rates
    from collect.runner.targets import Target
    from collect.runner.waiting import Bench

LOWEST = 0.05
"""Of the variant's capacity."""
HIGHEST = 1.1
"""Above capacity, since that was measured with noise, too."""
FIRST = 0.6
"""Of capacity: where the first block begins."""
STRIDE = 1.3
"""What the rate is multiplied or divided by at first; squared at each further step."""


def search(
    try_rate: Callable[[float], SearchStep],
    *,
    limit_p99_ms: float,
    capacity_rps: float,
    start_rps: float | None,
    steps: int,
) -> SearchFigures:
    """Return what the steps found.

    Args:
        try_rate: sends at that rate and says whether it holds.
        limit_p99_ms: for the record.
        capacity_rps: requests per second of the variant at full load.
        start_rps: what earlier blocks found; None in the first one.
        steps: how many rates to try at most; fewer where a bound decides.
    """
    lowest, highest = LOWEST * capacity_rps, HIGHEST * capacity_rps
    rate = min(highest, max(lowest, FIRST * capacity_rps if start_rps is None else start_rps))
    good: float | None = None
    bad: float | None = None
    stride = STRIDE
    tried = []
    for _ in range(steps):
        step = try_rate(rate)
        tried.append(step)
        if step.holds:
            good = rate
        else:
            bad = rate
        if good is not None and bad is not None:
            rate = math.sqrt(good * bad)
        elif good is not None:
            if good >= highest:
                break
            rate = min(highest, good * stride)
            stride *= stride
        else:
            if rate <= lowest:
                break
            rate = max(lowest, rate / stride)
            stride *= stride
    if good is not None and bad is not None:
        return SearchFigures(
            limit_p99_ms, capacity_rps, lowest, highest, rate, "between", tuple(tried)
        )
    last = tried[-1].rate_rps
    end: Literal["above", "below"] = "below" if good is None else "above"
    return SearchFigures(limit_p99_ms, capacity_rps, lowest, highest, last, end, tuple(tried))


def run_search(
    bench: Bench, endpoint: Endpoint, rates: Rates, target: Target, folder: Path
) -> LoadResult:
    """Search with the generator, a file for each step; a step that fails ends the search."""
    limit_ms = rates.slo_p99_ms
    if limit_ms is None:
        return LoadResult((), None, None, "the plan has a search and no limit for it")
    results: list[LoadResult] = []

    def try_rate(rate_rps: float) -> SearchStep:
        pace = Pace(float(f"{rate_rps:.4g}"), rates.lead_in_s, rates.step_s, limit_ms)
        results.append(bench.paced.run(endpoint, pace, folder, f"rate-{len(results) + 1}"))
        if results[-1].rate is None:
            raise _StepFailedError
        return _judged(results[-1].rate, limit_ms)

    try:
        figures = search(
            try_rate,
            limit_p99_ms=limit_ms,
            capacity_rps=target.rate_rps,
            start_rps=target.start_rps,
            steps=rates.steps,
        )
    except _StepFailedError:
        return results[-1]
    known = [result.cpu_s for result in results if result.cpu_s is not None]
    cpu_s = sum(known) if len(known) == len(results) else None
    return LoadResult(results[-1].argv, cpu_s, None, None, search=figures)


class _StepFailedError(Exception):
    """The generator itself failed; its result says how."""


def _judged(figures: RateFigures, limit_ms: float) -> SearchStep:
    missed = is_missed(figures)
    p99_ms = figures.latency_ms.p99
    return SearchStep(
        rate_rps=figures.rate_rps,
        achieved_rps=figures.achieved_rps,
        p99_ms=p99_ms,
        requests=figures.requests,
        over=figures.over_limit or 0,
        is_missed=missed,
        holds=not missed and p99_ms is not None and p99_ms <= limit_ms,
    )
