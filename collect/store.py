"""Where results live, and how to read them back.

    results/<run_id>/<host>/plan.json, host.json, decision.json, progress.json, SHA256SUMS, …
    results/<run_id>/<host>/trials/<trial_id>/trial.json, wrk.txt, …, SHA256SUMS

Raw data is append-only (see `collect.archive` for how it gets here); everything a report says is
rebuilt from it, offline.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from collect.attempts import split_attempt
from collect.beside import beside, is_worth_it
from collect.errors import DataError, shown
from collect.files import PART_BYTES, start_of
from collect.model import (
    SCHEMA_VERSION,
    Decision,
    Plan,
    PlannedTrial,
    Trial,
    load_decision,
    load_plan,
    load_trial,
    read_bounded,
    read_bytes,
)
from collect.quick import QuickReader
from collect.sums import SUMS, digest, folder_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from collect.model import Variant, Window

__all__ = [
    "SUMS", "HostRun", "Run", "StoredTrial", "digest", "load_host", "load_run", "verify_trial",
]  # fmt: skip

PLAN = "plan.json"
DECISION = "decision.json"
HOST = "host.json"
PROGRESS = "progress.json"
MISSED = "missed.jsonl"
TRIALS = "trials"
TRIAL = "trial.json"
WRK_TEXT = "wrk.txt"
_MAX_EXTRA_BYTES = 4 * 2**20
"""Of host.json and effective.json, which have a few KB."""
EFFECTIVE = "effective.json"
_MOST_BLOCKS = 10_000
_MOST = 10**9
_LEAST_S = 0.001
_ALMOST_ALL = 0.999
_EARLIEST, _LATEST = 1970, 9998
# Of some fifty packages those that a figure may hang on.
_SHOWN_PACKAGES = frozenset({
    "django", "django-ninja", "pyuwsgi", "gunicorn", "granian", "uvicorn", "uvicorn-worker",
    "daphne", "hypercorn", "uvloop", "httptools", "redis", "psycopg",
})  # fmt: skip
_MOST_VERSIONS = 500
"""Of some fifty packages."""
_PLANNED_NAMES = ("variant", "endpoint", "block", "position", "leg", "share")
_VARIANT_NAMES = ("server", "interface", "proxy", "profile")
_NAMES_FROM_PLAN = ("attempt", "run_id", "host", *_PLANNED_NAMES, *_VARIANT_NAMES)
"""What a trial takes from its plan; a field of a trial each."""
_PLANNED, _FROM_PLAN = attrgetter(*_PLANNED_NAMES), attrgetter(*_NAMES_FROM_PLAN)
_OF_VARIANT = attrgetter(*_VARIANT_NAMES)
_READ_AT_ONCE = 200
"""Trials: some hundred KB."""
_QUICK_PLAN, _QUICK_TRIAL = QuickReader(Plan), QuickReader(Trial)
_Versioned = TypeVar("_Versioned", Plan, Trial)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What `host.json` says of the host; None where it says nothing."""

    kernel: str | None = None
    distribution: str | None = None
    python: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    """What processes may use: the host's memory, or less where a control group limits it."""
    cpu_model: str | None = None
    virtualisation: str | None = None
    versions: tuple[tuple[str, str], ...] = ()
    """Of what was measured with, and of the servers, each with its name."""
    timezone: str | None = None
    """By its name, as in `Asia/Shanghai`."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What ran in a trial, as the process list had it; empty where nobody looked."""

    server: tuple[str, ...] = ()
    load: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial that was pulled: its figures, and the folder with its raw files."""

    trials: Path
    """The folder of all trials of its host."""
    trial: Trial

    @property
    def folder(self) -> Path:
        """The trial's own folder."""
        return self.trials / self.trial.trial_id

    def path(self, name: str) -> str:
        """Return where a file of it lies, as text: to join paths takes as long as to read one."""
        return f"{self.trials}/{self.trial.trial_id}/{name}"

    def commands(self) -> Commands:
        """Return the command lines of `effective.json`; none where it cannot be read."""
        try:
            data = json.loads(read_bounded(self.folder / EFFECTIVE, _MAX_EXTRA_BYTES))
        except (OSError, ValueError, RecursionError):
            return Commands()
        if not isinstance(data, dict):
            return Commands()
        processes = data.get("processes")
        listed = processes if isinstance(processes, list) else []
        found = [one for one in listed if isinstance(one, dict)]
        server = next((one for one in found if not one.get("helper")), {})
        return Commands(_strings(server.get("argv")), _strings(data.get("load_argv")))

    def wrk_text(self) -> str | None:
        """Return what wrk printed, as it stands; None where there is no such file.

        It is half a KiB; of what is longer than 32, for whatever reason, the rest is left out.
        """
        try:
            content = start_of(self.path(WRK_TEXT))
        except OSError:
            return None
        return content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class WindowState:
    """How far a window of a scheduled run has come."""

    window: Window
    blocks_done: int
    """Blocks that are whole."""
    is_past: bool
    """Whether it has closed, as far as the files here tell: what it lacks will not come."""
    why_missed: str | None
    """What the runner noted; None where it noted nothing, as on a host that was off."""


