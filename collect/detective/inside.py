"""When the speed changed inside a trial, by what the sampler saw of the loopback traffic."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.store import StoredTrial

Rates = tuple[tuple[float, float], ...]
"""Seconds since the begin of the load, and how fast it was from the moment before until then."""

SAMPLES = "samples.jsonl"
_LEAST = 6
"""Fewer moments show no change."""


def throughput_of(stored: StoredTrial) -> Rates:
    """Return the throughput inside a trial, in bytes a second; empty where it is not known."""
    try:
        lines = (stored.folder / SAMPLES).read_text(encoding="utf-8").splitlines()
        samples = [json.loads(line) for line in lines]
        points = [(float(one["t_s"]), int(one["loopback_bytes"])) for one in samples]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return ()
    return tuple(
        (after_s, (after - before) / (after_s - before_s))
        for (before_s, before), (after_s, after) in pairwise(points)
        if after_s > before_s and after >= before
    )


def change_inside(rates: Sequence[tuple[float, float]], effect: float) -> float | None:
    """Return when the speed changed, in seconds since the begin of the load.

    The best cut in two (least squares on the log scale) counts if both sides last for two moments
    and differ by at least half of what is looked for, in the same direction, and by four times
    what the moments scatter.

    Args:
        rates: the throughput inside the trial.
        effect: the change looked for, on the log scale.
    """
    known = [(moment, math.log(rate)) for moment, rate in rates if rate > 0]
    if len(known) < _LEAST:
        return None
    moments, values = (np.array(column) for column in zip(*known, strict=True))
    count = np.arange(1, len(values))
    sums = np.cumsum(values)
    before = sums[:-1] / count
    after = (sums[-1] - sums[:-1]) / count[::-1]
    explained = (after - before) ** 2 * count * count[::-1]
    cut = 1 + int(np.argmax(explained[1:-1]))
    change = float(after[cut] - before[cut])
    rest = values - np.where(np.arange(len(values)) <= cut, before[cut], after[cut])
    scatter = float(np.std(rest)) * math.sqrt(1 / (cut + 1) + 1 / (len(values) - cut - 1))
    if change * effect <= 0 or abs(change) < max(abs(effect) / 2, 4 * scatter):
        return None
    return float(moments[cut])
