"""Looks at one endpoint after each block, and what they say of its pairs."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from collect.decide.look import MIN_PAIRED, look_at
from collect.decide.spending import look_share
from collect.model import PairDecision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collect.decide.look import Look, Pair

ALPHA = 0.05
"""Chance that any pair of an endpoint is wrongly told apart, over all looks of a run."""
FIRST_LOOK = 3
"""Of several looks none comes earlier: two blocks err more often than promised where servers differ
in their noise."""
MANY_BLOCKS = 1000
"""Nobody waits for more blocks than this."""

_MAX_LOG = 700.0

State = Literal["separated", "within_gap", "open"]


@dataclass(frozen=True, slots=True)
class _Level:
    """The error rate of a pair's interval, and what Holm's method says of it."""

    error_rate: float
    separated: bool


class Sequential:
    """The looks at one endpoint so far; feed it block after block."""

    def __init__(
        self,
        variants: Iterable[str],
        *,
        min_blocks: int,
        max_blocks: int,
        twins: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare for the pairs of these variants; `twins` maps a twin to its original.

        The first look comes after block `min_blocks`, but not before `FIRST_LOOK`; the last one
        after `max_blocks`.
        """
        self._twins = dict(twins or {})
        competitors = [variant for variant in variants if variant not in self._twins]
        self.pairs = list(combinations(competitors, 2))
        first = max(MIN_PAIRED, min(max(FIRST_LOOK, min_blocks), max_blocks))
        self.first_look, self._share = first, _share(first, max_blocks, len(self.pairs))
        self._blocks = 0
        every = [*self.pairs, *self._twins.items()]
        self.blocks: dict[Pair, list[int]] = {pair: [] for pair in every}
        """Which blocks, counted from 0, hold both."""
        self._ratios: dict[Pair, list[float]] = {pair: [] for pair in every}
        self.looks: dict[Pair, list[Look]] = {pair: [] for pair in every}

    def add_block(self, figures: Mapping[str, float | None]) -> None:
        """Take one block's figures; what is missing or not above 0 is left out of its pairs."""
        self._blocks += 1
        logs = {
            variant: math.log(x)
            for variant, x in figures.items()
            if x is not None and 0 < x < math.inf
        }
        for (a, b), ratios in self._ratios.items():
            if a in logs and b in logs:
                ratios.append(logs[a] - logs[b])
                self.blocks[a, b].append(self._blocks - 1)
        if self._blocks >= self.first_look:
            for pair, look in look_at(self._ratios, self._share).items():
                self.looks[pair].append(look)

    def decide(self, endpoint: str, gap: float | None) -> tuple[PairDecision, ...]:
        """Say of every pair what is known; see `decide_pairs`."""
        return decide_pairs(endpoint, self.pairs, self.looks, gap=gap, floor=self.floor())

    def floor(self) -> float:
        """Return the largest gap measured between a twin and its original, on the log scale."""
        return largest_gap(self.looks[pair] for pair in self._twins.items())


def decide_pairs(
    endpoint: str,
    pairs: Iterable[Pair],
    looks: Mapping[Pair, Sequence[Look]],
    *,
    gap: float | None,
    floor: float,
) -> tuple[PairDecision, ...]:
    """Say of every pair what its looks add up to.

    Args:
        endpoint: its name.
        pairs: all that Holm's method must allow for.
        looks: of each pair, the oldest first.
        gap: 0.05 means that the slower one has 95 % of what the faster one has.
        floor: smallest difference to believe, on the log scale.
    """
    levels = _holm({pair: looks[pair] for pair in pairs})
    bound = gap_log(gap)
    return tuple(
        _decide((endpoint, *pair), looks[pair], level, bound, floor)
        for pair, level in levels.items()
    )


def largest_gap(twins: Iterable[Sequence[Look]]) -> float:
    """Return the largest difference that the last looks saw, on the log scale; 0 without any."""
    return max((abs(looks[-1].estimate) for looks in twins if looks), default=0.0)


def _share(first: int, last: int, pairs: int) -> float:
    # The nominal level can be no less than a plain division by pairs and looks.
    return look_share(first, last, ALPHA / max(1, pairs) / max(1, last - first + 1))


def gap_log(gap: float | None) -> float | None:
    """Return the gap on the log scale: at 0.05, -log(0.95)."""
    return None if gap is None else -math.log1p(-gap)


def _holm(looks: Mapping[Pair, Sequence[Look]]) -> dict[Pair, _Level]:
    best = {
        pair: min((look.p_value() / look.share for look in of_pair), default=math.inf)
        for pair, of_pair in looks.items()
    }
    count, left = max(1, len(best)), len(best)
    told_apart: set[Pair] = set()
    for pair in sorted(best, key=lambda pair: best[pair]):
        if best[pair] > ALPHA / left:
            break
        told_apart.add(pair)
        left -= 1
    # An interval of level 2a is two one-sided tests of level a each.
    rest = _Level(min(ALPHA / max(1, left), 2 * ALPHA / count), separated=False)
    apart = _Level(ALPHA / count, separated=True)
    return {pair: apart if pair in told_apart else rest for pair in best}


def _decide(
    names: tuple[str, str, str],
    looks: Sequence[Look],
    level: _Level,
    bound: float | None,
    floor: float,
) -> PairDecision:
    if not looks:
        return PairDecision(*names, None, None, None, "open", None)
    last = looks[-1]
    intervals = [look.interval(level.error_rate) for look in looks]
    low, high = max(low for low, _ in intervals), min(high for _, high in intervals)
    state: State = "open"
    sign = 1 if last.estimate > 0 else -1
    if low > high or (level.separated and (high if sign > 0 else -low) <= 0):
        # Early and late blocks contradict each other: whatever changed, nothing is known.
        low, high = intervals[-1]
    elif level.separated and abs(last.estimate) > floor:
        state = "separated"
        # Holm's method may know the direction where an interval for all pairs at once does not.
        low, high = (max(low, 0.0), high) if sign > 0 else (low, min(high, 0.0))
    elif bound is not None and -bound < low and high < bound:
        state = "within_gap"
    return PairDecision(
        *names,
        ratio=_exp(last.estimate),
        ratio_low=_exp(low),
        ratio_high=_exp(high),
        state=state,
        blocks_needed=0 if state != "open" else _blocks_needed(last, level, bound, floor),
    )


def _blocks_needed(last: Look, level: _Level, bound: float | None, floor: float) -> int | None:
    """Guess how many more blocks decide it, if the estimate and its noise stay what they are.

    Cornish and Fisher's first term, t = z + (z^3 + z) / (4 nu), is close enough for a guess.
    """
    size = abs(last.estimate)
    distance = size if size > floor else 0.0
    if bound is not None:
        distance = max(distance, bound - size)
    if distance <= 0 or not last.paired:
        return None
    z = -statistics.NormalDist().inv_cdf(level.error_rate * last.share / 2)

    def is_enough(more: int) -> bool:
        t = z + (z**3 + z) / (4 * (last.freedom + more))
        return t * last.error * math.sqrt(last.paired / (last.paired + more)) < distance

    # The more, the smaller the error.
    choices = range(1, MANY_BLOCKS)
    place = bisect_left(choices, True, key=is_enough)  # noqa: FBT003 - the answer that is looked for
    return choices[place] if place < len(choices) else None


def _exp(x: float) -> float:
    # Two blocks may leave a ratio or an interval wider than a float can say.
    return math.exp(max(-_MAX_LOG, min(_MAX_LOG, x)))