@dataclass(frozen=True, slots=True)
class HostRun:
    """One host's share of a run."""

    name: str
    folder: Path
    plan: Plan
    facts: HostFacts
    changed_facts: tuple[str, ...]
    """Names of `host.N.json`: a resumed run found another kernel, memory, package, …"""
    decision: Decision | None
    """Why the run ended, or that it goes on; None before its first block was whole, and in runs of
    an older serverbench."""
    trials: tuple[StoredTrial, ...]
    """At full load, which all rankings rest on. In the order of the plan; every attempt, a second
    one right after the first."""
    missing: tuple[PlannedTrial, ...]
    """Planned trials and legs that are not here yet. Those of blocks that a run did without are
    not among them, nor those of windows that a scheduled run missed."""
    windows: tuple[WindowState, ...] = ()
    """Of a scheduled run, in order of time."""
    legs: tuple[StoredTrial, ...] = ()
    """At a fixed rate, and searches for one; ordered like the trials, and kept apart from them,
    since their figures are no capacity."""
    missed: tuple[PlannedTrial, ...] = ()
    """What windows of a scheduled run that are past left out: it will not come."""

    @property
    def blocks(self) -> int:
        """How many blocks the run has: fewer than planned where it ended early.

        Those that a window missed are among them, since later ones bear higher numbers.
        """
        return _blocks(self.plan, self.decision)

    @property
    def measured_blocks(self) -> int:
        """How many of them are here as a whole."""
        return self.blocks - len({trial.block for trial in (*self.missed, *self.missing)})

    @property
    def reruns(self) -> tuple[StoredTrial, ...]:
        """Second attempts."""
        return tuple(stored for stored in (*self.trials, *self.legs) if stored.trial.attempt > 1)

    def stored(self, trial: Trial) -> StoredTrial:
        """Return where one of the trials at full load lies."""
        return StoredTrial(self.folder / TRIALS, trial)

    def counted(
        self, is_valid: Callable[[Trial], bool], trials: Iterable[StoredTrial] | None = None
    ) -> tuple[StoredTrial, ...]:
        """Return one trial for each planned one, in the order of the plan.

        The first attempt that is valid counts, as in `collect.decide.figures_of`: a re-run never
        replaces a figure that could be believed. Where none is, the last stands for the cell.

        Args:
            is_valid: whether a trial's figures can be believed.
            trials: out of which; those at full load if left out.
        """
        cells: dict[str, StoredTrial] = {}
        for stored in self.trials if trials is None else trials:
            planned, _ = split_attempt(stored.trial.trial_id)
            if planned not in cells or not is_valid(cells[planned].trial):
                cells[planned] = stored
        return tuple(cells.values())


@dataclass(frozen=True, slots=True)
class Run:
    """One run, on one host or several, by name of the host."""

    run_id: str
    folder: Path
    hosts: tuple[HostRun, ...]


def load_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        DataError: there is no run, or a file in it does not fit its schema.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run; `ls {folder.parent}` shows the ones there are")
    hosts = tuple(load_host(path) for path in sorted(folder.iterdir()) if (path / PLAN).is_file())
    if not hosts:
        raise DataError(f"{folder}: holds no <host>/{PLAN}; was the run pulled?")
    run_ids = sorted({host.plan.run_id for host in hosts})
    if len(run_ids) > 1:
        raise DataError(f"{folder}: holds hosts of different runs ({shown(run_ids)})")
    return Run(run_ids[0], folder, hosts)


