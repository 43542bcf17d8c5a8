"""`serverbench report`: who is fastest, and every trial."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collect.beside import beside, can_be_apart
from collect.cli.language import add_language
from collect.cli.output import write, write_file
from collect.cli.places import LATEST, find_run
from collect.errors import DataError
from collect.report import (
    build_report,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    render_terminal,
)
from collect.report.charts import write_charts
from collect.store import load_run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from collect.cli.registry import Commands
    from collect.report import Report

_FILES = {"html": "html", "markdown": "md", "json": "json", "csv": "csv"}
"""Formats that can be files of the run's folder, each with its ending."""


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "report",
        help="rank the servers of a run, and show every trial",
        description="Rank the servers of a run by requests per second and by peak memory.",
        epilog="Example: serverbench report latest --format html",
    )
    command.add_argument(
        "run_name", metavar="RUN", help=f"a run id under results/, a folder, or {LATEST}"
    )
    command.add_argument(
        "--format",
        action="append",
        choices=["terminal", *_FILES],
        help="terminal unless told otherwise. Given more than once, the run is read once: each but "
        "terminal becomes a file in its folder",
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write one format to a file instead; Markdown gets its charts beside it. html without "
        "it: report.html in the run's folder",
    )
    command.add_argument(
        "--raw", action="store_true", help="terminal: what wrk printed, not a row a trial"
    )
    add_language(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    formats = list(dict.fromkeys(options.format or ["terminal"]))
    if len(formats) > 1 and options.output is not None:
        raise DataError(f"--output: takes one --format, and there are {', '.join(formats)}")
    report = build_report(load_run(find_run(options.run_name)))
    options.kept = report  # Until the process ends: see `collect.cli.command`.
    paths = {one: _path(report, one, options.output, len(formats)) for one in formats}
    page = paths.get("markdown")
    charts = None if page is None else page.with_name(f"{page.stem}-charts")
    drawing: Iterator[int] = iter(())
    if charts is not None:
        # Most of the time that a small report takes, and nothing else waits for them.
        drawing = beside(lambda: [write_charts(report, charts)], apart=can_be_apart())
    try:
        for one, path in paths.items():
            content = _content(report, one, charts, raw=options.raw, to_file=path is not None)
            if path is None:
                write(content)
            else:
                write_file(path, content)
    except Exception:
        # A reader who has seen enough, say: no page is left with half of its charts.
        list(drawing)
        raise
    list(drawing)
    # Last, where it is seen.
    if path := paths.get("html"):
        write(f"{_shown(path)}: open it in a browser; it needs nothing else\n")
    return 0


def _path(report: Report, one: str, asked: Path | None, formats: int) -> Path | None:
    """Return the file that a format becomes; None: it is shown."""
    # A page of a megabyte helps nobody in a terminal.
    if asked is None and one != "terminal" and (formats > 1 or one == "html"):
        return report.folder / f"report.{_FILES[one]}"
    return asked


def _content(report: Report, one: str, charts: Path | None, *, raw: bool, to_file: bool) -> str:
    if one == "markdown":
        return render_markdown(report, None if charts is None else charts.name)
    if one != "terminal":
        render: dict[str, Callable[[Report], str]] = {
            "html": render_html,
            "json": render_json,
            "csv": render_csv,
        }
        return render[one](report)
    if to_file:
        return render_terminal(report, raw=raw)
    is_terminal = sys.stdout.isatty()
    return render_terminal(
        report,
        width=shutil.get_terminal_size().columns if is_terminal else 80,
        colour=is_terminal and not os.environ.get("NO_COLOR"),
        raw=raw,
    )


def _shown(path: Path) -> Path:
    """Return the path as short as it can be typed here."""
    whole, here = path.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole
