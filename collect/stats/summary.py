"""Sum up a figure over blocks.

Unknown stays None and is left out; nothing is ever filled in.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over blocks, in the figure's own unit."""

    median: float
    low: float
    high: float
    cv_ratio: float | None
    """Standard deviation over mean; None with fewer than two values, or a mean of 0."""
    count: int


def summarise(values: Iterable[float | None]) -> Summary | None:
    """Return the summary of the known values; None if there is none."""
    known = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    mean = statistics.fmean(known)
    cv_ratio = None
    if len(known) > 1 and mean > 0:
        # Not statistics.stdev: in fractions it takes longer than all else that is asked of them.
        squares = math.fsum((value - mean) ** 2 for value in known)
        cv_ratio = math.sqrt(squares / (len(known) - 1)) / mean
    return Summary(statistics.median(known), min(known), max(known), cv_ratio, len(known))