def verify_trial(folder: Path, where: str | None = None) -> None:
    """Compare every file of a trial's folder with its `SHA256SUMS`.

    Args:
        folder: the trial's folder.
        where: names the folder in messages; its path if left out.

    Raises:
        DataError: a file is missing, changed or not listed; the message names it.
    """
    for problem in folder_problems(folder, where or str(folder), (TRIAL,)):
        raise DataError(problem)


def check_plan(plan: Plan, where: str) -> None:
    """Raise `DataError` unless a plan that was read holds together; `where` names its file.

    A host may have written it: what is shown and reckoned from it has to make sense. Bounds that
    only say what is wise are those of `collect.inputs`, and are not asked of runs of before.
    """
    variants, endpoints = ({one.id for one in plan.variants}, {one.name for one in plan.endpoints})
    if len(variants) != len(plan.variants) or len(endpoints) != len(plan.endpoints):
        raise DataError(f"{where}: a variant or an endpoint stands there twice")
    for trial in plan.trials:
        if trial.variant not in variants or trial.endpoint not in endpoints:
            raise DataError(
                f"{where}: trial {shown(trial.id)} is of a variant or an endpoint that is not there"
            )
    if len({trial.id for trial in plan.trials}) != len(plan.trials):
        raise DataError(f"{where}: a trial stands there twice")
    for variant in plan.variants:
        if variant.twin_of is not None and variant.twin_of not in variants:
            raise DataError(
                f"{where}: {shown(variant.id)} is a copy of {shown(variant.twin_of)}, which is not "
                "there"
            )
    check_moment(plan.created_at, where, "created_at")
    for index, window in enumerate(plan.windows):
        for name in ("starts_at", "ends_at"):
            place = f"windows[{index}].{name}"
            check_moment(getattr(window, name), where, place, with_offset=True)
        before = plan.windows[index - 1].last_block if index else 0
        if not before < window.first_block <= window.last_block <= plan.blocks:
            raise DataError(
                f"{where}: windows[{index}] has blocks of another window, or that the plan has not"
            )
    load, timing, stopping = plan.load, plan.timing, plan.stopping
    for name, value, least, most in (
        ("blocks", plan.blocks, 1, _MOST_BLOCKS),
        ("stopping.min_blocks", stopping.min_blocks, 0, _MOST_BLOCKS),
        ("stopping.reruns_per_block", stopping.reruns_per_block, 0, _MOST),
        ("stopping.gap", stopping.gap or 0.5, 0, _ALMOST_ALL),
        ("stopping.time_budget_s", stopping.time_budget_s or 0, 0, _MOST),
        ("port", plan.port, 1, 65535),
        ("load.threads", load.threads, 1, _MOST),
        ("load.connections", load.connections, 1, _MOST),
        ("load.duration_s", load.duration_s, _LEAST_S, _MOST),
        ("load.warmup_s", load.warmup_s, 0, _MOST),
        ("load.timeout_s", load.timeout_s, 0, _MOST),
        ("timing.ready_timeout_s", timing.ready_timeout_s, 0, _MOST),
        ("timing.stop_timeout_s", timing.stop_timeout_s, 0, _MOST),
        ("timing.sample_interval_s", timing.sample_interval_s, _LEAST_S, _MOST),
        *(
            (f"trials[{index}].block", trial.block, 1, plan.blocks)
            for index, trial in enumerate(plan.trials)
            if not 1 <= trial.block <= plan.blocks
        ),
    ):
        if not least <= value <= most:
            raise DataError(f"{where}: {name}: got {value}; accepted: {least} to {most}")


def check_moment(text: str, where: Path | str, name: str, *, with_offset: bool = False) -> None:
    """Raise `DataError` unless `text` is a date of ISO 8601 that a clock of ours could have had."""
    try:
        moment = datetime.fromisoformat(text)
        if _EARLIEST <= moment.year <= _LATEST and (moment.tzinfo or not with_offset):
            return
    except ValueError:
        pass
    offset = " with its offset from UTC" if with_offset else ""
    raise DataError(f"{where}: {name}: got {shown(text)}; accepted: an ISO 8601 date{offset}")


