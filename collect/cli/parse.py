"""`serverbench parse`: what wrk printed, in any text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.cli.language import add_language
from collect.cli.output import write
from collect.errors import DataError
from collect.report.parsed import parse_sources, render_parsed_json, render_parsed_table

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "parse",
        help="check what wrk printed, in any text: a log, notes, a blog post",
        description="Find every output of wrk in texts, and say which of them to believe.",
        epilog="Example: serverbench parse notes.md --format json",
    )
    command.add_argument("files", metavar="FILE", nargs="+", help="a text; - reads stdin")
    command.add_argument("--format", choices=["table", "json"], default="table")
    add_language(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    outputs, problems = parse_sources(options.files)
    if outputs:
        render = render_parsed_json if options.format == "json" else render_parsed_table
        write(render(outputs))
    if problems:
        raise DataError("; ".join(problems))
    return 0
