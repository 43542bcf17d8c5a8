"""`serverbench show`: everything that is known of one trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.cli.output import write
from collect.cli.places import LATEST, find_run
from collect.cli.terminal import print_to_text
from collect.report.single import find_trial, single_parts
from collect.store import load_run

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "show",
        help="show everything that is known of one trial",
        description="Show one trial: what was planned, its figures, its verdict with reasons, the "
        "command line that really ran, versions, and what wrk printed.",
        epilog="Example: serverbench show b01-granian-wsgi-health latest",
    )
    command.add_argument("trial_id", metavar="TRIAL", help="id of a trial, as a report shows it")
    command.add_argument(
        "run_name",
        metavar="RUN",
        nargs="?",
        default=LATEST,
        help=f"a run id under results/, a folder, or {LATEST} (default: %(default)s)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    found = find_trial(load_run(find_run(options.run_name)), options.trial_id)
    write("\n".join(print_to_text(*single_parts(single)) for single in found))
    return 0