def load_host(folder: Path) -> HostRun:
    """Read one host's folder; errors as in `load_run`."""
    plan = _read_plan(folder / PLAN) or load_plan(folder / PLAN)
    check_plan(plan, str(folder / PLAN))
    by_id: dict[str, StoredTrial] = {}
    trials = folder / TRIALS
    names = _trial_names(trials)
    paths = [f"{trials}/{name}/{TRIAL}" for name in names]
    contents = beside(lambda: _contents(paths), apart=is_worth_it(len(paths)))
    for name, path, content in zip(names, paths, chain.from_iterable(contents), strict=True):
        trial = None if content is None else _of_today(_QUICK_TRIAL.take(content))
        if trial is None:
            trial = load_trial(trials / name / TRIAL)
        if trial.trial_id != name:
            raise DataError(f"{path}: trial_id is {shown(trial.trial_id)}, unlike its folder")
        by_id[name] = StoredTrial(trials, trial)
    planned = {trial.id: trial for trial in plan.trials}
    if strangers := sorted(name for name in by_id if split_attempt(name)[0] not in planned):
        raise DataError(
            f"{trials / strangers[0]}: not in {PLAN}; a run's folder holds the trials of one plan"
        )
    variants = {variant.id: variant for variant in plan.variants}
    for stored in by_id.values():
        _check_belongs(stored, plan, planned, variants)
    decision = _load_decision(folder / DECISION, plan)
    places = {trial.id: trial.position for trial in plan.trials}

    def place(stored: StoredTrial) -> tuple[int, int]:
        name, attempt = split_attempt(stored.trial.trial_id)
        return places[name], attempt

    windows = _window_states(folder, plan, by_id)
    gone = {
        block
        for state in windows
        if state.is_past
        for block in range(state.window.first_block, state.window.last_block + 1)
    }
    every = sorted(by_id.values(), key=place)
    lacking = [
        trial
        for trial in plan.trials
        if trial.id not in by_id and trial.block <= _blocks(plan, decision)
    ]
    return HostRun(
        name=folder.name,
        folder=folder,
        plan=plan,
        facts=_load_facts(folder / HOST),
        changed_facts=tuple(sorted(path.name for path in folder.glob("host.*.json"))),
        decision=decision,
        trials=tuple(stored for stored in every if stored.trial.leg == "capacity"),
        legs=tuple(stored for stored in every if stored.trial.leg != "capacity"),
        missing=tuple(trial for trial in lacking if trial.block not in gone),
        missed=tuple(trial for trial in lacking if trial.block in gone),
        windows=windows,
    )


def _read_plan(path: Path) -> Plan | None:
    """Return the plan if it is of today's version; None where `collect.model` has to look at it."""
    try:
        return _of_today(_QUICK_PLAN.read(read_bytes(path)))
    except (OSError, ValueError):
        return None


def _of_today(found: _Versioned | None) -> _Versioned | None:
    return found if found is not None and found.schema_version == SCHEMA_VERSION else None


def _contents(paths: Sequence[str]) -> Iterator[list[bytes | None]]:
    """Read trials, many at a time; None where `collect.model` has to look at the file."""
    for start in range(0, len(paths), _READ_AT_ONCE):
        yield [_content(path) for path in paths[start : start + _READ_AT_ONCE]]


def _content(path: str) -> bytes | None:
    try:
        content = start_of(path)
        if len(content) == PART_BYTES:
            content = read_bytes(path)
    except (OSError, ValueError):
        return None
    return content if _QUICK_TRIAL.fits(content) else None


def _trial_names(trials: Path) -> list[str]:
    if not trials.is_dir():
        return []
    # A name that starts with a dot is being written, or was left by a pull that was cut off.
    with os.scandir(trials) as entries:
        return sorted(
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
        )


