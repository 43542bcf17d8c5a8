"""The rows of a ranking: what `collect.stats` found, beside what the trials say of themselves."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.lang import N_, _
from collect.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collect.model import Endpoint, Plan, Trial, Variant
    from collect.stats import Comparison, Metric, Ranked, Ranking

NOT_MEASURED = N_("not measured")
NO_VALID_TRIAL = N_("no valid trial")


@dataclass(frozen=True, slots=True)
class Row:
    """One variant in one ranking."""

    variant: Variant
    tier: int | None
    """Counted from 1; None where it can't be compared with anybody, or has no figure."""
    is_shared: bool
    """Whether others stand in the same tier."""
    is_first: bool
    """Whether this is the row that the others are compared with."""
    median: float | None
    """In the metric's own unit; None where no trial gave a figure."""
    behind: Interval | None
    """How many times better the first row is, above 1 where it is; None without two blocks."""
    idle_bytes: float | None
    errors: int | None
    """Socket errors, time-outs and error answers of the trials used; None without one."""
    used: int
    """Trials in the figure."""
    planned: int
    failed: int
    """Blocks in which it failed by itself on this endpoint, whatever a re-run gave."""
    missing: str
    """Why there is no figure; empty where there is one."""
    marks: tuple[str, ...]
    """Letters of the notes that the trials used gave rise to."""


@dataclass(frozen=True, slots=True)
class Table:
    """One metric on one endpoint, the best first; those without a figure come last."""

    ranking: Ranking
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Beside:
    """What the trials of a variant say beside the metrics, the same in every table."""

    trials: int
    errors: int | None
    marks: tuple[str, ...]
    failed: int


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """The rankings of one endpoint."""

    endpoint: Endpoint
    rps: Table
    p99: Table
    memory: Table
    cpu: Table


def rank_endpoint(
    plan: Plan,
    endpoint: Endpoint,
    comparison: Comparison,
    used: Sequence[tuple[Trial, tuple[str, ...]]],
    idle_bytes: Mapping[str, float],
    failed: Mapping[str, int],
) -> EndpointReport:
    """Put the rankings of an endpoint into rows.

    Args:
        plan: the host's plan, with the blocks that the run has.
        endpoint: one of the plan's.
        comparison: of the host.
        used: its trials on it that are not invalid, one a cell, each with its marks.
        idle_bytes: of each variant, whatever endpoint came first after its starts.
        failed: in how many blocks each variant failed by itself on it.
    """
    own: dict[str, list[tuple[Trial, tuple[str, ...]]]] = {
        variant.id: [] for variant in plan.variants if variant.twin_of is None
    }
    for trial, marks in used:
        if trial.variant in own:
            own[trial.variant].append((trial, marks))
    beside = {name: _beside(trials, failed.get(name, 0)) for name, trials in own.items()}

    def table(metric: Metric) -> Table:
        ranking = comparison.ranking(endpoint.name, metric)
        return Table(ranking, tuple(_rows(plan, ranking, beside, idle_bytes)))

    return EndpointReport(
        endpoint,
        rps=table("rps"),
        p99=table("p99_ms"),
        memory=table("pss_peak_bytes"),
        cpu=table("cpu_s_per_request"),
    )


def behind(row: Ranked, ranking: Ranking) -> Interval | None:
    """Return how many times better the first row is, for every metric the same way round."""
    found = row.to_best
    if found is None or not ranking.higher_is_better:
        return found
    return Interval(1 / found.ratio, 1 / found.high, 1 / found.low)


def _rows(
    plan: Plan,
    ranking: Ranking,
    own: Mapping[str, _Beside],
    idle_bytes: Mapping[str, float],
) -> list[Row]:
    sizes = Counter(ranked.tier for ranked in ranking.rows)
    found = {ranked.variant: ranked for ranked in ranking.rows}
    names = [*found, *(name for name in own if name not in found)]
    rows = []
    for name in names:
        beside = own[name]
        ranked = found.get(name)
        tier = ranked.tier if ranked else None
        rows.append(
            Row(
                variant=plan.variant(name),
                tier=tier,
                is_shared=tier is not None and sizes[tier] > 1,
                is_first=tier is not None and ranked is not None and ranked.position == 1,
                median=ranked.figure.median if ranked else None,
                behind=behind(ranked, ranking) if ranked else None,
                idle_bytes=idle_bytes.get(name),
                errors=beside.errors,
                used=ranked.figure.count if ranked else 0,
                planned=plan.blocks,
                failed=beside.failed,
                missing="" if ranked else _(NOT_MEASURED if beside.trials else NO_VALID_TRIAL),
                marks=beside.marks,
            )
        )
    return rows


def _beside(marked: Sequence[tuple[Trial, tuple[str, ...]]], failed: int) -> _Beside:
    trials = [trial for trial, _ in marked]
    marks = tuple(sorted({mark for _, marks in marked for mark in marks}))
    return _Beside(len(trials), _errors(trials), marks, failed)


def idle_of(trials: Iterable[Trial]) -> dict[str, float]:
    """Return the median of each variant's memory before any load, over its starts; in bytes."""
    found: dict[str, list[int]] = {}
    for trial in trials:
        if (size := trial.whole_pss_idle_bytes) is not None:
            found.setdefault(trial.variant, []).append(size)
    return {name: statistics.median(sizes) for name, sizes in found.items()}


def _errors(trials: Sequence[Trial]) -> int | None:
    counted = [trial.wrk.errors for trial in trials if trial.wrk]
    if not counted:
        return None
    return sum(one.total for one in counted)
