"""What a comparison says: one ranking for each endpoint and metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collect.model import Order, PairDecision
    from collect.stats.summary import Summary

Metric = Literal["rps", "p99_ms", "pss_peak_bytes", "cpu_s_per_request"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio with the 95 % interval that it lies in."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """One variant in one ranking."""

    variant: str
    position: int
    """Counted from 1, the best first; the order inside a tier means nothing."""
    tier: int | None
    """Counted from 1; None where there is nothing to compare it by."""
    figure: Summary
    """In the metric's own unit. Its range is no interval: the host's speed changes over hours, and
    only ratios inside a block hold."""
    to_best: Interval | None
    """This variant's figure over that of position 1, block by block. The interval allows for all
    pairs and looks, as tiers do. None for position 1 itself, or with fewer than two blocks."""
    alone: Interval | None
    """As `to_best`, with an interval for this one pair at one look, by a bootstrap over blocks."""
    best_probability: float | None
    """That it is the best of all, by the same bootstrap."""
    beats_next_probability: float | None
    """That it is better than the one in the next position; None for the last."""


@dataclass(frozen=True, slots=True)
class TwinGap:
    """What noise alone did: a variant against its exact copy."""

    twin: str
    original: str
    gap: Interval
    """Twin over original; a 95 % interval for this pair alone."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The variants by one metric on one endpoint; twins and variants without figures left out."""

    endpoint: str
    metric: Metric
    higher_is_better: bool
    rows: tuple[Ranked, ...]
    pairs: tuple[PairDecision, ...]
    """What the tiers rest on; ratios a / b of the figures."""
    alone: Mapping[tuple[str, str], Interval]
    """The same ratios, each with an interval for this one pair at one look."""
    twins: tuple[TwinGap, ...]
    smallest_gap: float | None
    """Smallest relative difference to believe: what the twin was off; None without a twin."""
    closest: PairDecision | None
    """Of the pairs that are not separated the one with the smallest gap that is still open, and how
    many more blocks it needs; None where every pair is decided."""
    blocks: int
    """Blocks that the figures come from."""
    note: str | None
    """Why nothing can be told apart, if so; a whole sentence."""

    def between(self, a: str, b: str) -> Interval | None:
        """Return a's figure over b's, for this pair alone; None with fewer than two blocks."""
        if (a, b) in self.alone:
            return self.alone[a, b]
        found = self.alone.get((b, a))
        return None if found is None else Interval(1 / found.ratio, 1 / found.high, 1 / found.low)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every ranking of one host's run."""

    order: Order
    looks: int
    """How often the run was looked at, which the intervals allow for; 1 without a stopping rule."""
    rankings: tuple[Ranking, ...]

    def ranking(self, endpoint: str, metric: Metric) -> Ranking:
        """Return the ranking of that endpoint and metric; `KeyError` where there is none."""
        for ranking in self.rankings:
            if (ranking.endpoint, ranking.metric) == (endpoint, metric):
                return ranking
        raise KeyError((endpoint, metric))