def _window_states(
    folder: Path, plan: Plan, found: Mapping[str, StoredTrial]
) -> tuple[WindowState, ...]:
    """Say how far each window has come: by the clock of the host, as its files have it."""
    if not plan.windows:
        return ()
    missed = _missed(folder / MISSED)
    ended = [datetime.fromisoformat(stored.trial.ended_at) for stored in found.values()]
    with contextlib.suppress(DataError, OSError, ValueError, RecursionError, KeyError, TypeError):
        progress = json.loads(read_bounded(folder / PROGRESS, _MAX_EXTRA_BYTES))
        check_moment(progress["updated_at"], PROGRESS, "updated_at", with_offset=True)
        ended.append(datetime.fromisoformat(progress["updated_at"]))
    latest = max(ended, default=datetime.fromtimestamp(0, timezone.utc))
    lacking = {trial.block for trial in plan.trials if trial.id not in found}
    return tuple(
        WindowState(
            window=window,
            blocks_done=sum(
                block not in lacking for block in range(window.first_block, window.last_block + 1)
            ),
            is_past=datetime.fromisoformat(window.ends_at) <= latest,
            why_missed=missed.get(window.starts_at),
        )
        for window in plan.windows
    )


def _missed(path: Path) -> dict[str, str]:
    """Read why windows were missed, by when they were to open; the last word on each."""
    found = {}
    try:
        lines = read_bounded(path, _MAX_EXTRA_BYTES).splitlines()
    except (OSError, ValueError):
        return {}
    for line in lines:
        # A line that was cut off says nothing, and harms nothing.
        with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
            note = json.loads(line)
            found[str(note["window"])] = str(note["why"])
    return found


def _load_decision(path: Path, plan: Plan) -> Decision | None:
    if not path.exists():
        return None
    decision = load_decision(path)
    if decision.run_id != plan.run_id:
        raise DataError(
            f"{path}: run_id is {shown(decision.run_id)}, but {shown(plan.run_id)} in {PLAN}"
        )
    return decision


def _blocks(plan: Plan, decision: Decision | None) -> int:
    if decision is None or decision.reason == "going_on":
        return plan.blocks
    return min(plan.blocks, decision.blocks_done)


def _check_belongs(
    stored: StoredTrial,
    plan: Plan,
    trials: Mapping[str, PlannedTrial],
    variants: Mapping[str, Variant],
) -> None:
    trial = stored.trial
    where = stored.path(TRIAL)
    check_moment(trial.started_at, where, "started_at", with_offset=True)
    check_moment(trial.ended_at, where, "ended_at", with_offset=True)
    planned_id, attempt = split_attempt(trial.trial_id)
    planned = trials[planned_id]
    of_variant = _OF_VARIANT(variants[planned.variant])
    wanted = (attempt, plan.run_id, plan.host, *_PLANNED(planned), *of_variant)
    if _FROM_PLAN(trial) != wanted:
        for name, own in zip(_NAMES_FROM_PLAN, wanted, strict=True):
            if (got := getattr(trial, name)) != own:
                raise DataError(f"{where}: {name} is {shown(got)}, but {shown(own)} in {PLAN}")
    load = trial.load
    if planned.leg != "capacity":
        # A leg has times of its own.
        load = replace(load, duration_s=plan.load.duration_s, warmup_s=plan.load.warmup_s)
    if load != plan.load:
        raise DataError(f"{where}: load is {trial.load}, but {plan.load} in {PLAN}")


def _load_facts(path: Path) -> HostFacts:
    """Take what is known from `host.json`, which may hold more than is read here."""
    if not path.exists():
        return HostFacts()
    try:
        data = json.loads(read_bounded(path, _MAX_EXTRA_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); was the copy cut off?") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds {type(data).__name__}; accepted: a mapping")
    sizes = (_count(data.get(f"memory_{kind}_bytes")) for kind in ("total", "limit"))
    return HostFacts(
        kernel=_text(data.get("kernel")),
        distribution=_text(data.get("os")),
        python=_text(data.get("python")),
        cores=_count(data.get("cores")),
        memory_bytes=min((size for size in sizes if size is not None), default=None),
        cpu_model=_text(data.get("cpu_model")),
        virtualisation=_text(data.get("virtualisation")),
        timezone=_text(data.get("timezone")),
        versions=tuple(
            (name, version)
            for part in ("versions", "packages")
            if isinstance(data.get(part), dict)
            for name, version in islice(data[part].items(), _MOST_VERSIONS)
            if isinstance(version, str) and (part == "versions" or name in _SHOWN_PACKAGES)
        ),
    )


def _strings(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON is any of six types
    """Return the list as it is meant to be; empty where it is anything else."""
    known = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return tuple(value) if known else ()


def _text(value: Any) -> str | None:  # noqa: ANN401 - JSON is any of six types
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:  # noqa: ANN401 - JSON is any of six types
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
