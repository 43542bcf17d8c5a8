"""The run as one series: each trial's log speed in its hour, and what the host showed beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from collect.checks import Verdict
    from collect.model import Plan, Trial

PAUSE_S = 1800.0
"""A longer pause begins another session: nothing that the kit does between trials takes so long."""
_OVERLAP_S = 1.0
"""Times are written by one clock, which somebody may set a little back."""


@dataclass(frozen=True, slots=True)
class Course:
    """The trials that figures rest on, in the order of time; arrays hold one entry a trial."""

    trials: tuple[Trial, ...]
    start_s: NDArray[np.float64]
    """Since the epoch."""
    end_s: NDArray[np.float64]
    log_rps: NDArray[np.float64]
    cell: NDArray[np.int64]
    """Which variant on which endpoint: each has a level of its own."""
    variant: NDArray[np.int64]
    """Place in `names`; a twin is a variant like the others."""
    session: NDArray[np.int64]
    """Counted from 0; a pause lies between two."""
    names: tuple[str, ...]
    block_s: float
    """How long a whole block lasts: the median over blocks."""

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self.trials)

    @property
    def middle_s(self) -> NDArray[np.float64]:
        """The moment that stands for each trial."""
        middle: NDArray[np.float64] = (self.start_s + self.end_s) / 2
        return middle

    @property
    def overlaps(self) -> bool:
        """Tell whether trials run into each other: then their times say nothing of when."""
        return bool((self.start_s[1:] < self.end_s[:-1] - _OVERLAP_S).any())

    @property
    def sessions(self) -> tuple[slice, ...]:
        """The trials of each session."""
        edges = [0, *(np.flatnonzero(np.diff(self.session)) + 1).tolist(), len(self)]
        return tuple(slice(a, b) for a, b in pairwise(edges) if b > a)


def take_course(plan: Plan, judged: Iterable[tuple[Trial, Verdict]]) -> Course:
    """Put the trials that are not invalid into the order of time, one for each cell of the plan.

    Trials whose times cannot be right are left out.
    """
    chosen: dict[tuple[int, str, str], Trial] = {}
    for trial, verdict in sorted(judged, key=lambda pair: pair[0].attempt):
        if verdict.status != "invalid" and trial.wrk is not None and 0 < trial.wrk.rps < math.inf:
            chosen.setdefault((trial.block, trial.variant, trial.endpoint), trial)
    timed = [(*span, one) for one in chosen.values() if (span := span_of(one)) is not None]
    timed.sort(key=lambda moment: (moment[0], moment[2].position))
    trials = tuple(one for _, _, one in timed)
    start_s = np.array([start for start, _, _ in timed])
    end_s = np.array([end for _, end, _ in timed])
    names = tuple(variant.id for variant in plan.variants)
    places = {name: place for place, name in enumerate(names)}
    cells: dict[tuple[str, str], int] = {}
    return Course(
        trials=trials,
        start_s=start_s,
        end_s=end_s,
        log_rps=np.array([math.log(one.wrk.rps) for one in trials if one.wrk]),
        cell=np.array(
            [cells.setdefault((one.variant, one.endpoint), len(cells)) for one in trials],
            dtype=np.int64,
        ),
        variant=np.array([places[one.variant] for one in trials], dtype=np.int64),
        session=_sessions(plan, trials, start_s, end_s),
        names=names,
        block_s=_block_s(trials, start_s, end_s),
    )


def span_of(trial: Trial) -> tuple[float, float] | None:
    """Return from when to when a trial lasted, in seconds since the epoch.

    None where what the host wrote is no time, or ends before it starts.
    """
    try:
        span = seconds(trial.started_at), seconds(trial.ended_at)
    except (ValueError, OverflowError, OSError):
        return None
    return span if span[0] < span[1] else None


def seconds(moment: str) -> float:
    """Return seconds since the epoch of an ISO 8601 moment."""
    return datetime.fromisoformat(moment).timestamp()


def _sessions(
    plan: Plan,
    trials: tuple[Trial, ...],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
) -> NDArray[np.int64]:
    if not trials:
        return np.zeros(0, dtype=np.int64)
    if plan.windows:
        # Windows are sessions, however short the pause between two, or long one within.
        firsts = sorted(window.first_block for window in plan.windows)
        blocks = [trial.block for trial in trials]
        return np.unique(np.searchsorted(firsts, blocks, side="right"), return_inverse=True)[1]
    # Long trials need no longer pauses: what lies between two of them does not grow with them.
    pauses = start_s[1:] - end_s[:-1] > PAUSE_S
    return np.concatenate([[0], np.cumsum(pauses)]).astype(np.int64)


def _block_s(
    trials: tuple[Trial, ...], start_s: NDArray[np.float64], end_s: NDArray[np.float64]
) -> float:
    spans: dict[int, tuple[float, float]] = {}
    for one, start, end in zip(trials, start_s.tolist(), end_s.tolist(), strict=True):
        first, last = spans.get(one.block, (start, end))
        spans[one.block] = min(first, start), max(last, end)
    return float(np.median([last - first for first, last in spans.values()])) if spans else 0.0
