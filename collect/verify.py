"""Check a run's raw files against their checksums, and its report against the raw files.

Everything that does not fit is named, not only the first. Nothing is changed.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from collect.beside import beside, is_worth_it
from collect.errors import DataError
from collect.lang import LANGUAGES, SOURCE, speaking
from collect.model import load_decision, read_bounded
from collect.report import build_report, render_markdown
from collect.report.charts import image_names
from collect.store import DECISION, MISSED, PLAN, PROGRESS, TRIAL, TRIALS, load_run
from collect.sums import SUMS, compare, folder_problems, is_as_listed, read_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from collect.lang import Language
    from collect.model import PlannedTrial
    from collect.store import Run

REPORT = "report.md"
CHARTS = "report-charts"
PAGE = "report.html"

_HOST_FACTS = re.compile(r"host(\.[0-9]+)?\.json")
_T = TypeVar("_T")
_Task: TypeAlias = "Callable[[], Iterator[str]]"
_AT_ONCE = 1_000
"""Files or trials that are one task: a tenth of a second's work."""
_MOST_PROCESSES = 4
_BACK = 10
"""How nice those are that only hash: the report is waited for."""
# Not in the list: rewritten all the time, or only there while the runner works.
_PASSING = (PROGRESS, "restore.json", SUMS)
_MAX_PROGRESS_BYTES = 2**20
_MOST_NAMED = 20
"""Missing trials of a host that are named one by one."""


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
    # Files are hashed beside, while the report is built again here.
    checks = [_Check(host, names[host]) for host in hosts]
    tasks = [task for check in checks for task in (*check.of_trials, *check.of_sums)]
    found = _find_all(tasks, apart=is_worth_it(trials))
    notes_on_report: list[str] = []
    missing: dict[str, Sequence[PlannedTrial]] = {}
    of_report = [*_report_problems(folder, missing, notes_on_report)]
    for check in checks:
        problems += check.problems(found, missing.get(check.name, ()), notes)
    return Verification(
        folder.resolve().name, trials, (*problems, *of_report), (*notes, *notes_on_report)
    )


def _find_all(tasks: Sequence[_Task], *, apart: bool) -> Iterator[list[str]]:
    """Return what each task finds, in their order; all begin at once if they are done apart."""
    count = min(os.cpu_count() or 1, _MOST_PROCESSES) if apart else 1

    def own(at: int) -> Iterator[list[str]]:
        return ([*task()] for task in tasks[at::count])

    found = [beside(partial(own, at), apart=apart, niceness=_BACK) for at in range(count)]
    return (next(found[at % count]) for at in range(len(tasks)))


def _tasks(
    find: Callable[[str, str, Sequence[_T]], Iterator[str]], host: Path, work: Sequence[_T]
) -> list[_Task]:
    """Divide what is to be found of a host."""
    return [
        partial(find, str(host), host.name, work[start : start + _AT_ONCE])
        for start in range(0, len(work), _AT_ONCE)
    ]


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


def _trial_problems(
    host: str, name: str, trials: Sequence[tuple[str, str | None]]
) -> Iterator[str]:
    """Name what is wrong in some of a host's trials.

    Each comes with the checksum that the host's list has of the trial's own, or None where it has
    none: the trial's is read here anyway, and reading it again takes a sixth of the time of all.
    """
    for trial, wanted in trials:
        path = f"{host}/{TRIALS}/{trial}"
        if is_as_listed(path, TRIAL, wanted):
            continue
        where = f"{name}/{TRIALS}/{trial}"
        if wanted is not None:
            yield from compare(host, name, {_list_of(trial): wanted})
        if os.path.isdir(path):  # noqa: PTH112 - a Path takes as long as the file
            yield from folder_problems(path, where, (TRIAL,))
        else:
            yield f"{where}: not a trial's folder"


