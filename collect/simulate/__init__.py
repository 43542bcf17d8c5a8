"""Prove the comparing by simulation: synthetic hosts, real planning, verdicts and statistics.

Six servers run on a host whose speed wanders (an Ornstein-Uhlenbeck process on its logarithm),
which a provider throttles and frees again (two states, exponential dwell times), and which may
drift. Two of the servers are identical, so whoever ranks one before the other was fooled.

Interleaved, a seventh variant is the labelled A/A twin of one server. In sequential order there is
none, because nobody who measures by hand has one, and the servers come in an order as random as a
person's whim.

What comes out, over all runs:

- `false_winner_rate`: runs that put the two identical servers into different tiers.
- `detection_rate`: pairs exactly one gap apart that got different tiers, the right way round.
- `ratio_error_p50`, `ratio_error_p95`: |estimated / true ratio - 1| over all pairs.
- `tier_accuracy`: runs whose tiers are exactly the true ones.
- `interval_coverage`: runs in which the intervals of all pairs hold the true ratios at once.
- `blocks_used_mean`: blocks run until everything was decided, or the last one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from collect.checks import verdict
from collect.decide import Sequential, twins_of
from collect.simulate.host import ALIKE, ONE_GAP_APART, plan_host, run_host, true_speeds
from collect.simulate.setup import Setup, check_setup
from collect.stats import METRICS, compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.model import Plan, Trial
    from collect.stats import Ranking

__all__ = ["Setup", "Simulated", "render_table", "simulate"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came out; see the module."""

    runs: int
    false_winner_rate: float
    detection_rate: float
    ratio_error_p50: float
    ratio_error_p95: float
    tier_accuracy: float
    interval_coverage: float
    blocks_used_mean: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    is_fooled: bool
    found: tuple[bool, ...]
    errors: tuple[float, ...]
    is_exact: bool
    is_covered: bool
    blocks: int


def simulate(setup: Setup) -> Simulated:
    """Run the synthetic hosts; the same setup gives the same figures.

    Raises:
        DataError: a number is out of its range; the message names the option.
    """
    check_setup(setup)
    outcomes = [_run(setup, number) for number in range(setup.runs)]
    errors = np.concatenate([outcome.errors for outcome in outcomes])
    return Simulated(
        runs=setup.runs,
        false_winner_rate=_mean([outcome.is_fooled for outcome in outcomes]),
        detection_rate=_mean([found for outcome in outcomes for found in outcome.found]),
        ratio_error_p50=float(np.quantile(errors, 0.5)),
        ratio_error_p95=float(np.quantile(errors, 0.95)),
        tier_accuracy=_mean([outcome.is_exact for outcome in outcomes]),
        interval_coverage=_mean([outcome.is_covered for outcome in outcomes]),
        blocks_used_mean=_mean([outcome.blocks for outcome in outcomes]),
    )


def render_table(result: Simulated) -> str:
    """Return the figures as two columns."""
    lines = [f"{'runs':<20}{result.runs:>8}"]
    for name, is_share in _COLUMNS:
        value = getattr(result, name)
        lines.append(f"{name:<20}{f'{value:.1%}' if is_share else f'{value:.1f}':>8}")
    return "\n".join(lines) + "\n"


_COLUMNS = (
    ("false_winner_rate", True),
    ("detection_rate", True),
    ("ratio_error_p50", True),
    ("ratio_error_p95", True),
    ("tier_accuracy", True),
    ("interval_coverage", True),
    ("blocks_used_mean", False),
)


def _run(setup: Setup, number: int) -> _Outcome:
    plan = plan_host(setup, number)
    judged = [(trial, verdict(trial)) for trial in run_host(setup, plan, number)]
    usable = [trial for trial, judgement in judged if judgement.status != "invalid"]
    blocks = _blocks_used(plan, usable)
    chosen = [(trial, judgement) for trial, judgement in judged if trial.block <= blocks]
    (ranking,) = compare(plan, chosen, measures=METRICS[:1], resamples=0).rankings
    return _score(ranking, true_speeds(setup.gap), blocks)


def _blocks_used(plan: Plan, usable: Sequence[Trial]) -> int:
    """Say after which block the runner would have stopped."""
    gap = plan.stopping.gap
    if gap is None:
        return plan.blocks
    figures: dict[int, dict[str, float | None]] = {b: {} for b in range(1, plan.blocks + 1)}
    for trial in usable:
        figures[trial.block][trial.variant] = trial.wrk.rps if trial.wrk else None
    looks = Sequential(
        [variant.id for variant in plan.variants],
        min_blocks=plan.stopping.min_blocks,
        max_blocks=plan.blocks,
        twins=twins_of(plan),
    )
    endpoint = plan.endpoints[0].name
    for block, cells in figures.items():
        looks.add_block(cells)
        if block >= plan.stopping.min_blocks and all(
            pair.state != "open" for pair in looks.decide(endpoint, gap)
        ):
            return block
    return plan.blocks


def _score(ranking: Ranking, speeds: Mapping[str, float], blocks: int) -> _Outcome:
    tiers = {row.variant: row.tier or 0 for row in ranking.rows}
    distinct = sorted(set(speeds.values()), reverse=True)
    truth = {name: distinct.index(speed) + 1 for name, speed in speeds.items()}
    errors, held = [], []
    for pair in ranking.pairs:
        true_ratio = speeds[pair.a] / speeds[pair.b]
        if pair.ratio is None or pair.ratio_low is None or pair.ratio_high is None:
            continue
        errors.append(abs(pair.ratio / true_ratio - 1))
        held.append(pair.ratio_low <= true_ratio <= pair.ratio_high)
    return _Outcome(
        is_fooled=tiers[ALIKE[0]] != tiers[ALIKE[1]],
        found=tuple(tiers[faster] < tiers[slower] for faster, slower in ONE_GAP_APART),
        errors=tuple(errors),
        is_exact=tiers == truth,
        is_covered=all(held),
        blocks=blocks,
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
