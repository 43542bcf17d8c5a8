"""The highest rate that keeps the 99th percentile under a limit, from the steps of all blocks.

Whether one short step holds is a lottery near the limit: waiting comes in spells, so most steps see
none of it and a few see much, and the step that holds by luck would set the answer too high. The
share of requests over the limit is unbiased however it is spread. So the shares of all steps of all
blocks are fitted by a curve that only rises with the rate (isotonic regression by pooling adjacent
violators: Barlow et al., Statistical Inference under Order Restrictions, 1972), and the answer is
where it crosses one in a hundred. The interval is the jackknife's over blocks, on the log scale
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11), with Student's t.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from collect.decide import ALPHA
from collect.decide.student import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.model import SearchFigures, SearchStep

SHARE = 0.01
"""Of the requests that may take longer than the limit: its 99th percentile."""
_MISSED = 0.03
"""Counts as the share of a step whose rate was not kept: over the limit, however late its requests
were. Steps that kept their rate count in full, a rare bad one too, or the rest would be the good
ones."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Requests per second that keep the limit."""

    rate_rps: float
    """The greatest or smallest rate tried where `end` is not `between`."""
    low_rps: float | None
    """The 95 % interval; None with one block, or where it is not bracketed."""
    high_rps: float | None
    end: Literal["between", "above", "below"]
    """`above`: more than that, since every rate tried held. `below`: not even that."""
    blocks: int


def carried(searches: Sequence[SearchFigures]) -> Carried | None:
    """Return what the searches say together, one a block; None without any step."""
    blocks = [search.steps for search in searches if search.steps]
    if not blocks:
        return None
    every = [step for steps in blocks for step in steps]
    log, end = _crossing(every)
    if end != "between" or len(blocks) == 1:
        return Carried(math.exp(log), None, None, end, len(blocks))
    parts = []
    for left_out in range(len(blocks)):
        rest = [step for i, steps in enumerate(blocks) if i != left_out for step in steps]
        parts.append(len(blocks) * log - (len(blocks) - 1) * _crossing(rest)[0])
    half = t_quantile(ALPHA, len(blocks) - 1) * statistics.stdev(parts) / math.sqrt(len(blocks))
    return Carried(
        math.exp(log), math.exp(log - half), math.exp(log + half), "between", len(blocks)
    )


def _crossing(
    steps: Sequence[SearchStep],
) -> tuple[float, Literal["between", "above", "below"]]:
    """Return the logarithm of the rate where the rising curve crosses `SHARE`."""
    pools: list[tuple[float, list[float]]] = []
    for step in sorted(steps, key=lambda step: step.rate_rps):
        share, logs = _share(step), [math.log(step.rate_rps)]
        while pools and pools[-1][0] >= share:
            earlier, more = pools.pop()
            share = (earlier * len(more) + share * len(logs)) / (len(more) + len(logs))
            logs = more + logs
        pools.append((share, logs))
    for index, (share, logs) in enumerate(pools):
        if share < SHARE:
            continue
        if index == 0:
            return logs[0], "below"
        below, before = pools[index - 1]
        left, right = statistics.fmean(before), statistics.fmean(logs)
        return left + (right - left) * (SHARE - below) / (share - below), "between"
    return pools[-1][1][-1], "above"


def _share(step: SearchStep) -> float:
    """Return the step's share over the limit; a rate that was not kept is over it for sure."""
    if step.is_missed or not step.requests:
        return _MISSED
    return step.over / step.requests
