"""The order of steps: block by block, second attempts, and whether to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.errors import DataError
from collect.model import SCHEMA_VERSION, Decision, dumps, load_decision
from collect.runner.judge import HostJudge, next_reason, pairs_to_wait_for
from collect.runner.restore import Restore
from collect.runner.rounds import count_blocks, pick_anew, pick_reruns, split_rounds
from collect.runner.starts import Starts, all_units, group_trials
from collect.runner.targets import target_of
from collect.runner.trial_folder import forget_run_sums, write_atomically, write_run_sums
from collect.runner.windows import has_closed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collect.model import Plan, PlannedTrial, Trial, Window
    from collect.runner.judge import Judge
    from collect.runner.progress import ProgressFile
    from collect.runner.seams import Clock, Services
    from collect.runner.targets import Target
    from collect.runner.waiting import Bench

__all__ = ["Loop", "group_trials"]


class Loop:
    """Runs a plan on this host."""

    def __init__(
        self,
        plan: Plan,
        bench: Bench,
        progress: ProgressFile,
        run_dir: Path,
        judge: Judge | None = None,
        *,
        window: Window | None = None,
    ) -> None:
        """Prepare.

        Args:
            plan: the plan.
            bench: what the run touches.
            progress: kept up to date.
            run_dir: folder of the run.
            judge: stands in for the verdicts and the decision in tests.
            window: of a scheduled run; its blocks are run, and no others.
        """
        self._plan = plan
        self._bench = bench
        self._progress = progress
        self._run_dir = run_dir
        self._judge = judge or HostJudge(bench.log)
        self._found: dict[str, Trial] = {}
        self._starts = Starts(plan, bench, progress, self._keep, self._target)
        self._restore = restore_of(plan, bench.services, bench.clock, run_dir)
        self._holds_the_host = False
        self._decision: Decision | None = None
        self._window = window
        # How far the run has come, by the number of its blocks: what windows missed lies below it.
        self._blocks_done = 0 if window is None else window.first_block - 1

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
        self._found = bench.folders.finished(trial.id for trial in self._plan.trials)
        self._decision = self._read_decision()
        rounds = self._rounds_to_run()
        missing = sum(trial.id not in self._found for trials in rounds for trial in trials)
        self._progress.begin(self._found.values(), len(self._found) + missing)
        try:
            self._run_rounds(rounds)
        finally:
            warning = self._restore.put_back()
        if self._decision is not None and (self._window is None or self._is_final()):
            self._progress.stop_at(self._decision.blocks_done, self._why(self._decision))
        write_run_sums(self._run_dir)
        return warning

    def _run_rounds(self, rounds: Sequence[Sequence[PlannedTrial]]) -> None:
        for number, trials in enumerate(rounds, start=1):
            if self._window and has_closed(self._window, self._bench.clock.time()):
                self._bench.log(f"the window closed at {self._window.ends_at}; the rest is missed")
                return
            anew = pick_anew(trials, self._found, self._judge.spoiled)
            if anew:
                self._bench.log(f"block {trials[0].block}: measured in vain, runs again")
                self._progress.add(len(anew))
            ran = self._run(anew or [trial for trial in trials if trial.id not in self._found])
            again = pick_reruns(self._plan, trials, self._found, self._judge.spoiled)
            self._progress.add(len(again))
            ran = self._run(again) or ran
            self._blocks_done += count_blocks(trials)
            if self._is_final():
                # An earlier session decided; only what went missing since was made up.
                if anew:
                    self._decide(is_last=False)
                continue
            if ran or self._decision is None or self._decision.blocks_done < self._blocks_done:
                self._decide(is_last=number == len(rounds) and self._is_last_window())
            if self._is_final():
                return

    def _run(self, trials: Sequence[PlannedTrial]) -> bool:
        """Run the trials; tell whether there were any."""
        if trials:
            self._take_over_the_host()
            forget_run_sums(self._run_dir)
            self._starts.run(trials)
        return bool(trials)

    def _take_over_the_host(self) -> None:
        if not self._holds_the_host:
            self._holds_the_host = True
            if problem := self._restore.take_over():
                self._bench.log(problem)

    def _keep(self, trial: Trial) -> None:
        self._found[trial.trial_id] = trial

    def _target(self, planned: PlannedTrial) -> Target | None:
        return target_of(self._plan, planned, self._found.values(), self._judge.spoiled)

    def _decide(self, *, is_last: bool) -> None:
        """Write `decision.json` after a block; why an earlier session ended the run, stays."""
        former = self._decision if self._is_final() else None
        blocks_done = self._blocks_done if former is None else former.blocks_done
        usable = [
            trial
            for trial in self._found.values()
            if trial.leg == "capacity" and not self._judge.spoiled(trial)
        ]
        pairs = self._judge.pairs(self._plan, usable, blocks_done)
        reason = (
            next_reason(
                self._plan.stopping,
                blocks_done,
                pairs_to_wait_for(pairs, usable),
                self._progress.spent_s(),
                is_last=is_last,
            )
            if former is None
            else former.reason
        )
        self._decision = Decision(
            SCHEMA_VERSION, self._plan.run_id, blocks_done, reason, tuple(pairs)
        )
        write_atomically(self._run_dir / "decision.json", dumps(self._decision))
        if former is None and reason != "going_on":
            self._bench.log(self._why(self._decision))

    def _why(self, decision: Decision) -> str:
        lacking = {trial.block for trial in self._plan.trials if trial.id not in self._found}
        # Not those that earlier windows missed.
        done = sum(block not in lacking for block in range(1, decision.blocks_done + 1))
        blocks = f"{done} of {self._plan.blocks} blocks"
        if decision.reason == "decided":
            return f"decided after {blocks}"
        if decision.reason == "time_budget":
            return f"time budget gone after {blocks}"
        return f"{blocks} done"

    def _read_decision(self) -> Decision | None:
        """Return what an earlier session decided; None without one, or if it cannot be read.

        It is made again from the trials then: nothing but the time budget would be decided
        otherwise.
        """
        path = self._run_dir / "decision.json"
        try:
            decision = load_decision(path) if path.exists() else None
        except DataError as error:
            self._bench.log(f"{error}; it is made again from the trials")
            return None
        return decision if decision is None or decision.run_id == self._plan.run_id else None

    def _is_final(self) -> bool:
        return self._decision is not None and self._decision.reason != "going_on"

    def _is_last_window(self) -> bool:
        return self._window is None or self._window == self._plan.windows[-1]

    def _rounds_to_run(self) -> list[list[PlannedTrial]]:
        """Return the rounds of the plan, up to where an earlier session ended the run."""
        rounds = split_rounds(self._plan.trials)
        if self._window is not None:
            first, last = self._window.first_block, self._window.last_block
            return [trials for trials in rounds if first <= trials[0].block <= last]
        if self._decision is None or not self._is_final():
            return rounds
        chosen: list[list[PlannedTrial]] = []
        for trials in rounds:
            if sum(map(count_blocks, chosen)) >= self._decision.blocks_done:
                break
            chosen.append(trials)
        return chosen


def restore_of(plan: Plan, services: Services, clock: Clock, run_dir: Path) -> Restore:
    """Return what a run of the plan holds back on this host, whichever process asks."""
    path = run_dir / "restore.json"
    return Restore(path, all_units(plan), services, clock, plan.timing.stop_timeout_s)
