"""The one look at a run that no rule could end early, as `collect.decide.look_at` has it.

The same figures to the last bit, and a twentieth of the time: that one ships to hosts, and knows
only the standard library. A test holds the two against each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from collect.decide.look import (
    CLIP,
    CLOSE,
    MAD_TO_SD,
    MIN_PAIRED,
    ROUNDS,
    looks_of,
    scales_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from collect.decide import Look
    from collect.decide.look import Fit, Pair

    Floats = NDArray[np.float64]
    Figures = Mapping[int, Mapping[str, float | None]]


def look_once(
    figures: Figures, names: Sequence[str], pairs: Sequence[Pair]
) -> tuple[dict[Pair, list[Look]], dict[Pair, list[int]]]:
    """Return the look at each pair, none or one, and which blocks hold both, counted from 0.

    Args:
        figures: `{block: {variant: figure}}`; what is missing or not above 0 enters no pair.
        names: of all variants.
        pairs: out of them.
    """
    cells = [figures[block] for block in sorted(figures)]
    logs = {name: np.array([_log(of_block[name]) for of_block in cells]) for name in names}
    ratios, blocks = {}, {}
    for a, b in pairs:
        ratio = logs[a] - logs[b]
        both = ~np.isnan(ratio)
        ratios[a, b], blocks[a, b] = ratio[both], np.flatnonzero(both).tolist()
    looks = looks_of(_fits(ratios), share=1.0)
    return {pair: [looks[pair]] if pair in looks else [] for pair in pairs}, blocks


def _log(figure: float | None) -> float:
    return math.log(figure) if figure is not None and 0 < figure < math.inf else math.nan


def _fits(ratios: Mapping[Pair, Floats]) -> dict[Pair, Fit]:
    rising = {pair: np.sort(own) for pair, own in ratios.items() if len(own) >= MIN_PAIRED}
    if not rising:
        return {}
    medians = {pair: _middle(own) for pair, own in rising.items()}
    off = {pair: np.sort(np.abs(own - medians[pair])) for pair, own in rising.items()}
    longest = max(map(len, off.values()))
    typical = _scale(np.sort(np.concatenate([*off.values()])), longest)
    scales = scales_of({pair: _scale(own, len(own)) for pair, own in off.items()}, typical, longest)
    return {
        pair: _fit(ratios[pair], own, medians[pair], scales[pair]) for pair, own in rising.items()
    }


def _middle(rising: Floats) -> float:
    half = len(rising) // 2
    if len(rising) % 2:
        return float(rising[half])
    return (float(rising[half - 1]) + float(rising[half])) / 2


def _scale(rising: Floats, count: int) -> float:
    return MAD_TO_SD * _middle(rising) * math.sqrt(count / (count - 1))


def _fit(values: Floats, rising: Floats, start: float, scale: float) -> Fit:
    count = len(values)
    reach = CLIP * scale if scale > CLOSE else math.inf
    offsets = rising - start
    sums = np.concatenate([[0.0], np.cumsum(offsets)])
    shift = 0.0
    for _ in range(ROUNDS):
        low = int(offsets.searchsorted(shift - reach, "left"))
        high = int(offsets.searchsorted(shift + reach, "right"))
        beyond = (count - high) - low
        pulled = float(sums[high]) - float(sums[low]) - (high - low) * shift
        step = (pulled + (beyond * reach if beyond else 0.0)) / count
        shift += step
        if abs(step) <= CLOSE * max(scale, CLOSE):
            break
    off = values - (start + shift)
    inside = int(np.count_nonzero(np.abs(off) <= reach)) / count
    weight = 1 / max(inside, 0.5)
    return start + shift, tuple((weight * off.clip(-reach, reach)).tolist())
