"""Where results live, and how to read them back.

    results/<run_id>/<host>/plan.json, host.json, progress.json, …
    results/<run_id>/<host>/trials/<trial_id>/trial.json, wrk.txt, …, SHA256SUMS

Raw data is append-only (see `collect.archive` for how it gets here); everything a report says is
rebuilt from it, offline.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collect.errors import DataError
from collect.model import Plan, PlannedTrial, Trial, load_plan, load_trial

if TYPE_CHECKING:
    from pathlib import Path

PLAN = "plan.json"
HOST = "host.json"
PROGRESS = "progress.json"
TRIALS = "trials"
TRIAL = "trial.json"
WRK_TEXT = "wrk.txt"
SUMS = "SHA256SUMS"

_SUM_LINE = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<name>[^/\x00-\x1f]+)")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What `host.json` says of the host; None where it says nothing."""

    kernel: str | None = None
    distribution: str | None = None
    python: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    """What processes may use: the host's memory, or less where a control group limits it."""


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial that was pulled: its figures, and the folder with its raw files."""

    folder: Path
    trial: Trial

    def wrk_text(self) -> str | None:
        """Return what wrk printed, as it stands; None where there is no such file."""
        try:
            return (self.folder / WRK_TEXT).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class HostRun:
    """One host's share of a run."""

    name: str
    folder: Path
    plan: Plan
    facts: HostFacts
    changed_facts: tuple[str, ...]
    """Names of `host.N.json`: a resumed run found another kernel, memory, package, …"""
    trials: tuple[StoredTrial, ...]
    """In the order of the plan."""
    missing: tuple[PlannedTrial, ...]


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
    hosts = tuple(_load_host(path) for path in sorted(folder.iterdir()) if (path / PLAN).is_file())
    if not hosts:
        raise DataError(f"{folder}: holds no <host>/{PLAN}; was the run pulled?")
    run_ids = sorted({host.plan.run_id for host in hosts})
    if len(run_ids) > 1:
        raise DataError(f"{folder}: holds hosts of different runs ({', '.join(run_ids)})")
    return Run(run_ids[0], folder, hosts)


def verify_trial(folder: Path, where: str | None = None) -> None:
    """Compare every file of a trial's folder with its `SHA256SUMS`.

    Args:
        folder: the trial's folder.
        where: names the folder in messages; its path if left out.

    Raises:
        DataError: a file is missing, changed or not listed; the message names it.
    """
    name = where or str(folder)
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: {SUMS} is missing or unreadable; pull the trial again") from error
    listed = set()
    for line in lines:
        match = _SUM_LINE.fullmatch(line)
        if match is None or match["name"] in {".", ".."}:
            raise DataError(f"{name}/{SUMS}: got {line!r}; accepted: <sha256>  <file name>")
        path = folder / match["name"]
        if not path.is_file() or path.is_symlink():
            raise DataError(f"{name}/{match['name']}: listed in {SUMS} but missing")
        if digest(path) != match["sum"]:
            raise DataError(f"{name}/{match['name']}: differs from its checksum in {SUMS}")
        listed.add(match["name"])
    for path in sorted(folder.iterdir()):
        if path.name not in listed | {SUMS}:
            raise DataError(f"{name}/{path.name}: not listed in {SUMS}")
    if TRIAL not in listed:
        raise DataError(f"{name}: holds no {TRIAL}")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_host(folder: Path) -> HostRun:
    plan = load_plan(folder / PLAN)
    by_id: dict[str, StoredTrial] = {}
    trials = folder / TRIALS
    for path in sorted(trials.iterdir()) if trials.is_dir() else []:
        # A name that starts with a dot is being written, or was left by a pull that was cut off.
        if not path.is_dir() or path.name.startswith("."):
            continue
        trial = load_trial(path / TRIAL)
        if trial.trial_id != path.name:
            raise DataError(f"{path / TRIAL}: trial_id is {trial.trial_id!r}, unlike its folder")
        by_id[path.name] = StoredTrial(path, trial)
    planned = {trial.id for trial in plan.trials}
    if strangers := sorted(set(by_id) - planned):
        raise DataError(
            f"{trials / strangers[0]}: not in {PLAN}; a run's folder holds the trials of one plan"
        )
    for stored in by_id.values():
        _check_belongs(stored, plan)
    return HostRun(
        name=folder.name,
        folder=folder,
        plan=plan,
        facts=_load_facts(folder / HOST),
        changed_facts=tuple(sorted(path.name for path in folder.glob("host.*.json"))),
        trials=tuple(by_id[trial.id] for trial in plan.trials if trial.id in by_id),
        missing=tuple(trial for trial in plan.trials if trial.id not in by_id),
    )


def _check_belongs(stored: StoredTrial, plan: Plan) -> None:
    planned = next(trial for trial in plan.trials if trial.id == stored.trial.trial_id)
    for name, got, wanted in (
        ("run_id", stored.trial.run_id, plan.run_id),
        ("variant", stored.trial.variant, planned.variant),
        ("endpoint", stored.trial.endpoint, planned.endpoint),
        ("block", stored.trial.block, planned.block),
    ):
        if got != wanted:
            raise DataError(f"{stored.folder / TRIAL}: {name} is {got!r}, but {wanted!r} in {PLAN}")


def _load_facts(path: Path) -> HostFacts:
    """Take what is known from `host.json`, which may hold more than is read here."""
    if not path.exists():
        return HostFacts()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
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
    )


def _text(value: Any) -> str | None:  # noqa: ANN401 - JSON is any of six types
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:  # noqa: ANN401 - JSON is any of six types
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
