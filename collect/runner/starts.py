"""One start of a variant: stop the others, start it, run its trials, stop it again."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from collect.model import IN_THE_WAY, Outcome
from collect.runner import systemd
from collect.runner.progress import describe
from collect.runner.trial import TrialRun
from collect.runner.waiting import Bench, Start, ask_until_right, foreign_listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collect.model import Plan, PlannedTrial, Trial, Variant
    from collect.runner.progress import ProgressFile
    from collect.runner.targets import Target

# After these the next trial of the group would measure what the last one left behind.
_NEEDS_FRESH_START = ("load_failed", "server_died", "proxy_died", "wrong_answer_after")
# Nothing answers at all: the other trials of this start would only wait in vain.
_ENDS_GROUP = ("start_failed", "not_ready", "server_died")


def group_trials(trials: Iterable[PlannedTrial]) -> list[list[PlannedTrial]]:
    """Put trials of one block and variant that stand next to each other together."""
    return [list(group) for _, group in groupby(trials, key=lambda t: (t.block, t.variant))]


def all_units(plan: Plan) -> tuple[str, ...]:
    """Return the units of all variants, each once."""
    units: dict[str, None] = {}
    for variant in plan.variants:
        units.update(dict.fromkeys(variant.units))
    return tuple(units)


class Starts:
    """Runs groups of trials that share a start."""

    def __init__(
        self,
        plan: Plan,
        bench: Bench,
        progress: ProgressFile,
        keep: Callable[[Trial], None],
        target: Callable[[PlannedTrial], Target | None],
    ) -> None:
        """Prepare; `keep` gets each trial once it is saved, `target` says what a leg is to keep."""
        self._plan = plan
        self._bench = bench
        self._progress = progress
        self._keep = keep
        self._target = target
        self._units = all_units(plan)

    def run(self, trials: Iterable[PlannedTrial]) -> None:
        """Run the trials in their order, with as few starts as that takes."""
        for group in group_trials(trials):
            remaining: Sequence[PlannedTrial] = group
            while remaining:
                remaining = self._run_start(remaining)

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
            if problem := services.stop(variant.units, timing.stop_timeout_s):
                self._bench.log(problem)

    def _start(self, variant: Variant, first: PlannedTrial) -> tuple[Start, Outcome | None]:
        """Stop everything, start the variant, wait for the first right body."""
        bench, timing = self._bench, self._plan.timing
        since_s = bench.clock.time()
        nothing = Start(since_s, None)
        # To stop units that do not run takes several times as long as to look at them.
        if bench.services.active(self._units) and (
            problem := bench.services.stop(self._units, timing.stop_timeout_s)
        ):
            return nothing, Outcome("start_failed", problem)
        # Whoever is there now would be measured in place of the variant, or of what its proxy asks.
        for port in dict.fromkeys((self._plan.port, self._plan.port_of(variant))):
            if owner := foreign_listener(bench.clock, bench.asker.at(port)):
                why = f"port {port} is taken by {owner}, {IN_THE_WAY}"
                return nothing, Outcome("start_failed", why)
        begun_s = bench.clock.monotonic()
        if problem := bench.services.start(variant.units):
            return nothing, Outcome("start_failed", problem)
        endpoint = self._plan.endpoint(first.endpoint)
        failure = ask_until_right(
            bench.at(self._plan.port_of(variant)),
            endpoint,
            timing.ready_timeout_s,
            lambda: self._start_failure(variant),
        )
        ready_s = bench.clock.monotonic() - begun_s
        # Once more at the end: systemd may have started it a second time between two looks.
        failure = self._start_failure(variant) or failure
        return Start(since_s, None if failure else ready_s), failure

    def _start_failure(self, variant: Variant) -> Outcome | None:
        services = self._bench.services
        # The server first: a proxy does not start without it.
        if problem := systemd.start_failure(services.state(variant.unit)):
            return Outcome("start_failed", problem)
        if variant.proxy_unit is None:
            return None
        problem = systemd.start_failure(services.state(variant.proxy_unit))
        return Outcome("start_failed", f"{variant.proxy_unit}: {problem}") if problem else None

    def _run_trial(self, planned: PlannedTrial, start: Start) -> str:
        run = TrialRun(
            self._bench,
            self._plan,
            planned,
            lambda phase: self._progress.step(planned, phase),
            None if planned.leg == "capacity" else self._target(planned),
        )
        return self._finish(run.run(start))

    def _record(self, planned: PlannedTrial, outcome: Outcome, start: Start) -> None:
        run = TrialRun(self._bench, self._plan, planned, lambda _phase: None)
        self._finish(run.record(outcome, start))

    def _finish(self, trial: Trial) -> str:
        self._keep(trial)
        self._progress.finish_trial(trial)
        self._bench.log(f"{trial.trial_id}: {describe(trial)}")
        return trial.outcome.status
