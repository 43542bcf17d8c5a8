"""Compare variants over the blocks of a run: ratios with intervals, and tiers."""

from collect.stats.compare import METRICS, compare, decide_order
from collect.stats.comparison import Comparison, Interval, Metric, Ranked, Ranking, TwinGap
from collect.stats.summary import Summary, summarise
from collect.stats.tiers import assign_tiers

__all__ = [
    "METRICS",
    "Comparison",
    "Interval",
    "Metric",
    "Ranked",
    "Ranking",
    "Summary",
    "TwinGap",
    "assign_tiers",
    "compare",
    "decide_order",
    "summarise",
]
