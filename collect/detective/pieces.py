"""Cut a series into pieces of one level each.

Optimal partitioning: Jackson et al., An Algorithm for Optimal Partitioning of Data on an Interval,
2005. The library ruptures finds the same, as a test shows; but it brings scipy along, and to import
the two took longer than all else that a report of 1,000 trials does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collect.detective.noise import Floats


def ends_of_pieces(values: Floats, penalty: float) -> list[int]:
    """Return the place after the last value of each piece, of the cheapest way to cut.

    A piece costs the squares of what its values are off their mean, and the penalty. Time is the
    square of the number of values, some hundreds here.
    """
    count = len(values)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    sizes = np.arange(count, 0, -1)
    cheapest = np.zeros(count + 1)
    """Of all ways to cut the values before a place."""
    begins = np.zeros(count + 1, dtype=np.int64)
    """Where the last piece before a place begins in it."""
    for end in range(1, count + 1):
        own = sums[end] - sums[:end]
        costs = squares[end] - squares[:end] - own * own / sizes[count - end :]
        totals = cheapest[:end] + costs + penalty
        begins[end] = np.argmin(totals)
        cheapest[end] = totals[begins[end]]
    ends = [count] if count else []
    while ends and (begin := int(begins[ends[-1]])):
        ends.append(begin)
    return ends[::-1]
