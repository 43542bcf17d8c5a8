"""Sum up a figure over blocks, and say which variants the blocks can tell apart.

Unknown stays None and is left out; nothing is ever filled in.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIN_BLOCKS = 3
"""With one or two values the range says next to nothing about the next one."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over blocks, in the figure's own unit."""

    median: float
    low: float
    high: float
    cv_ratio: float | None
    """Standard deviation over mean; None with fewer than two values, or a mean of 0."""
    count: int

    @property
    def has_spread(self) -> bool:
        """Whether there are enough values for `low` and `high` to mean something."""
        return self.count >= MIN_BLOCKS


@dataclass(frozen=True, slots=True)
class Rank:
    """The places a variant may hold: from `best` to `worst`, counted from 1; equal if certain."""

    best: int
    worst: int


def summarise(values: Iterable[float | None]) -> Summary | None:
    """Return the summary of the known values; None if there is none."""
    known = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    mean = statistics.fmean(known)
    cv_ratio = statistics.stdev(known) / mean if len(known) > 1 and mean > 0 else None
    return Summary(statistics.median(known), min(known), max(known), cv_ratio, len(known))


def rank(summaries: Sequence[Summary], *, largest_first: bool) -> tuple[Rank | None, ...]:
    """Give each variant the places that its range over blocks leaves open.

    Two variants are told apart only if their min-max ranges do not touch. So a variant's best place
    is one after all that are certainly better, and its worst place is before all that are certainly
    worse. None for a variant with too few blocks; against such a one nobody is told apart.

    This stands in until intervals from a bootstrap over blocks replace it.
    """
    sign = 1 if largest_first else -1

    def is_better(a: Summary, b: Summary) -> bool:
        if not (a.has_spread and b.has_spread):
            return False
        return a.low > b.high if sign > 0 else a.high < b.low

    ranks: list[Rank | None] = []
    for own in summaries:
        if not own.has_spread:
            ranks.append(None)
            continue
        better = sum(is_better(other, own) for other in summaries)
        worse = sum(is_better(own, other) for other in summaries)
        ranks.append(Rank(1 + better, len(summaries) - worse))
    return tuple(ranks)
