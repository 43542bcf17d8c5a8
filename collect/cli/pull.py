"""`serverbench pull`: a run's results, from its hosts."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from collect.cli.places import RUN_ID, project_root
from collect.cli.playbooks import add_aim, aim_of, find_program
from collect.errors import DataError, ServerbenchError

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "pull",
        help="fetch a run's results from its hosts",
        description="Fetch a run's results from its hosts to results/RUN_ID, by pull.yml.",
        epilog="Example: serverbench pull 20260131-0200 -i inventory/tencent",
    )
    command.add_argument("run_id", metavar="RUN_ID")
    add_aim(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    if not RUN_ID.fullmatch(options.run_id):
        raise DataError(f"RUN_ID: got {options.run_id!r}; accepted: the name of a run")
    aim = aim_of(options).arguments()
    # Last, so that it wins.
    arguments = [find_program(), "pull.yml", *aim, "-e", f"bench_run_id={options.run_id}"]
    finished = subprocess.run(arguments, cwd=project_root(), check=False)
    if finished.returncode != 0:
        raise ServerbenchError(
            f"pull.yml: ansible-playbook ended with status {finished.returncode}; "
            "its own message stands above"
        )
    return 0
