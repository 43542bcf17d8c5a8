"""One trial against a variant that runs: its steps, its figures, its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from collect.attempts import split_attempt
from collect.decode import encode
from collect.errors import ServerbenchError
from collect.model import SCHEMA_VERSION, Outcome, ServiceFigures, Trial, dumps
from collect.runner import figures, systemd
from collect.runner.processes import count_workers, is_helper
from collect.runner.seams import Pace, iso
from collect.runner.search import run_search
from collect.runner.waiting import SETTLE_S, ask_until_right

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collect.model import Plan, PlannedTrial
    from collect.runner.others import Processes
    from collect.runner.seams import (
        Counters,
        LoadResult,
        Memory,
        ProcessInfo,
        Sample,
        UnitState,
    )
    from collect.runner.targets import Target
    from collect.runner.waiting import Bench, Start


_UP = ("active", "activating", "reloading")


@dataclass(slots=True)
class _Notes:
    """What is known of a trial so far; the rest is None and is written as null."""

    before: UnitState | None = None
    after: UnitState | None = None
    idle: Memory | None = None
    proxy: UnitState | None = None
    """Of the proxy, before the load."""
    proxy_idle: Memory | None = None
    canary_s: float | None = None
    processes: tuple[ProcessInfo, ...] | None = None
    load_started_s: float | None = None
    counters: tuple[Counters, Counters] | None = None
    others: tuple[Processes, Processes] | None = None
    samples: list[Sample] | None = None
    result: LoadResult | None = None


class TrialRun:
    """Takes one planned trial through its steps."""

    def __init__(
        self,
        bench: Bench,
        plan: Plan,
        planned: PlannedTrial,
        phase: Callable[[str], None],
        target: Target | None = None,
    ) -> None:
        """Prepare; `phase` is told what is being done, `target` is what a leg is to keep."""
        self._plan = plan
        self._planned = planned
        self._phase = phase
        self._target = target
        self._variant = plan.variant(planned.variant)
        self._bench = bench.at(plan.port_of(self._variant))
        self._endpoint = plan.endpoint(planned.endpoint)
        self._notes = _Notes()
        self._started_s = bench.clock.time()

    def run(self, start: Start) -> Trial:
        """Measure, and save the folder whatever came of it."""
        folders, trial_id = self._bench.folders, self._planned.id
        try:
            outcome = self._measure(start, folders.open(trial_id))
            return self._save(outcome, start)
        finally:
            folders.discard(trial_id)

    def record(self, outcome: Outcome, start: Start) -> Trial:
        """Save the folder of a trial that could not begin."""
        folders, trial_id = self._bench.folders, self._planned.id
        try:
            folders.open(trial_id)
            self._notes.before = self._state()
            return self._save(outcome, start)
        finally:
            folders.discard(trial_id)

    def _measure(self, start: Start, folder: Path) -> Outcome:
        bench, notes, variant = self._bench, self._notes, self._variant
        if self._planned.leg != "capacity" and self._target is None:
            notes.before = self._state()
            why = f"no valid figure of {variant.id} on {self._endpoint.name} to take a rate from"
            return Outcome("no_rate", why)
        if start.ready_s is None:
            self._phase("checking")
            wrong = ask_until_right(bench, self._endpoint, SETTLE_S, self._is_down)
            if wrong is not None:
                notes.before = self._state()
                return wrong
        notes.before = before = bench.services.state(variant.unit)
        if variant.proxy_unit is not None:
            notes.proxy = bench.services.state(variant.proxy_unit)
        # Before any load: a later trial of the same start finds what the load before it left.
        if start.ready_s is not None:
            notes.idle = bench.watch.memory(before)
            if notes.proxy is not None:
                notes.proxy_idle = bench.watch.memory(notes.proxy)
        notes.canary_s = bench.watch.canary()
        if self._plan.warmup_s(self._planned) > 0:
            self._phase("warm-up")
            warm = bench.load.warm_up(self._endpoint, folder)
            if warm.error is not None:
                notes.result = warm
                return self._death() or Outcome("load_failed", f"warm-up: {warm.error}")
        notes.processes = bench.watch.processes(before)
        self._phase("load")
        self._run_load(before, folder)
        self._phase("verifying")
        if death := self._death():
            return death
        if notes.result is None or notes.result.error is not None:
            return Outcome("load_failed", notes.result.error if notes.result else None)
        return self._verify()

    def _run_load(self, before: UnitState, folder: Path) -> None:
        bench, notes = self._bench, self._notes
        # The looks at everybody else cost some milliseconds: they stand outside the counters.
        proxy = notes.proxy
        others = bench.watch.others(before, proxy)
        first = bench.watch.counters(before, proxy)
        notes.load_started_s = bench.clock.time()
        interval_s = self._plan.timing.sample_interval_s
        sampling = bench.watch.start_sampling(before, proxy, interval_s)
        try:
            notes.result = self._load(folder)
        finally:
            notes.samples = sampling.stop()
        notes.counters = (first, bench.watch.counters(before, proxy))
        notes.others = (others, bench.watch.others(before, proxy))

    def _load(self, folder: Path) -> LoadResult:
        rates, target = self._plan.rates, self._target
        if rates is None or target is None:
            return self._bench.load.run(self._endpoint, folder)
        if self._planned.leg == "slo":
            return run_search(self._bench, self._endpoint, rates, target, folder)
        pace = Pace(target.rate_rps, rates.lead_in_s, rates.duration_s)
        return self._bench.paced.run(self._endpoint, pace, folder, "rate")

    def _verify(self) -> Outcome:
        """Ask once more. Only silence is asked again: requests that wrk left may be ahead of us."""
        limit_s = max(SETTLE_S, self._plan.load.timeout_s)
        wrong = ask_until_right(
            self._bench, self._endpoint, limit_s, self._is_down, wrong_is_final=True
        )
        if wrong is None:
            return Outcome("ok")
        if wrong.status in ("server_died", "proxy_died"):
            return wrong
        return Outcome("wrong_answer_after", wrong.reason)

    def _is_down(self) -> Outcome | None:
        services, variant = self._bench.services, self._variant
        state = services.state(variant.unit)
        if state.active not in _UP:
            return Outcome("server_died", systemd.describe(state))
        if variant.proxy_unit is not None:
            state = services.state(variant.proxy_unit)
            if state.active not in _UP:
                return Outcome("proxy_died", f"{variant.proxy_unit}: {systemd.describe(state)}")
        return None

    def _death(self) -> Outcome | None:
        """Tell whether the main processes of before the load are still there.

        The server comes first: systemd restarts a proxy together with its server.
        """
        notes, services, variant = self._notes, self._bench.services, self._variant
        notes.after = services.state(variant.unit)
        if why := _replaced(notes.before, notes.after):
            return Outcome("server_died", why)
        if variant.proxy_unit is not None and (
            why := _replaced(notes.proxy, services.state(variant.proxy_unit))
        ):
            return Outcome("proxy_died", f"{variant.proxy_unit}: {why}")
        return None

    def _state(self) -> UnitState | None:
        try:
            return self._bench.services.state(self._variant.unit)
        except ServerbenchError as error:
            self._bench.log(str(error))
            return None

    def _save(self, outcome: Outcome, start: Start) -> Trial:
        bench, notes = self._bench, self._notes
        folder = bench.folders.partial(self._planned.id)
        if notes.samples is not None:
            lines = [json.dumps(encode(sample)) for sample in notes.samples]
            (folder / "samples.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        if outcome.status != "ok":
            units = (self._variant.unit, self._variant.proxy_unit)
            journal = "".join(
                bench.services.journal(unit, start.since_s) for unit in units if unit is not None
            )
            (folder / "journal.txt").write_text(journal, "utf-8")
        effective = json.dumps(self._effective(), indent=2, ensure_ascii=False)
        (folder / "effective.json").write_text(f"{effective}\n", "utf-8")
        trial = self._trial(outcome, start)
        (folder / "trial.json").write_text(dumps(trial), "utf-8")
        bench.folders.seal(self._planned.id)
        return trial

    def _effective(self) -> dict[str, Any]:
        notes = self._notes
        state = notes.after or notes.before
        return {
            "unit": None if state is None else dict(state.properties),
            "proxy_unit": None if notes.proxy is None else dict(notes.proxy.properties),
            "server_version": self._bench.watch.server_version(self._variant.server),
            "workers_seen": count_workers(notes.processes or ()),
            "processes": None
            if notes.processes is None
            else [{**encode(p), "helper": is_helper(p)} for p in notes.processes],
            "load_argv": None if notes.result is None else list(notes.result.argv),
            "load_started_at": None if notes.load_started_s is None else iso(notes.load_started_s),
        }

    def _trial(self, outcome: Outcome, start: Start) -> Trial:
        plan, planned, variant, notes = self._plan, self._planned, self._variant, self._notes
        result = notes.result
        load_s = plan.load_s(planned)
        if plan.rates is not None and result is not None and result.search is not None:
            # It may have ended before its last step.
            load_s *= len(result.search.steps) / plan.rates.steps
        memory = cpu = host = proxy = None
        if notes.counters is not None and notes.samples is not None and result is not None:
            first, last = notes.counters
            duration_s = result.figures.duration_s if result.figures else load_s
            interval_s = plan.timing.sample_interval_s
            memory = figures.memory_figures(
                notes.idle, notes.samples, duration_s, interval_s, first, last
            )
            cpu = figures.cpu_figures(first, last, result.cpu_s, notes.others, self._bench.cores)
            host = figures.host_figures(first, last, notes.canary_s, notes.samples, duration_s)
            if notes.proxy is not None:
                proxy = figures.proxy_figures(notes.proxy_idle, notes.samples, first, last)
        return Trial(
            schema_version=SCHEMA_VERSION,
            run_id=plan.run_id,
            host=plan.host,
            trial_id=planned.id,
            attempt=split_attempt(planned.id)[1],
            block=planned.block,
            position=planned.position,
            variant=variant.id,
            server=variant.server,
            interface=variant.interface,
            proxy=variant.proxy,
            profile=variant.profile,
            endpoint=planned.endpoint,
            started_at=iso(self._started_s),
            ended_at=iso(self._bench.clock.time()),
            load=replace(plan.load, duration_s=load_s, warmup_s=plan.warmup_s(planned)),
            wrk=None if result is None else result.figures,
            memory=memory,
            cpu=cpu,
            service=self._service(start),
            host_state=host,
            proxy_figures=proxy,
            outcome=outcome,
            leg=planned.leg,
            share=planned.share,
            rate=None if result is None else result.rate,
            search=None if result is None else result.search,
        )

    def _service(self, start: Start) -> ServiceFigures:
        before, after, counters = self._notes.before, self._notes.after, self._notes.counters
        restarts = kills = None
        if before and after and before.restarts is not None and after.restarts is not None:
            restarts = max(0, after.restarts - before.restarts)
        if after and counters:
            kills = figures.oom_kills(*counters, after.result)
        return ServiceFigures(
            workers_expected=self._variant.workers,
            workers_seen=count_workers(self._notes.processes or ()),
            ready_s=None if start.ready_s is None else round(start.ready_s, 3),
            main_pid_before=before.main_pid if before else None,
            main_pid_after=after.main_pid if after else None,
            restarts=restarts,
            oom_kills=kills,
        )


def _replaced(before: UnitState | None, after: UnitState) -> str | None:
    """Say how a unit's main process of before the load was lost; None while it is there."""
    if after.active not in ("active", "reloading"):
        return systemd.describe(after)
    if before is not None and before.main_pid != after.main_pid:
        return f"main process {before.main_pid} was replaced by {after.main_pid}"
    return None
