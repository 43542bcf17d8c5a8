"""A line for each run: when, where, how many trials, what came out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from collect.errors import ServerbenchError
from collect.report import text
from collect.report.build import build_report
from collect.store import load_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collect.checks import VerdictStatus

_WORDS = 12
"""Of the answer: enough to know a run again."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run; `problem` says why there is no more to say of it."""

    run_id: str
    created_at: str = ""
    hosts: tuple[str, ...] = ()
    trials: int = 0
    missing: int = 0
    missed: int = 0
    """By windows that are past."""
    verdicts: tuple[tuple[VerdictStatus, int], ...] = ()
    answer: str = ""
    problem: str = ""


def describe_run(folder: Path) -> RunLine:
    """Read a run's folder and judge it; a folder that cannot be read says so on its line."""
    try:
        run = load_run(folder)
        report = build_report(run)
    except ServerbenchError as error:
        return RunLine(folder.name, problem=str(error))
    counts = Counter(
        line.verdict.status for host in report.hosts for line in (*host.trials, *host.legs)
    )
    return RunLine(
        run_id=run.run_id,
        created_at=min(host.plan.created_at for host in run.hosts),
        hosts=tuple(host.name for host in run.hosts),
        trials=sum(len(host.trials) + len(host.legs) for host in run.hosts),
        missing=sum(len(host.missing) for host in run.hosts),
        missed=sum(len(host.missed) for host in run.hosts),
        verdicts=tuple(
            (status, counts[status]) for status in ("valid", "suspect", "invalid") if counts[status]
        ),
        answer=report.hosts[0].answer,
    )


def runs_table(lines: Sequence[RunLine]) -> Table:
    """Return the runs as a table, in the order given."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    # An id is what the next command is given, so it is never cut; a very long one is folded. It has
    # no least width: with one, rich loses a character of each full line of the last column.
    table.add_column("run", overflow="fold")
    table.add_column("date", no_wrap=True)
    table.add_column("hosts", overflow="fold")
    table.add_column("trials", no_wrap=True)
    table.add_column("answer", overflow="fold", ratio=1)
    for line in lines:
        name = Text(text.one_line(line.run_id))
        if line.problem:
            table.add_row(name, "", "", "", Text(text.one_line(line.problem), style="red"))
            continue
        table.add_row(
            name,
            Text(_date(line.created_at)),
            Text(text.one_line(", ".join(line.hosts))),
            Text(_trials(line)),
            Text(first_words(line.answer)),
        )
    return table


def first_words(answer: str) -> str:
    """Return the beginning of an answer, with a sign where there is more."""
    words = text.one_line(answer).split()
    return " ".join(words[:_WORDS]) + (" …" if len(words) > _WORDS else "")


def _date(created_at: str) -> str:
    # In the reader's own time zone: runs are remembered as "last night's".
    return datetime.fromisoformat(created_at).astimezone().strftime("%Y-%m-%d %H:%M")


def _trials(line: RunLine) -> str:
    known = [f"{count:,} {status}" for status, count in line.verdicts]
    if line.missing:
        known.append(f"{line.missing:,} missing")
    if line.missed:
        known.append(f"{line.missed:,} missed")
    return "\n".join(known) or "none"
