"""One trial, with everything that is known of it."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from collect.attempts import split_attempt
from collect.checks import Verdict, verdicts
from collect.errors import DataError
from collect.model import read_bounded
from collect.report import text
from collect.report.settings import in_words
from collect.store import EFFECTIVE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import RenderableType

    from collect.model import Plan, RateFigures, Trial
    from collect.store import HostFacts, HostRun, Run, StoredTrial

JOURNAL = "journal.txt"
_JOURNAL_LINES = 30
_MAX_FILE_BYTES = 4 * 2**20
_STYLES = {"valid": "green", "suspect": "yellow", "invalid": "red"}

Field = tuple[str, str]
"""A name and what is said of it."""


@dataclass(frozen=True, slots=True)
class Single:
    """A trial in its run, judged beside the others."""

    run_id: str
    host: HostRun
    stored: StoredTrial
    verdict: Verdict


def find_trial(run: Run, trial_id: str) -> tuple[Single, ...]:
    """Return the trial of that id, one for each host that has it.

    Raises:
        DataError: no host has it; the message names those that read alike.
    """
    found = []
    for host in run.hosts:
        every = (*host.trials, *host.legs)
        trials = [stored.trial for stored in every]
        # A verdict may rest on the trials around: the canary is held against theirs.
        for stored, verdict in zip(every, verdicts(trials), strict=True):
            if stored.trial.trial_id == trial_id:
                found.append(Single(run.run_id, host, stored, verdict))
    if found:
        return tuple(found)
    missing = [host.name for host in run.hosts if any(t.id == trial_id for t in host.missing)]
    if missing:
        raise DataError(
            f"{trial_id}: planned, but not here yet; serverbench pull {run.run_id} fetches what "
            f"{', '.join(missing)} has by now"
        )
    missed = [host.name for host in run.hosts if any(t.id == trial_id for t in host.missed)]
    if missed:
        raise DataError(
            f"{trial_id}: planned, but its window was missed or cut off on {', '.join(missed)}, "
            "and nothing makes up for it"
        )
    known = sorted({t.trial.trial_id for host in run.hosts for t in (*host.trials, *host.legs)})
    alike = difflib.get_close_matches(trial_id, known, n=3, cutoff=0.5) or known[:3]
    hint = f"; alike are {', '.join(alike)}" if alike else ", and no trial is here"
    raise DataError(f"{trial_id}: no such trial in run {run.run_id}{hint}")


def single_parts(single: Single) -> Iterator[RenderableType]:
    """Yield what to print of a trial, a part after the other."""
    trial, plan = single.stored.trial, single.host.plan
    effective = _read_json(single.stored.folder / EFFECTIVE)
    head = Text(f"{text.one_line(trial.trial_id)}: ", style="bold")
    head.append(single.verdict.status, style=_STYLES[single.verdict.status])
    head.append(f"  (run {text.one_line(single.run_id)}, {text.one_line(single.host.name)})")
    yield head
    for reason in single.verdict.reasons:
        yield _fields([(reason.code, f"{text.one_line(reason.seen)} {reason.remedy}")])
    yield from _section("Planned", planned_fields(trial, plan))
    yield from _section("Figures", figure_fields(trial))
    yield from _section("As it really ran", effective_fields(single.stored, effective))
    yield from _section("Versions", version_fields(single.host.facts, effective))
    if trial.leg == "capacity":
        yield from _text_section("What wrk printed", single.stored.wrk_text())
    if trial.outcome.status != "ok":
        journal = _read_text(single.stored.folder / JOURNAL)
        last = "\n".join((journal or "").rstrip().splitlines()[-_JOURNAL_LINES:])
        yield from _text_section("The last lines of the server's journal", last or None)
    yield Text(f"\nFiles: {single.stored.folder}", overflow="fold")


def planned_fields(trial: Trial, plan: Plan) -> list[Field]:
    """Say what was to be done."""
    variant, endpoint = plan.variant(trial.variant), plan.endpoint(trial.endpoint)
    planned_id, attempt = split_attempt(trial.trial_id)
    again = f", attempt {attempt} of {planned_id}" if attempt > 1 else ""
    where = f"http://{plan.address}:{plan.port_of(variant)}{endpoint.path}"
    return [
        ("variant", f"{variant.id}: {in_words(variant)}"),
        ("unit", " and ".join(filter(None, (variant.unit, variant.proxy_unit)))),
        (
            "place",
            (
                f"block {trial.block} of {plan.blocks}, trial {trial.position} of "
                f"{len(plan.trials)}{again}"
            ),
        ),
        ("request", f"{endpoint.method} {where}, status {endpoint.expect.status}"),
        ("load", _load(trial, plan)),
    ]


def _load(trial: Trial, plan: Plan) -> str:
    rates = plan.rates
    if trial.leg == "capacity" or rates is None:
        return (
            f"{text.load(plan.load)} --timeout {plan.load.timeout_s:g}s after a warm-up of "
            f"{plan.load.warmup_s:g} s"
        )
    if trial.leg == "slo":
        return (
            f"a search for the highest rate with p99 up to {text.figure(rates.slo_p99_ms)} ms, "
            f"{rates.steps} steps of {rates.step_s:g} s at most"
        )
    of = "the same for all" if trial.share is None else f"{trial.share:.0%} of its own capacity"
    return f"a fixed rate, {of}, for {rates.duration_s:g} s after {rates.lead_in_s:g} s"


def figure_fields(trial: Trial) -> list[Field]:
    """Say what was measured; what was not is left out."""
    fields: list[tuple[str, str | None]] = [
        ("started", trial.started_at),
        ("ended", trial.ended_at),
        ("outcome", f"{trial.outcome.status}{_because(trial.outcome.reason)}"),
    ]
    if wrk := trial.wrk:
        latency = wrk.latency_ms
        names = ("mean", "p50", "p90", "p99", "p999", "max")
        shares = [f"{name} {text.figure(getattr(latency, name))}" for name in names]
        errors = wrk.errors
        fields += [
            ("requests", f"{text.figure(wrk.rps)} req/s; {wrk.requests:,} in {wrk.duration_s:g} s"),
            ("latency ms", ", ".join(shares)),
            (
                "errors",
                (
                    f"connect {errors.connect:,}, read {errors.read:,}, write {errors.write:,}, "
                    f"time-out {errors.timeout:,}, status {errors.status:,}"
                ),
            ),
        ]
    if rate := trial.rate:
        fields += _rate_fields(rate)
    if search := trial.search:
        fields.append(("found", f"{text.figure(search.rate_rps)} req/s ({search.end})"))
        fields += [
            (
                f"step {number}",
                (
                    f"{text.figure(step.rate_rps)} req/s asked, {text.figure(step.achieved_rps)} "
                    f"answered, p99 {text.figure(step.p99_ms)} ms, {step.over:,} of "
                    f"{step.requests:,} over: {'holds' if step.holds else 'does not hold'}"
                ),
            )
            for number, step in enumerate(search.steps, start=1)
        ]
    if memory := trial.memory:
        sizes = [
            ("PSS idle", memory.pss_idle_bytes),
            ("PSS peak", memory.pss_peak_bytes),
            ("RSS peak", memory.rss_peak_bytes),
            ("cgroup peak", memory.cgroup_peak_bytes),
            ("swap peak", memory.swap_peak_bytes),
        ]
        said = ", ".join(f"{name} {text.figure(text.mebibytes(size))}" for name, size in sizes)
        fields.append(("memory MiB", f"{said}; {text.number(memory.samples, 'sample')}"))
    if cpu := trial.cpu:
        spent = [
            ("server", cpu.server_s),
            ("wrk" if trial.leg == "capacity" else "generator", cpu.loadgen_s),
            ("runner", cpu.runner_s),
            *sorted((cpu.others or {}).items(), key=lambda item: -item[1]),
            ("all together", cpu.busy_s),
        ]
        said = ", ".join(f"{text.one_line(name)} {text.figure(value)}" for name, value in spent)
        fields.append(("CPU s", f"{said}; steal {text.percent(cpu.steal_ratio)}"))
    if proxy := trial.proxy_figures:
        peak = text.figure(text.mebibytes(proxy.pss_peak_bytes))
        fields.append(("proxy", f"{text.figure(proxy.cpu_s)} s CPU, PSS peak {peak} MiB"))
    if service := trial.service:
        fields.append(
            (
                "service",
                (
                    f"{text.count(service.workers_seen)} workers seen of "
                    f"{service.workers_expected}, "
                    f"ready after {text.figure(service.ready_s)} s, restarts "
                    f"{text.count(service.restarts)}, out-of-memory kills "
                    f"{text.count(service.oom_kills)}"
                ),
            )
        )
    if state := trial.host_state:
        fields.append(
            (
                "host",
                (
                    f"listen queue overflows {text.count(state.listen_overflows)}, clock step "
                    f"{text.figure(state.clock_step_s)} s, canary {text.figure(state.canary_s)} s, "
                    f"last third over first {text.figure(state.trend_ratio)}"
                ),
            )
        )
    return [(name, said) for name, said in fields if said]


def _rate_fields(rate: RateFigures) -> list[tuple[str, str | None]]:
    latency, errors = rate.latency_ms, rate.errors
    names = ("mean", "p50", "p90", "p99", "p999", "max")
    shares = ", ".join(f"{name} {text.figure(getattr(latency, name))}" for name in names)
    return [
        (
            "requests",
            (
                f"{text.figure(rate.rate_rps)} req/s asked, {text.figure(rate.achieved_rps)} "
                f"answered; {rate.answered:,} of {rate.requests:,} in {rate.duration_s:g} s"
            ),
        ),
        ("latency ms", f"{shares}; from when each was due"),
        (
            "lag ms",
            (
                f"p99 {text.figure(rate.lag_p99_ms)}, max {text.figure(rate.lag_max_ms)}, the "
                f"generator's own {text.figure(rate.own_lag_p99_ms)}; {rate.late:,} late, "
                f"{rate.waited:,} waited for a connection, {rate.resent:,} sent again"
            ),
        ),
        (
            "errors",
            (
                f"connect {errors.connect:,}, broken {errors.broken:,}, time-out "
                f"{errors.timeout:,}, status {errors.status:,}"
            ),
        ),
    ]


def effective_fields(stored: StoredTrial, effective: dict[str, Any]) -> list[Field]:
    """Say what was really started, by `effective.json`; nothing where that is not there."""
    commands = stored.commands()
    processes, seen = effective.get("processes"), effective.get("workers_seen")
    fields = [
        ("command", " ".join(commands.server)),
        ("processes", str(len(processes)) if isinstance(processes, list) else ""),
        ("workers seen", "" if seen is None else str(seen)),
        ("wrk" if stored.trial.leg == "capacity" else "generator", " ".join(commands.load)),
    ]
    return [(name, said) for name, said in fields if said]


def version_fields(facts: HostFacts, effective: dict[str, Any]) -> list[Field]:
    """Say which versions it was measured with, by `effective.json` and the host's `host.json`."""
    fields = [
        ("server", effective.get("server_version")),
        ("Python", facts.python),
        ("kernel", facts.kernel),
        ("system", facts.distribution),
        *facts.versions,
    ]
    return [(name, str(value)) for name, value in fields if value]


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _section(title: str, fields: list[Field]) -> Iterator[RenderableType]:
    if fields:
        yield Text(f"\n{title}", style="bold")
        yield _fields(fields)


def _text_section(title: str, words: str | None) -> Iterator[RenderableType]:
    yield Text(f"\n{title}", style="bold")
    shown = "It is not here." if words is None else text.clean(words).rstrip()
    yield Padding(Text(shown or "Nothing.", overflow="fold"), (0, 0, 0, 2))


def _fields(fields: list[Field]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, said in fields:
        grid.add_row(Text(text.one_line(name)), Text(" ".join(text.clean(said).split())))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _read_json(path: Path) -> dict[str, Any]:
    """Return what an optional file holds; nothing where it is missing or damaged."""
    try:
        data = json.loads(read_bounded(path, _MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _read_text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
