"""`serverbench list`: the runs that are here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.cli.output import write
from collect.cli.places import dated_runs, results_dir
from collect.cli.terminal import print_to_text
from collect.report.runs import describe_run, runs_table

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands

_SHOWN = 10
"""Each run is judged anew from its raw files, which takes up to a second."""


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "list",
        help="show the runs that are here, the newest last",
        description="Show the runs under results/: id, date, hosts, trials by verdict, and the "
        "first words of the answer. The newest stands last.",
        epilog="Example: serverbench list --all",
    )
    command.add_argument(
        "--all", action="store_true", help=f"every run, not only the newest {_SHOWN}"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    found, unreadable = dated_runs(results_dir())
    shown = found if options.all else found[-_SHOWN:]
    lines = [describe_run(folder) for folder in (*unreadable, *shown)]
    if not lines:
        write(f"{results_dir()}: holds no run yet; serverbench run makes one.\n")
        return 0
    parts = [print_to_text(runs_table(lines))]
    if hidden := len(found) - len(shown):
        parts.append(f"{hidden} older; serverbench list --all shows them.\n")
    write("".join(parts))
    return 0
