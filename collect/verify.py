"""Check a run's raw files against their checksums, and its report against the raw files.

Everything that does not fit is named, not only the first. Nothing is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.errors import DataError
from collect.lang import LANGUAGES, SOURCE, speaking
from collect.report import build_report, render_markdown
from collect.store import DECISION, MISSED, PLAN, PROGRESS, TRIAL, TRIALS, load_run
from collect.sums import SUMS, compare, folder_problems, read_sums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collect.lang import Language
    from collect.store import Run

REPORT = "report.md"
CHARTS = "report-charts"

_HOST_FACTS = re.compile(r"host(\.[0-9]+)?\.json")
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
    problems: list[str] = []
    notes: list[str] = []
    trials = 0
    for host in hosts:
        trials += len(_trial_folders(host))
        problems += _host_problems(host, notes)
    problems += _report_problems(folder, notes)
    return Verification(folder.resolve().name, trials, tuple(problems), tuple(notes))


def _is_host(path: Path) -> bool:
    # Also one whose plan is what went missing.
    return (
        path.is_dir()
        and not path.name.startswith(".")
        and ((path / PLAN).is_file() or (path / TRIALS).is_dir() or (path / SUMS).is_file())
    )


def _trial_folders(host: Path) -> list[Path]:
    trials = host / TRIALS
    if not trials.is_dir():
        return []
    # A name that starts with a dot is being written, or was put aside by the runner.
    return [path for path in sorted(trials.iterdir()) if not path.name.startswith(".")]


def _host_problems(host: Path, notes: list[str]) -> Iterator[str]:
    folders = _trial_folders(host)
    for path in folders:
        where = f"{host.name}/{TRIALS}/{path.name}"
        if path.is_dir():
            yield from folder_problems(path, where, (TRIAL,))
        else:
            yield f"{where}: not a trial's folder"
    if not (host / PLAN).is_file():
        yield f"{host.name}/{PLAN}: missing"
    listed: dict[str, str] = {}
    if (host / SUMS).exists():
        yield from read_sums(host, host.name, listed)
    if not listed:
        notes.append(
            f"{host.name}: has no {SUMS} of its own (the run goes on, was stopped, or is of an "
            "older serverbench): a whole trial that went missing, or a changed plan, would not show"
        )
        return
    yield from compare(host, host.name, listed)
    for path in sorted(host.iterdir()):
        if path.is_file() and path.name not in {*listed, *_PASSING}:
            yield f"{host.name}/{path.name}: {_why_extra(path.name)}"
    for path in folders:
        if path.is_dir() and f"{TRIALS}/{path.name}/{SUMS}" not in listed:
            yield f"{host.name}/{TRIALS}/{path.name}: the whole trial is not listed in {SUMS}"


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
