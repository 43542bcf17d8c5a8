"""Compare as one would by hand, ignoring blocks: for runs in sequential order.

There each variant ran in its own hours, so no block holds two trials that saw the same host. What a
throttled host does to such a comparison is what `serverbench simulate --order sequential` shows.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from collect.decide import Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def welch_looks(
    figures: Mapping[str, Sequence[float]], pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[Look]]:
    """Return one look at each pair: Welch's t test of the logarithms of all figures.

    Welch, The Generalization of "Student's" Problem, 1947; degrees of freedom rounded down.
    """
    looks: dict[tuple[str, str], list[Look]] = {}
    for a, b in pairs:
        looks[a, b] = []
        logs_a, logs_b = ([math.log(x) for x in figures.get(name, ())] for name in (a, b))
        if min(len(logs_a), len(logs_b)) < 2:  # noqa: PLR2004 - a variance takes two
            continue
        error_a, error_b = (statistics.variance(logs) / len(logs) for logs in (logs_a, logs_b))
        error = error_a + error_b
        freedom = 1
        if error > 0:
            parts = error_a**2 / (len(logs_a) - 1) + error_b**2 / (len(logs_b) - 1)
            # Squares of tiny errors may vanish.
            freedom = int(error**2 / parts) if parts > 0 else 1
        estimate = statistics.fmean(logs_a) - statistics.fmean(logs_b)
        looks[a, b].append(Look(estimate, math.sqrt(error), max(1, freedom), 1.0, ()))
    return looks
