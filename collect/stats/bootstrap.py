"""A bootstrap that resamples whole blocks, all variants of a block together.

Tiers do not rest on it: with three blocks there are ten different resamples, and no bootstrap can
make more of them. It gives probabilities, and intervals for one pair by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from collect.decide import ALPHA
from collect.decide.student import t_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from collect.decide import Look

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Resampled pairs on the log scale: one column a pair."""

    columns: Mapping[Pair, int]
    draws: NDArray[np.float64]
    """estimate - t* x error: the bootstrap-t's distribution of the true log-ratio."""
    halves: NDArray[np.float64]
    """Half the width of each pair's 95 % interval."""

    def probability(self, winner: str, loser: str) -> float | None:
        """Return the probability that the winner's figure is the larger; None if not compared."""
        draws = self.column(winner, loser)
        return None if draws is None else _share(draws > 0)

    def best(self, name: str, names: Sequence[str], sign: int) -> float | None:
        """Return the probability that `sign` x figure is the largest of all of `names`."""
        columns = [self.column(name, other) for other in names if other != name]
        known = [sign * column for column in columns if column is not None]
        if len(known) < len(columns) or not known:
            return None
        return _share(np.all(np.stack(known) > 0, axis=0))

    def half(self, a: str, b: str) -> float:
        """Return half the width of the pair's interval."""
        return float(self.halves[self.columns[(a, b) if (a, b) in self.columns else (b, a)]])

    def column(self, a: str, b: str) -> NDArray[np.float64] | None:
        """Return the draws of log(a / b)."""
        if (a, b) in self.columns:
            return self.draws[:, self.columns[a, b]]
        if (b, a) in self.columns:
            return -self.draws[:, self.columns[b, a]]
        return None


def resample_blocks(
    looks: Mapping[Pair, Look],
    blocks: Mapping[Pair, Sequence[int]],
    *,
    resamples: int,
    seed: int,
) -> Bootstrap:
    """Resample blocks with replacement, and studentise each resample (bootstrap-t).

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 12.5; the interval is symmetric
    (Hall, On Symmetric Bootstrap Confidence Intervals, 1988), of error smaller by an order. What is
    resampled are Huber's pulled-in deviations, with the share of the noise that `collect.decide`
    takes from other pairs held fixed. A resample of few blocks is less spread than the truth, so an
    interval is never narrower than that of the t distribution.

    Args:
        looks: the last look at each pair.
        blocks: which blocks its deviations come from, in rising order.
        resamples: how many.
        seed: the same seed and figures give the same answer.
    """
    columns = {pair: index for index, pair in enumerate(looks)}
    total = 1 + max((blocks[pair][-1] for pair in looks), default=0)
    deviations = np.full((total, len(looks)), np.nan)
    for pair, look in looks.items():
        deviations[blocks[pair], columns[pair]] = look.deviations
    known = np.isfinite(deviations)
    filled = np.where(known, deviations, 0.0)
    sums = _resampled_sums(np.hstack([known, filled, filled**2]), resamples, seed)
    count, total_deviation, total_square = np.hsplit(sums, 3)
    count = np.maximum(count, 1)
    mean = total_deviation / count
    squares = np.maximum(total_square - count * mean**2, 0.0)

    every = list(looks.values())
    error = np.array([look.error for look in every])
    freedom = np.array([look.freedom for look in every])
    paired = np.array([look.paired for look in every])
    borrowed = np.maximum(freedom * paired * error**2 - (filled**2).sum(axis=0), 0.0)
    variance = (borrowed + squares) / (borrowed_freedom(freedom, paired) + np.maximum(count - 1, 1))
    spread = np.sqrt(variance / count)
    t = np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 0)
    quantile = np.quantile(np.abs(t), 1 - ALPHA, axis=0) if resamples else np.zeros(len(every))
    floor = np.array([t_quantile(ALPHA, look.freedom) for look in every])
    estimate = np.array([look.estimate for look in every])
    return Bootstrap(columns, estimate - t * error, np.maximum(quantile, floor) * error)


def _resampled_sums(
    of_blocks: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Draw as many blocks as there are, and sum their figures: a row for each resample."""
    # One matrix product, of floats: with whole numbers it takes many times as long.
    return _weights(len(of_blocks), resamples, abs(seed)).astype(np.float64) @ of_blocks


@lru_cache(maxsize=1)  # All metrics and endpoints of a run are drawn alike.
def _weights(total: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """Return how often each of `total` blocks was drawn: a row for each resample."""
    generator = np.random.default_rng(seed)
    weights = np.empty((resamples, total), np.uint8)
    for row in weights:
        row[:] = np.bincount(generator.integers(0, total, size=total), minlength=total)
    return weights


def borrowed_freedom(freedom: NDArray[np.int64], paired: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the degrees of freedom that come from other pairs."""
    return freedom - (paired - 1)


def _share(hits: NDArray[np.bool_]) -> float:
    # Never 0 or 1: so many resamples cannot show that.
    return float((hits.sum() + 0.5) / (hits.size + 1))
