"""`progress.json`: where the run is and how long it still takes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from collect.attempts import split_attempt
from collect.checks import verdicts
from collect.decode import decode
from collect.model import SCHEMA_VERSION, PlannedTrial, Progress, Trial, dumps
from collect.runner.seams import iso
from collect.runner.trial_folder import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from collect.model import Plan
    from collect.runner.seams import Clock

State = Literal["running", "waiting", "done", "failed"]
SWITCH_S = 2.5
"""Stop, start, checks and saving of one trial, as long as nothing was measured."""


class ProgressFile:
    """Keeps the file up to date. Times are seconds."""

    def __init__(self, path: Path, plan: Plan, clock: Clock) -> None:
        """Nothing is written yet."""
        self._path = path
        self._plan = plan
        self._clock = clock
        self._finished = 0
        self._total = len(plan.trials)
        self._left = float(self._total)
        self._ended: tuple[int, str] | None = None
        self._spent_before_s = 0.0
        self._last: Trial | None = None
        self._trials: list[Trial] = []
        self._verdicts: dict[str, int] | None = {}
        self._trial: PlannedTrial | None = None
        self._phase = "starting"
        # Wall time of the trials of this very session; those found at a resume took none of it.
        self._begun_s = clock.monotonic()
        # In trials of the usual length: a leg may be much shorter, or longer.
        self._sizes = _sizes(plan)
        self._timed = 0.0
        self._timed_until_s = self._begun_s

    def begin(self, finished: Collection[Trial], total: int) -> None:
        """Write the first state, with the trials that an earlier session finished."""
        self._finished = len(finished)
        self._total = total
        self._left = total - sum(map(self._size, finished))
        self._spent_before_s = sum(map(_took_s, finished))
        self._trials = list(finished)
        self._verdicts = _count(self._trials)
        self._write("running", None)

    def add(self, trials: int) -> None:
        """Count trials that come on top: second attempts."""
        self._total += trials
        self._left += trials

    def stop_at(self, blocks: int, why: str) -> None:
        """Say after which block the run ends, and why; shown once it is done."""
        self._total = self._finished
        self._ended = (blocks, why)
        self._write("running", None)

    def spent_s(self) -> float:
        """Return the time of all sessions of the run; of earlier ones only what trials took."""
        return self._spent_before_s + self._clock.monotonic() - self._begun_s

    def _size(self, trial: Trial) -> float:
        return self._sizes.get(split_attempt(trial.trial_id)[0], 1.0)

    def step(self, trial: PlannedTrial, phase: str) -> None:
        """Say what is being done, and for which trial."""
        self._trial, self._phase = trial, phase
        self._write("running", None)

    def finish_trial(self, trial: Trial) -> None:
        """Count a trial that was saved."""
        self._finished += 1
        self._left -= self._size(trial)
        self._last = trial
        self._trials.append(trial)
        self._verdicts = _count(self._trials)
        self._timed += self._size(trial)
        self._timed_until_s = self._clock.monotonic()
        self._write("running", None)

    def end(self, state: State, message: str | None) -> None:
        """Write the last state; `running` with a message when somebody stopped the runner."""
        self._trial = None if state in ("done", "waiting") else self._trial
        self._phase = state if message is None or state not in ("running", "waiting") else message
        if state == "done" and self._ended is not None:
            self._phase = self._ended[1]
        self._write(state, message)

    def stay(self, state: Literal["waiting", "failed"], why: str) -> None:
        """Say why no trial begins; where the run was stays as it was written."""
        if not self._path.exists():
            self.end(state, why)
            return
        before = decode(Progress, json.loads(self._path.read_text("utf-8")), str(self._path))
        if before.state == "done":
            return
        now = replace(
            before,
            state=state,
            phase=why,
            message=why,
            trial_id=None,
            remaining_s=None,
            updated_at=iso(self._clock.time()),
        )
        write_atomically(self._path, dumps(now))

    def remaining_s(self) -> float:
        """Estimate the most time left: from the plan at first, then from the trials so far.

        A run that may end once it is decided often takes less. With a time budget, what is left of
        it and one more block are the most.
        """
        left = self._left if self._total > self._finished else 0.0
        each_s = _usual_s(self._plan)
        if self._timed:
            each_s = (self._timed_until_s - self._begun_s) / self._timed
        spent_s = self._clock.monotonic() - self._timed_until_s
        remaining_s = max(0.0, each_s * left - min(spent_s, each_s))
        budget_s = self._plan.stopping.time_budget_s
        if budget_s is None:
            return remaining_s
        block_s = each_s * len(self._plan.trials) / self._plan.blocks
        return min(remaining_s, max(0.0, budget_s - self.spent_s()) + block_s)

    def _block(self) -> int:
        if self._trial is not None:
            return self._trial.block
        return 1 if self._ended is None else self._ended[0]

    def _write(self, state: State, message: str | None) -> None:
        progress = Progress(
            schema_version=SCHEMA_VERSION,
            run_id=self._plan.run_id,
            state=state,
            done=self._finished,
            total=self._total,
            block=self._block(),
            blocks=self._plan.blocks,
            trial_id=None if self._trial is None else self._trial.id,
            phase=self._phase,
            remaining_s=round(self.remaining_s(), 1) if state == "running" else None,
            last=None if self._last is None else describe(self._last),
            message=message,
            updated_at=iso(self._clock.time()),
            verdicts=self._verdicts,
        )
        write_atomically(self._path, dumps(progress))


def _usual_s(plan: Plan) -> float:
    """Return the mean time of a planned trial."""
    planned = plan.trials
    load = plan.load
    if not planned:
        return load.warmup_s + load.duration_s + SWITCH_S
    return sum(plan.warmup_s(t) + plan.load_s(t) for t in planned) / len(planned) + SWITCH_S


def _sizes(plan: Plan) -> dict[str, float]:
    """Return the time of each planned trial as a share of the mean one's."""
    usual_s = _usual_s(plan)
    return {t.id: (plan.warmup_s(t) + plan.load_s(t) + SWITCH_S) / usual_s for t in plan.trials}


def _count(trials: list[Trial]) -> dict[str, int] | None:
    try:
        return dict(Counter(verdict.status for verdict in verdicts(trials)))
    except Exception:  # As in HostJudge: a fault in judging must not cost a run.
        return None


def _took_s(trial: Trial) -> float:
    try:
        begun, ended = map(datetime.fromisoformat, (trial.started_at, trial.ended_at))
        return max(0.0, (ended - begun).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def describe(trial: Trial) -> str:
    """Say in a few words how a trial ended."""
    if trial.outcome.status == "ok" and trial.rate is not None:
        p99_ms = trial.rate.latency_ms.p99
        known = "no answer to 1 %" if p99_ms is None else f"p99 {p99_ms:.3g} ms"
        return f"{trial.variant} {trial.endpoint} {trial.rate.rate_rps:g} req/s asked: {known}"
    if trial.outcome.status == "ok" and trial.search is not None:
        found, limit_ms = trial.search, trial.search.limit_p99_ms
        said = f"about {found.rate_rps:.0f} req/s with p99 up to {limit_ms:g} ms"
        return f"{trial.variant} {trial.endpoint}: {said}"
    if trial.outcome.status != "ok" or trial.wrk is None:
        return f"{trial.variant} {trial.endpoint}: {trial.outcome.status} ({trial.outcome.reason})"
    return f"{trial.variant} {trial.endpoint} {trial.wrk.rps:.0f} req/s"
