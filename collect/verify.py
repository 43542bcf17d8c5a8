"""Check a run's raw files against their checksums, and its report against the raw files.

Everything that does not fit is named, not only the first. Nothing is changed.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from collect.errors import DataError
from collect.lang import LANGUAGES, SOURCE, speaking
from collect.report import build_report, render_markdown
from collect.store import DECISION, MISSED, PLAN, PROGRESS, TRIAL, TRIALS, load_run
from collect.sums import SUMS, compare, folder_problems, read_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from collect.lang import Language
    from collect.store import Run

REPORT = "report.md"
CHARTS = "report-charts"

_HOST_FACTS = re.compile(r"host(\.[0-9]+)?\.json")
_AT_ONCE = 1_000
"""Trials that one process takes at a time: a tenth of a second's work."""
_MOST_PROCESSES = 4
_T = TypeVar("_T")
# Not in the list: rewritten all the time, or only there while the runner works.
_PASSING = (PROGRESS, "restore.json", SUMS)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found out about a run."""

    run_id: str
    trials: int
    problems: tuple[str, ...]
    """One for each file that is changed, missing or too many; empty when all is well."""
    notes: tuple[str, ...]
    """What could not be checked, and why."""


def verify_run(folder: Path) -> Verification:
    """Check every file of a run's folder.

    Raises:
        DataError: there is no run.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run; `ls {folder.parent}` shows the ones there are")
    hosts = [path for path in sorted(folder.iterdir()) if _is_host(path)]
    if not hosts:
        raise DataError(f"{folder}: holds no <host>/{PLAN}; was the run pulled?")
    names = {host: _trial_names(host) for host in hosts}
    trials = sum(map(len, names.values()))
    problems: list[str] = []
    notes: list[str] = []
    hashing = _Hashing(trials)
    try:
        checks = [_Check(host, names[host], hashing) for host in hosts]
        notes_on_report: list[str] = []
        of_report = [*_report_problems(folder, notes_on_report)]
        for check in checks:
            problems += check.problems(notes)
    finally:
        hashing.close()
    return Verification(
        folder.resolve().name, trials, (*problems, *of_report), (*notes, *notes_on_report)
    )


class _Hashing:
    """Has files hashed by processes of their own, while the report is built again here."""

    def __init__(self, trials: int) -> None:
        """Prepare for so many trials: for a few it is not worth to start a process."""
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        if trials > _AT_ONCE and (cores := os.cpu_count() or 1) > 1:
            # Named in full: what it brings takes its time to import, and is imported when needed.
            self._pool = concurrent.futures.ProcessPoolExecutor(
                min(cores, _MOST_PROCESSES), initializer=_be_quiet
            )

    def close(self) -> None:
        """End the processes, and drop what they have not begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(
        self, check: Callable[[str, str, tuple[_T, ...]], list[str]], host: Path, work: Sequence[_T]
    ) -> Iterator[str]:
        """Return what `check` finds, given the host's folder, its name and a part of the work."""
        parts = [tuple(work[at : at + _AT_ONCE]) for at in range(0, len(work), _AT_ONCE)]
        own = partial(check, str(host), host.name)
        # A pool begins at once; a plain map as soon as somebody asks.
        found = self._pool.map(own, parts) if self._pool else map(own, parts)
        return chain.from_iterable(found)


def _be_quiet() -> None:
    # Ctrl-C reaches every process; this one says so for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _is_host(path: Path) -> bool:
    # Also one whose plan is what went missing.
    return (
        path.is_dir()
        and not path.name.startswith(".")
        and ((path / PLAN).is_file() or (path / TRIALS).is_dir() or (path / SUMS).is_file())
    )


def _trial_names(host: Path) -> list[str]:
    try:
        names = os.listdir(host / TRIALS)  # noqa: PTH208 - names are all
    except (FileNotFoundError, NotADirectoryError):
        return []
    # A name that starts with a dot is being written, or was put aside by the runner.
    return sorted(name for name in names if not name.startswith("."))


def _trial_problems(host: str, name: str, trials: tuple[str, ...]) -> list[str]:
    """Name what is wrong in some of a host's trials."""
    found: list[str] = []
    for trial in trials:
        path, where = f"{host}/{TRIALS}/{trial}", f"{name}/{TRIALS}/{trial}"
        if os.path.isdir(path):  # noqa: PTH112 - a Path takes as long as the file
            found += folder_problems(path, where, (TRIAL,))
        else:
            found.append(f"{where}: not a trial's folder")
    return found


def _sum_problems(host: str, name: str, listed: tuple[tuple[str, str], ...]) -> list[str]:
    """Name what differs of some of the files in a host's own list."""
    return [*compare(host, name, dict(listed))]


class _Check:
    """The check of one host's files, which begins when it is made."""

    def __init__(self, host: Path, trials: Sequence[str], hashing: _Hashing) -> None:
        """Begin."""
        self._host, self._trials = host, trials
        self._of_trials = hashing.run(_trial_problems, host, trials)
        self._listed: dict[str, str] = {}
        self._of_list: list[str] = []
        if (host / SUMS).exists():
            self._of_list += read_sums(host, host.name, self._listed)
        self._of_sums = hashing.run(_sum_problems, host, [*self._listed.items()])

    def problems(self, notes: list[str]) -> Iterator[str]:
        """Name what is wrong, and note what could not be checked."""
        host, listed = self._host, self._listed
        yield from self._of_trials
        if not (host / PLAN).is_file():
            yield f"{host.name}/{PLAN}: missing"
        yield from self._of_list
        if not listed:
            notes.append(
                f"{host.name}: has no {SUMS} of its own (the run goes on, was stopped, or is of an "
                "older serverbench): a whole trial that went missing, or a changed plan, would not "
                "show"
            )
            return
        yield from self._of_sums
        for path in sorted(host.iterdir()):
            if path.is_file() and path.name not in listed and path.name not in _PASSING:
                yield f"{host.name}/{path.name}: {_why_extra(path.name)}"
        for trial in self._trials:
            if f"{TRIALS}/{trial}/{SUMS}" not in listed and (host / TRIALS / trial).is_dir():
                yield f"{host.name}/{TRIALS}/{trial}: the whole trial is not listed in {SUMS}"


def _why_extra(name: str) -> str:
    if name in (PLAN, DECISION, MISSED) or _HOST_FACTS.fullmatch(name):
        return f"not listed in {SUMS}"
    return f"not listed in {SUMS}, and no file that a run has"


def _report_problems(folder: Path, notes: list[str]) -> Iterator[str]:
    """Rebuild the report from the raw data and compare it with the one that is stored."""
    charts = CHARTS if (folder / CHARTS).is_dir() else None
    try:
        run = load_run(folder)
        page = _page(run, SOURCE, charts)
    except DataError as error:
        yield f"{REPORT}: cannot be rebuilt: {error}"
        return
    path = folder / REPORT
    if not path.is_file():
        notes.append(f"{REPORT}: not there, so nothing to compare; the tables can be rebuilt")
    elif (stored := path.read_bytes()) != page and not any(
        stored == _page(run, language, charts) for language in LANGUAGES if language != SOURCE
    ):
        yield (
            f"{REPORT}: differs from what the raw files give: it was changed, or written by "
            "another version of serverbench"
        )


def _page(run: Run, language: Language, charts: str | None) -> bytes:
    with speaking(language):
        return render_markdown(build_report(run), charts).encode()
