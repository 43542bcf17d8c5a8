"""One look at the pairs: the centre of each pair's log-ratios, and how well it is known."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

from collect.decide.student import t_quantile, t_two_sided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Pair = tuple[str, str]
Fit = tuple[float, tuple[float, ...]]

CLIP = 2.0
"""Log-ratios more than this many robust standard deviations off are pulled in."""
LONE_BLOCKS = 10
"""From so many blocks on those of a single pair are pulled in. Where there is no other to tell
what is usual, ordinary noise of few blocks looks like strays: two identical servers were told apart
in 11 % of the runs of three blocks, in 8 % of five and in 6 % of eight; without it in 5 %."""
PRIOR_WEIGHT = 4
"""Weight of the noise expected of a pair against the noise it shows, in degrees of freedom. In
simulation 0 finds a gap of 10 % in three blocks in a quarter of the runs, 4 in three quarters.
Two identical servers that were noisier than the rest were told apart in 4-6 % of the runs with 4
(5 % promised), and in 5-8 % with 8."""
MIN_PAIRED = 2
"""One log-ratio has no spread."""

MAD_TO_SD = 1.4826
ROUNDS = 30
CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a pair saw, on the log scale."""

    estimate: float
    error: float
    """Standard error of the estimate."""
    freedom: int
    """Degrees of freedom of its t distribution."""
    share: float
    """Share of the error rate that this look may use up."""
    deviations: tuple[float, ...]
    """What each block is off the estimate, pulled in; one for each block that holds both."""

    @property
    def paired(self) -> int:
        """Return how many blocks hold both."""
        return len(self.deviations)

    def p_value(self) -> float:
        """Return the two-sided p-value of "both are the same"; 1 where nothing is known."""
        if self.error > 0:
            return t_two_sided(abs(self.estimate) / self.error, self.freedom)
        # Rounding of the logarithms is no difference.
        return 1.0 if abs(self.estimate) < CLOSE else 0.0

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval that misses the truth with probability `level` x share."""
        half = t_quantile(level * self.share, self.freedom) * self.error if self.error > 0 else 0.0
        return self.estimate - half, self.estimate + half


def look_at(ratios: Mapping[Pair, Sequence[float]], share: float = 1.0) -> dict[Pair, Look]:
    """Return what the log-ratios of each pair say; pairs with fewer than two are left out.

    Args:
        ratios: one log-ratio for each block that holds both.
        share: of the error rate.
    """
    known = {pair: of_pair for pair, of_pair in ratios.items() if len(of_pair) >= MIN_PAIRED}
    if not known:
        return {}
    medians = {pair: statistics.median(of_pair) for pair, of_pair in known.items()}
    off = {pair: [abs(x - medians[pair]) for x in of_pair] for pair, of_pair in known.items()}
    # A pair's own scale can be as small as chance makes it; the host is as noisy for all.
    longest = max(len(of_pair) for of_pair in off.values())
    typical = _scale([x for of_pair in off.values() for x in of_pair], longest)
    scales = scales_of({pair: _scale(own, len(own)) for pair, own in off.items()}, typical, longest)
    return looks_of(
        {pair: _fit(of_pair, medians[pair], scales[pair]) for pair, of_pair in known.items()}, share
    )


def scales_of(own: Mapping[Pair, float], typical: float, longest: int) -> dict[Pair, float]:
    """Return by what scale to tell a pair's strays; 0 where none can be told.

    Args:
        own: each pair's own.
        typical: that of all pairs together.
        longest: blocks of the pair that has the most.
    """
    if len(own) == 1 and longest < LONE_BLOCKS:
        return dict.fromkeys(own, 0.0)
    return {pair: max(typical, scale) for pair, scale in own.items()}


def looks_of(fits: Mapping[Pair, Fit], share: float) -> dict[Pair, Look]:
    """Return the look at each pair, whose error allows for what the other pairs make expect.

    Args:
        fits: of each pair its centre, and what each block is off it, pulled in; two blocks or more.
        share: of the error rate.
    """
    if not fits:
        return {}
    spreads = {pair: _variance(deviations) for pair, (_, deviations) in fits.items()}
    priors, others = _priors(spreads)
    looks = {}
    for pair, (estimate, deviations) in fits.items():
        count = len(deviations)
        # What the others say is worth no more than what they know.
        weight = min(PRIOR_WEIGHT, others * (count - 1))
        freedom = count - 1 + weight
        mixed = (weight * priors[pair] + (count - 1) * spreads[pair]) / freedom
        looks[pair] = Look(estimate, math.sqrt(mixed / count), freedom, share, deviations)
    return looks


def _priors(variances: Mapping[Pair, float]) -> tuple[dict[Pair, float], int]:
    """Return the variance that the other pairs make expect, and how many other variants there are.

    A pair's variance is the sum of what its two variants bring, so a variant that is noisy against
    everybody raises what is expected of each of its pairs. Nothing is expected below the typical.
    """
    typical = statistics.median(variances.values())
    own: dict[str, list[float]] = {}
    for (a, b), variance in variances.items():
        own.setdefault(a, []).append(variance)
        own.setdefault(b, []).append(variance)
    usual = {name: statistics.median(of_variant) for name, of_variant in own.items()}
    priors = {(a, b): max(typical, usual[a] + usual[b] - typical) for a, b in variances}
    return priors, len(own) - 2


def _scale(deviations: Sequence[float], count: int) -> float:
    return MAD_TO_SD * statistics.median(deviations) * math.sqrt(count / (count - 1))


def _variance(deviations: Sequence[float]) -> float:
    squares: float = sum(map(mul, deviations, deviations))
    return squares / (len(deviations) - 1)


def _fit(values: Sequence[float], start: float, scale: float) -> Fit:
    """Return Huber's centre of the values, and what each is off it, pulled in.

    The variance of the deviations is that of the centre times their number: what was pulled in is
    made up for by the share that was not.
    """
    count = len(values)
    # Without a scale, as where more than half are equal, no stray one can be told.
    reach = CLIP * scale if scale > CLOSE else math.inf
    # Sorted, the sum of those within reach is one subtraction, however many there are.
    offsets = sorted(value - start for value in values)
    sums = (0.0, *accumulate(offsets))
    shift = 0.0
    for _ in range(ROUNDS):
        low, high = bisect_left(offsets, shift - reach), bisect_right(offsets, shift + reach)
        beyond = (count - high) - low
        pulled = sums[high] - sums[low] - (high - low) * shift
        step = (pulled + (beyond * reach if beyond else 0.0)) / count
        shift += step
        if abs(step) <= CLOSE * max(scale, CLOSE):
            break
    centre = start + shift
    inside = sum(abs(value - centre) <= reach for value in values) / count
    # At least half of them lie inside: the scale is no less than their own.
    weight = 1 / max(inside, 0.5)
    return centre, tuple(weight * max(-reach, min(reach, value - centre)) for value in values)
