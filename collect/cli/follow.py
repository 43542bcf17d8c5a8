"""`serverbench follow`: the view of a run that is under way already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.cli.output import write
from collect.cli.places import RUN_ID
from collect.cli.playbooks import add_aim, aim_of
from collect.errors import DataError

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands

PLAYBOOK = "playbooks/follow_run.yml"


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "follow",
        help="follow a run that is under way, to its ranking",
        description="Show a run that is under way on its hosts, as `serverbench run` does; then "
        "fetch its results and rank the servers. A run that has ended is fetched and ranked.",
        epilog="Example: serverbench follow 20260131-0200 -i inventory/tencent",
    )
    command.add_argument(
        "run_id",
        metavar="RUN",
        nargs="?",
        default="",
        help="its id (default: the one under way, or else the latest on the hosts)",
    )
    add_aim(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    # Here, because ansible-runner takes a third of a second to load.
    from collect.cli.driven import drive, last_words  # noqa: PLC0415

    if options.run_id and not RUN_ID.fullmatch(options.run_id):
        raise DataError(f"RUN: got {options.run_id!r}; accepted: the name of a run")
    ended = drive(PLAYBOOK, aim_of(options), {"bench_run_id": options.run_id}, "Choose the run")
    if ended.is_interrupted:
        write(last_words(ended, options.inventory, options.limit))
    return ended.status