def _sum_problems(host: str, name: str, listed: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Name what differs of some of the files in a host's own list."""
    yield from compare(host, name, dict(listed))


class _Check:
    """The check of one host's files."""

    def __init__(self, host: Path, trials: Sequence[str]) -> None:
        """Prepare."""
        self.name = host.name
        self._host, self._trials = host, trials
        self._listed: dict[str, str] = {}
        self._of_list: list[str] = []
        if (host / SUMS).exists():
            self._of_list += read_sums(host, host.name, self._listed)
        lists = {_list_of(trial): trial for trial in trials}
        of_lists = [(trial, self._listed.get(path)) for path, trial in lists.items()]
        others = [(path, wanted) for path, wanted in self._listed.items() if path not in lists]
        self.of_trials = _tasks(_trial_problems, host, of_lists)
        self.of_sums = _tasks(_sum_problems, host, others)

    def problems(
        self, found: Iterator[list[str]], missing: Sequence[PlannedTrial], notes: list[str]
    ) -> Iterator[str]:
        """Name what is wrong, and note what could not be checked; take what the tasks found.

        Args:
            found: what each task found, from the first one of this host on.
            missing: what the plan has in the run's blocks, and nobody found.
            notes: are added to.
        """
        host = self._host
        yield from chain.from_iterable(islice(found, len(self.of_trials)))
        if not (host / PLAN).is_file():
            yield f"{host.name}/{PLAN}: missing"
        yield from self._of_list
        has_ended = _has_ended(host)
        if has_ended:
            yield from self._missing(missing)
        if not self._listed and not has_ended:
            notes.append(
                f"{host.name}: has no {SUMS} of its own (the run goes on, was stopped, or is of an "
                "older serverbench): a whole trial that went missing, or a changed plan, would not "
                "show"
            )
        elif not self._listed and not self._of_list:
            yield (
                f"{host.name}/{SUMS}: missing, and {DECISION} says that the run ended: it was "
                "removed, or a later session was cut off. Pull the run again, or go on with it"
            )
        yield from chain.from_iterable(islice(found, len(self.of_sums)))
        yield from self._too_many()

    def _too_many(self) -> Iterator[str]:
        """Name what lies there and is not listed; without a list, what no run has."""
        host, listed = self._host, self._listed
        for path in sorted(host.iterdir()):
            name = path.name
            if name == TRIALS or name in listed:
                continue
            if path.is_dir():
                # A name that starts with a dot is being unpacked.
                if not name.startswith("."):
                    yield f"{host.name}/{name}: no folder that a run has"
            elif listed and name not in _PASSING:
                yield f"{host.name}/{name}: {_why_extra(name)}"
        for trial in self._trials if listed else ():
            if _list_of(trial) not in listed and (host / TRIALS / trial).is_dir():
                yield f"{host.name}/{TRIALS}/{trial}: the whole trial is not listed in {SUMS}"

    def _missing(self, missing: Sequence[PlannedTrial]) -> Iterator[str]:
        """Name each missing trial that is not named as one that is listed."""
        gone = [one.id for one in missing if _list_of(one.id) not in self._listed]
        where = f"{self.name}/{TRIALS}"
        for trial in gone[:_MOST_NAMED]:
            yield f"{where}/{trial}: missing, and {PLAN} has it in a block that was run"
        if len(gone) > _MOST_NAMED:
            yield f"{where}: {len(gone):,} such trials are missing in all"


def _has_ended(host: Path) -> bool:
    """Tell whether the run came to its end, and so had a list.

    The first runner that wrote a decision wrote a list after it: nothing that is older has ended.
    One that is at work again, or still, has no list until it is done.
    """
    try:
        if load_decision(host / DECISION).reason == "going_on":
            return False
        progress = json.loads(read_bounded(host / PROGRESS, _MAX_PROGRESS_BYTES))
    except DataError:
        return False
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(progress, dict) or progress.get("state") != "running"


def _list_of(trial: str) -> str:
    """Return where a trial's list of checksums lies in its host's folder."""
    return f"{TRIALS}/{trial}/{SUMS}"


def _why_extra(name: str) -> str:
    if name in (PLAN, DECISION, MISSED) or _HOST_FACTS.fullmatch(name):
        return f"not listed in {SUMS}"
    return f"not listed in {SUMS}, and no file that a run has"


def _report_problems(
    folder: Path, missing: dict[str, Sequence[PlannedTrial]], notes: list[str]
) -> Iterator[str]:
    """Rebuild the report from the raw data and compare it with the one that is stored.

    Fills `missing` with each host's missing trials.
    """
    charts = CHARTS if (folder / CHARTS).is_dir() else None
    try:
        run = load_run(folder)
        missing.update((host.name, host.missing) for host in run.hosts)
        with speaking(SOURCE):
            report = build_report(run)
            page = render_markdown(report, charts).encode()
            shown = image_names(report) if charts else set()
            del report
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
    if charts is not None:
        yield from _chart_problems(folder / charts, shown)
    # To draw one chart takes as long as to check all else of a hundred trials.
    if unseen := [name for name in (CHARTS, PAGE) if (folder / name).exists()]:
        notes.append(
            f"{' and '.join(unseen)}: not compared with the raw files; `serverbench report "
            f"{folder.resolve().name} --format markdown --format html` makes them anew"
        )


def _chart_problems(folder: Path, shown: Collection[str]) -> Iterator[str]:
    """Name each image that the report shows and that is missing, and each that it does not show."""
    with os.scandir(folder) as entries:
        plain = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    for name in sorted(shown):
        if not plain.get(name):
            yield f"{folder.name}/{name}: missing, and the run's report shows it"
    for name in sorted({*plain} - {*shown}):
        if not name.startswith("."):
            yield f"{folder.name}/{name}: no chart that the run's report shows"


def _page(run: Run, language: Language, charts: str | None) -> bytes:
    with speaking(language):
        return render_markdown(build_report(run), charts).encode()
