"""How much of the error rate each look may use, when every look uses the same."""

from __future__ import annotations

import math
import statistics
from functools import lru_cache

_STEP = 0.4
"""Between two points of a grid, in standard deviations of what one block adds: Simpson's rule is
then right to the last digits, and 999 looks take two seconds. With a fixed number of points the
step grows with the blocks, until nothing is right: with 121, from a hundred blocks on."""
_FAR = 8.0
"""Standard deviations beyond which a block brings nothing that a float could tell."""


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
    # No less than by a plain division, and no more than a single look has, whatever is rounded.
    return min(1.0, max(1 / (last - first + 1), level / crossing_probability(first, last, level)))


def crossing_probability(first: int, last: int, level: float) -> float:
    """Return the probability that any of the looks shows a two-sided p-value below `level`.

    The sum of n blocks is followed from look to look, inside the boundary, by Simpson's rule:
    Armitage, McPherson and Rowe, Repeated Significance Tests on Accumulating Data, 1969. What lies
    below zero is what lies above it.
    """
    critical = -statistics.NormalDist().inv_cdf(level / 2)
    step, mass = 1.0, [0.5]
    before = 0
    for blocks in range(first, last + 1):
        reach = critical * math.sqrt(blocks)
        intervals = 2 * math.ceil(reach / (2 * _STEP))
        new_step = reach / intervals
        # All mass so far moves on by a normal step of this variance.
        variance = blocks - before
        scale = 1 / math.sqrt(2 * math.pi * variance)
        far = _FAR * math.sqrt(variance)
        moved = []
        for index in range(intervals + 1):
            x = index * new_step
            near = range(
                max(0, math.ceil((x - far) / step)), min(len(mass), int((x + far) / step) + 1)
            )
            density = sum(
                mass[at] * math.exp((x - at * step) ** 2 / (-2 * variance)) for at in near
            )
            for at in range(min(len(mass), int((far - x) / step) + 1)):
                density += mass[at] * math.exp((x + at * step) ** 2 / (-2 * variance))
            simpson = 1 if index in {0, intervals} else 4 if index % 2 else 2
            moved.append(scale * density * simpson * new_step / 3)
        step, mass, before = new_step, moved, blocks
    return 1 - 2 * math.fsum(mass)
