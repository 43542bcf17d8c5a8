"""The order of steps: which variant runs when, and what is left behind."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError
from collect.model import Outcome
from collect.runner import systemd
from collect.runner.progress import describe
from collect.runner.trial import TrialRun
from collect.runner.trial_folder import write_atomically
from collect.runner.waiting import Bench, Start, ask_until_right

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from collect.model import Plan, PlannedTrial, Variant
    from collect.runner.progress import ProgressFile

# After these the next trial of the group would measure what the last one left behind.
_NEEDS_FRESH_START = ("load_failed", "server_died", "wrong_answer_after")
# Nothing answers at all: the other trials of this start would only wait in vain.
_ENDS_GROUP = ("start_failed", "not_ready", "server_died")
PORT_FREE_S = 2.0


def group_trials(trials: Iterable[PlannedTrial]) -> list[list[PlannedTrial]]:
    """Put trials of one block and variant that stand next to each other together."""
    return [list(group) for _, group in groupby(trials, key=lambda t: (t.block, t.variant))]


class Loop:
    """Runs a plan on this host."""

    def __init__(self, plan: Plan, bench: Bench, progress: ProgressFile, restore: Path) -> None:
        """Prepare; `restore` is the file that remembers which units ran before."""
        self._plan = plan
        self._bench = bench
        self._progress = progress
        self._restore = restore
        units: dict[str, None] = {}
        for variant in plan.variants:
            units.update(dict.fromkeys(_units(variant)))
        self._units = tuple(units)

    def run(self) -> str | None:
        """Run what is missing; return a warning for the last message, or None.

        Raises:
            ServerbenchError: this host cannot run a plan at all.
            OSError: a file cannot be written (disk full).
            StopRequested: somebody asked it to stop. The unit under test is stopped then, and the
                units that ran before are started again.
        """
        bench = self._bench
        for trial_id in bench.folders.clean():
            bench.log(f"{trial_id}: was cut off, runs again")
        finished = bench.folders.finished(trial.id for trial in self._plan.trials)
        missing = [trial for trial in self._plan.trials if trial.id not in finished]
        self._progress.begin(len(finished))
        if missing:
            self._remember()
        try:
            for group in group_trials(missing):
                remaining: Sequence[PlannedTrial] = group
                while remaining:
                    remaining = self._run_start(remaining)
        finally:
            warning = self._put_back()
        return warning

    def _run_start(self, trials: Sequence[PlannedTrial]) -> Sequence[PlannedTrial]:
        """Start the variant once and run what it can; return trials that need a fresh start."""
        variant = self._plan.variant(trials[0].variant)
        services, timing = self._bench.services, self._plan.timing
        self._progress.step(trials[0], "starting")
        try:
            start, failure = self._start(variant, trials[0])
            if failure is not None and failure.status in _ENDS_GROUP:
                for trial in trials:
                    self._record(trial, failure, start)
                return ()
            for index, planned in enumerate(trials):
                if index == 0 and failure is not None:
                    # It answers, but not this: another endpoint may well be right.
                    self._record(planned, failure, start)
                    continue
                status = self._run_trial(planned, start)
                start = Start(start.since_s, None)
                if status in _NEEDS_FRESH_START:
                    return trials[index + 1 :]
            return ()
        finally:
            if problem := services.stop(_units(variant), timing.stop_timeout_s):
                self._bench.log(problem)

    def _start(self, variant: Variant, first: PlannedTrial) -> tuple[Start, Outcome | None]:
        """Stop everything, start the variant, wait for the first right body."""
        bench, timing = self._bench, self._plan.timing
        since_s = bench.clock.time()
        nothing = Start(since_s, None)
        if problem := bench.services.stop(self._units, timing.stop_timeout_s):
            return nothing, Outcome("start_failed", problem)
        # A proxy may stand on the port all the time; without one, whoever is there now would be
        # measured in place of the variant.
        if variant.proxy == "none" and (owner := self._foreign_listener()):
            why = f"port {self._plan.port} is taken by {owner}, which is not in this plan"
            return nothing, Outcome("start_failed", why)
        begun_s = bench.clock.monotonic()
        if problem := bench.services.start(_units(variant)):
            return nothing, Outcome("start_failed", problem)
        endpoint = self._plan.endpoint(first.endpoint)
        failure = ask_until_right(
            bench, endpoint, timing.ready_timeout_s, lambda: self._start_failure(variant.unit)
        )
        ready_s = bench.clock.monotonic() - begun_s
        # Once more at the end: systemd may have started it a second time between two looks.
        failure = self._start_failure(variant.unit) or failure
        return Start(since_s, None if failure else ready_s), failure

    def _start_failure(self, unit: str) -> Outcome | None:
        state = self._bench.services.state(unit)
        if state.job_pending:
            return None
        if state.restarts:
            times = f"it ended and systemd restarted it {state.restarts} times"
            return Outcome("start_failed", f"{times}; {systemd.describe(state)}")
        if state.active in ("active", "activating", "reloading") and state.sub != "auto-restart":
            return None
        return Outcome("start_failed", systemd.describe(state))

    def _foreign_listener(self) -> str | None:
        clock = self._bench.clock
        deadline_s = clock.monotonic() + PORT_FREE_S
        while owner := self._bench.asker.port_owner():
            if clock.monotonic() >= deadline_s:
                return owner
            clock.sleep(0.1)
        return None

    def _run_trial(self, planned: PlannedTrial, start: Start) -> str:
        run = TrialRun(
            self._bench, self._plan, planned, lambda phase: self._progress.step(planned, phase)
        )
        trial = run.run(start)
        self._progress.finish_trial(trial)
        self._bench.log(f"{planned.id}: {describe(trial)}")
        return trial.outcome.status

    def _record(self, planned: PlannedTrial, outcome: Outcome, start: Start) -> None:
        run = TrialRun(self._bench, self._plan, planned, lambda _phase: None)
        trial = run.record(outcome, start)
        self._progress.finish_trial(trial)
        self._bench.log(f"{planned.id}: {describe(trial)}")

    def _remember(self) -> None:
        """Write down which units run, unless a runner that was cut off did so already."""
        if not self._restore.exists():
            active = list(self._bench.services.active(self._units))
            write_atomically(self._restore, json.dumps({"active": active}) + "\n")

    def _put_back(self) -> str | None:
        """Start again what ran before; return what went wrong, in words."""
        try:
            before = json.loads(self._restore.read_text("utf-8"))["active"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{self._restore}: cannot be read ({error}); start the service yourself"
        # Only units of the plan: the file might have been edited.
        units = [unit for unit in self._units if unit in before]
        try:
            problem = self._bench.services.start(units) if units else None
        except ServerbenchError as error:
            problem = str(error)
        if problem:
            return f"{', '.join(units)} ran before and could not be started again: {problem}"
        self._restore.unlink(missing_ok=True)
        return None


def _units(variant: Variant) -> tuple[str, ...]:
    """Return the variant's units; the socket first, as it is there before the service."""
    return tuple(unit for unit in (variant.socket_unit, variant.unit) if unit is not None)
