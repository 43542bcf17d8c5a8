"""How much of the error rate each look may use, when every look uses the same."""

from __future__ import annotations

import math
import statistics
from functools import lru_cache

_POINTS = 121
"""Odd, for Simpson's rule; twice as many change the sixth digit."""


@lru_cache(maxsize=256)
def look_share(first: int, last: int, level: float) -> float:
    """Return the share of an error rate for each look after block `first`, ..., `last`.

    Looks at the same growing data resemble each other, so that many of them err less often than
    their number says. Pocock, Group Sequential Methods in the Design and Analysis of Clinical
    Trials, 1977: the same nominal level at each look, here for t statistics by their p-values, as
    he proposes. The share shrinks with the level, so the one of a small level is safe for a larger.

    Args:
        first: blocks at the first look.
        last: blocks at the last one; a share of 1 if it is the only one.
        level: the nominal level of one look, by a plain division: what it grows to is computed.
    """
    if last <= first:
        return 1.0
    return level / crossing_probability(first, last, level)


def crossing_probability(first: int, last: int, level: float) -> float:
    """Return the probability that any of the looks shows a two-sided p-value below `level`.

    The sum of n blocks is followed from look to look, inside the boundary, by Simpson's rule:
    Armitage, McPherson and Rowe, Repeated Significance Tests on Accumulating Data, 1969.
    """
    critical = -statistics.NormalDist().inv_cdf(level / 2)
    mass: list[tuple[float, float]] = [(0.0, 1.0)]
    before = 0
    for blocks in range(first, last + 1):
        reach = critical * math.sqrt(blocks)
        step = 2 * reach / (_POINTS - 1)
        # All mass so far moves on by a normal step of this variance.
        variance = blocks - before
        scale = 1 / math.sqrt(2 * math.pi * variance)
        moved = []
        for index in range(_POINTS):
            x = index * step - reach
            density = scale * sum(
                weight * math.exp((x - y) ** 2 / (-2 * variance)) for y, weight in mass
            )
            simpson = 1 if index in {0, _POINTS - 1} else 4 if index % 2 else 2
            moved.append((x, density * simpson * step / 3))
        mass, before = moved, blocks
    return 1 - math.fsum(weight for _, weight in mass)
