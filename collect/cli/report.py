"""`serverbench report`: who is fastest, and every trial."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collect.cli.language import add_language
from collect.cli.output import write, write_file
from collect.cli.places import LATEST, find_run
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

    from collect.cli.registry import Commands


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
        "--format", choices=["terminal", "html", "markdown", "json", "csv"], default="terminal"
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write to a file instead; Markdown gets its charts beside it. html without it: "
        "report.html in the run's folder",
    )
    command.add_argument(
        "--raw", action="store_true", help="terminal: what wrk printed, not a row a trial"
    )
    add_language(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    report = build_report(load_run(find_run(options.run_name)))
    if options.format == "html":
        # A page of a megabyte helps nobody in a terminal.
        path = options.output or report.folder / "report.html"
        write_file(path, render_html(report))
        write(f"{_shown(path)}: open it in a browser; it needs nothing else\n")
        return 0
    if options.format == "markdown" and options.output is not None:
        folder = options.output.with_name(f"{options.output.stem}-charts")
        write_charts(report, folder)
        page = render_markdown(report, folder.name)
    elif options.format != "terminal":
        render = {"markdown": render_markdown, "json": render_json, "csv": render_csv}
        page = render[options.format](report)
    elif options.output is not None:
        page = render_terminal(report, raw=options.raw)
    else:
        is_terminal = sys.stdout.isatty()
        page = render_terminal(
            report,
            width=shutil.get_terminal_size().columns if is_terminal else 80,
            colour=is_terminal and not os.environ.get("NO_COLOR"),
            raw=options.raw,
        )
    if options.output is None:
        write(page)
    else:
        write_file(options.output, page)
    return 0


def _shown(path: Path) -> Path:
    """Return the path as short as it can be typed here."""
    whole, here = path.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole
