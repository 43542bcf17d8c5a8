"""Compare every variant with every other on one host: each endpoint, each metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from collect.decide import (
    ALPHA,
    FIRST_LOOK,
    Sequential,
    decide_pairs,
    figures_of,
    largest_gap,
    twins_of,
)
from collect.lang import _
from collect.stats.bootstrap import Bootstrap, resample_blocks
from collect.stats.comparison import Comparison, Interval, Metric, Ranked, Ranking, TwinGap
from collect.stats.once import look_once
from collect.stats.summary import Summary, summarise
from collect.stats.tiers import assign_tiers
from collect.stats.unpaired import welch_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from collect.checks import Verdict
    from collect.decide import Look
    from collect.model import PairDecision, Plan, Trial

Pair = tuple[str, str]
Figures = dict[int, dict[str, float | None]]

RESAMPLES = 2000
"""Enough for a probability to within two percentage points."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric: how to take it from a trial, and which end of it is the good one."""

    name: Metric
    value: Callable[[Trial], float | None]
    higher_is_better: bool = False


def _rps(trial: Trial) -> float | None:
    return None if trial.wrk is None else trial.wrk.rps


def _p99_ms(trial: Trial) -> float | None:
    latency = trial.whole_latency_ms
    return None if latency is None else latency.p99


def _pss_peak_bytes(trial: Trial) -> float | None:
    return trial.whole_pss_peak_bytes


def _cpu_s_per_request(trial: Trial) -> float | None:
    if trial.wrk is None or trial.whole_cpu_s is None:
        return None
    return trial.whole_cpu_s / trial.wrk.requests if trial.wrk.requests > 0 else None


METRICS = (
    Measure("rps", _rps, higher_is_better=True),
    Measure("p99_ms", _p99_ms),
    Measure("pss_peak_bytes", _pss_peak_bytes),
    Measure("cpu_s_per_request", _cpu_s_per_request),
)
_METRIC_NAMES = tuple(measure.name for measure in METRICS)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The looks at one endpoint's pairs, whichever way they were compared."""

    pairs: Sequence[Pair]
    looks: Mapping[Pair, Sequence[Look]]
    blocks: Mapping[Pair, Sequence[int]] | None
    """None where blocks were ignored: then there is nothing to resample."""


def compare(
    plan: Plan,
    judged: Iterable[tuple[Trial, Verdict]],
    *,
    measures: Sequence[Measure] = METRICS,
    resamples: int = RESAMPLES,
    resampled: Container[Metric] = _METRIC_NAMES,
) -> Comparison:
    """Compare the variants of one host's run.

    Invalid trials enter nothing; of several attempts the first that is not invalid counts.
    Pairs are compared over the blocks that hold both. Where the plan may end early, intervals and
    tiers come from the same sequential rule that ended it, for every metric.

    Args:
        plan: the host's plan.
        judged: its trials with their verdicts.
        measures: by what to compare them.
        resamples: of the bootstrap; 0 leaves probabilities and single intervals out.
        resampled: by which metrics; the others have none.
    """
    done, usable = _usable(judged)
    may_stop = plan.stopping.gap is not None and plan.order == "interleaved"
    # A run cut off before its first look is looked at once: its figures did not end it.
    may_stop = may_stop and done >= max(FIRST_LOOK, plan.stopping.min_blocks)
    rankings = []
    for measure in measures:
        figures = figures_of(plan, usable, range(1, done + 1), measure.value)
        times = resamples if measure.name in resampled else 0
        for endpoint in plan.endpoints:
            of_endpoint = figures[endpoint.name]
            seen = _look(plan, of_endpoint, may_stop=may_stop)
            rankings.append(_rank(plan, endpoint.name, measure, of_endpoint, seen, times))
    looks = done - max(FIRST_LOOK, plan.stopping.min_blocks) + 1 if may_stop else 1
    return Comparison(plan.order, looks, tuple(rankings))


def decide_order(
    plan: Plan, judged: Iterable[tuple[Trial, Verdict]], blocks: Sequence[int]
) -> list[PairDecision]:
    """Return how each pair's req/s compare, endpoint by endpoint, in a part of an interleaved run.

    What `compare` says of the pairs, without what it takes to rank the variants.

    Args:
        plan: the host's plan; what it says of an early end is left aside.
        judged: the trials of that part, with their verdicts.
        blocks: which it holds, in rising order.
    """
    _, usable = _usable(judged)
    figures = figures_of(plan, usable, blocks, _rps)
    found: list[PairDecision] = []
    for name, of_endpoint in figures.items():
        seen = _look(plan, of_endpoint, may_stop=False)
        floor = largest_gap(seen.looks[pair] for pair in twins_of(plan).items())
        found += decide_pairs(name, seen.pairs, seen.looks, gap=None, floor=floor)
    return found


def _usable(judged: Iterable[tuple[Trial, Verdict]]) -> tuple[int, list[Trial]]:
    """Return the last block that has a trial, and the trials that enter figures."""
    every = list(judged)
    done = max((trial.block for trial, _ in every), default=0)
    return done, [trial for trial, verdict in every if verdict.status != "invalid"]


def _look(plan: Plan, figures: Figures, *, may_stop: bool) -> _Seen:
    twins = twins_of(plan)
    done = len(figures)
    names = [variant.id for variant in plan.variants]
    if plan.order == "interleaved" and not may_stop:
        pairs = [*combinations((name for name in names if name not in twins), 2)]
        looks, blocks = look_once(figures, names, [*pairs, *twins.items()])
        return _Seen(pairs, looks, blocks)
    sequential = Sequential(
        names,
        min_blocks=plan.stopping.min_blocks if may_stop else done,
        max_blocks=plan.blocks if may_stop else done,
        twins=twins,
    )
    if plan.order == "sequential":
        values = {name: _known(figures, name) for name in names}
        looks = welch_looks(values, [*sequential.pairs, *twins.items()])
        return _Seen(sequential.pairs, looks, None)
    for block in sorted(figures):
        sequential.add_block(figures[block])
    return _Seen(sequential.pairs, sequential.looks, sequential.blocks)


def _rank(
    plan: Plan, endpoint: str, measure: Measure, figures: Figures, seen: _Seen, resamples: int
) -> Ranking:
    twins = twins_of(plan)
    floor = largest_gap(seen.looks[pair] for pair in twins.items())
    gap = plan.stopping.gap if plan.order == "interleaved" else None
    pairs = decide_pairs(endpoint, seen.pairs, seen.looks, gap=gap, floor=floor)
    sign = 1 if measure.higher_is_better else -1
    summaries = {
        variant.id: summary
        for variant in plan.variants
        if variant.id not in twins and (summary := summarise(_known(figures, variant.id)))
    }
    last = {pair: looks[-1] for pair, looks in seen.looks.items() if looks and pair in seen.pairs}
    boot = None
    if resamples > 0 and last and seen.blocks is not None:
        boot = resample_blocks(last, seen.blocks, resamples=resamples, seed=plan.seed)
    gaps = tuple(
        TwinGap(twin, original, _alone(seen.looks[twin, original][-1]))
        for twin, original in twins.items()
        if seen.looks[twin, original]
    )
    return Ranking(
        endpoint=endpoint,
        metric=measure.name,
        higher_is_better=measure.higher_is_better,
        rows=_rows(summaries, pairs, sign, boot),
        pairs=pairs,
        alone={pair: _single(boot, pair, look) for pair, look in last.items()},
        twins=gaps,
        smallest_gap=math.expm1(floor) if gaps else None,
        closest=_closest(pairs),
        blocks=sum(any(x is not None for x in cells.values()) for cells in figures.values()),
        note=_note(summaries, bool(last)),
    )


def _rows(
    summaries: Mapping[str, Summary],
    pairs: Sequence[PairDecision],
    sign: int,
    boot: Bootstrap | None,
) -> tuple[Ranked, ...]:
    known = {(pair.a, pair.b): pair for pair in pairs if pair.ratio is not None}
    compared = {name for pair in known for name in pair}
    scores = _scores(known, sign)
    # Those without a pair come last, by what they showed.
    names = sorted(
        summaries,
        key=lambda name: (-scores.get(name, -math.inf), -sign * summaries[name].median, name),
    )
    order = [name for name in names if name in compared]
    tiers = dict(assign_tiers(order, _wins(known, sign)))
    rows = []
    for index, name in enumerate(names):
        following = names[index + 1] if index + 1 < len(names) else None
        to_best = _interval(known, name, names[0])
        rows.append(
            Ranked(
                variant=name,
                position=index + 1,
                tier=tiers.get(name),
                figure=summaries[name],
                to_best=to_best,
                alone=_resampled(boot, to_best, name, names[0]),
                best_probability=boot.best(name, order, sign) if boot and name in tiers else None,
                beats_next_probability=_beats(boot, name, following, sign),
            )
        )
    return tuple(rows)


def _scores(known: Mapping[Pair, PairDecision], sign: int) -> dict[str, float]:
    """Return each variant's place on a log scale, by least squares; the larger the better.

    Where all pairs are known that is the mean log-ratio to the others. Where some are not, such
    means would be over different others, and who met only the slow ones would look fast.
    """
    places = {name: at for at, name in enumerate(sorted({name for pair in known for name in pair}))}
    met = np.zeros((len(known), len(places)))
    logs = np.zeros(len(known))
    for row, ((a, b), pair) in enumerate(known.items()):
        met[row, places[a]], met[row, places[b]] = 1.0, -1.0
        logs[row] = sign * math.log(pair.ratio) if pair.ratio else 0.0
    fitted = np.linalg.lstsq(met, logs, rcond=None)[0].tolist() if known else []
    # Rounded, so that the same figures have the same place.
    return {name: round(fitted[at], 12) for name, at in places.items()}


def _wins(known: Mapping[Pair, PairDecision], sign: int) -> set[Pair]:
    wins = set()
    for (a, b), pair in known.items():
        if pair.state == "separated" and pair.ratio is not None:
            wins.add((a, b) if (pair.ratio > 1) == (sign > 0) else (b, a))
    return wins


def _interval(known: Mapping[Pair, PairDecision], name: str, best: str) -> Interval | None:
    pair = known.get((name, best)) or known.get((best, name))
    if pair is None or pair.ratio is None or pair.ratio_low is None or pair.ratio_high is None:
        return None
    if pair.a == name:
        return Interval(pair.ratio, pair.ratio_low, pair.ratio_high)
    return Interval(1 / pair.ratio, 1 / pair.ratio_high, 1 / pair.ratio_low)


def _resampled(
    boot: Bootstrap | None, to_best: Interval | None, name: str, best: str
) -> Interval | None:
    if boot is None or to_best is None:
        return None
    factor = math.exp(min(boot.half(name, best), 700.0))
    return Interval(to_best.ratio, to_best.ratio / factor, to_best.ratio * factor)


def _single(boot: Bootstrap | None, pair: Pair, look: Look) -> Interval:
    if boot is None:
        return _alone(look)
    half = boot.half(*pair)
    low, ratio, high = (
        math.exp(max(-700.0, min(700.0, look.estimate + x))) for x in (-half, 0.0, half)
    )
    return Interval(ratio, low, high)


def _beats(boot: Bootstrap | None, name: str, following: str | None, sign: int) -> float | None:
    if boot is None or following is None:
        return None
    larger = boot.probability(name, following)
    return larger if larger is None or sign > 0 else 1 - larger


def _alone(look: Look) -> Interval:
    low, high = look.interval(ALPHA / look.share)
    ratio, low, high = (math.exp(max(-700.0, min(700.0, x))) for x in (look.estimate, low, high))
    return Interval(ratio, low, high)


def _closest(pairs: Sequence[PairDecision]) -> PairDecision | None:
    unsettled = [pair for pair in pairs if pair.state == "open" and pair.ratio]
    return min(unsettled, key=lambda pair: abs(math.log(pair.ratio or 1)), default=None)


def _known(figures: Figures, name: str) -> list[float]:
    values = (cells[name] for cells in figures.values())
    return [x for x in values if x is not None and 0 < x < math.inf]


def _note(summaries: Mapping[str, Summary], is_compared: bool) -> str | None:  # noqa: FBT001
    if is_compared or not summaries:
        return None
    if len(summaries) == 1:
        return _("Only one variant has figures, so there is nothing to compare it with.")
    return _(
        "No two variants share two blocks, so nothing can be told apart and there is no interval; "
        "three blocks are the least that say something."
    )
