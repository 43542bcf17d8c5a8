"""`serverbench pull`: a run's results, from its hosts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collect.cli.places import RUN_ID, project_root
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
    command.add_argument("-i", "--inventory", required=True, metavar="INVENTORY")
    command.add_argument("--limit", metavar="HOSTS", help="only these hosts")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    if not RUN_ID.fullmatch(options.run_id):
        raise DataError(f"RUN_ID: got {options.run_id!r}; accepted: the name of a run")
    root = project_root()
    command = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
    command = command or shutil.which("ansible-playbook")
    if command is None:
        raise ServerbenchError("ansible-playbook: not found; run this inside the kit's environment")
    inventory = Path(options.inventory)
    # Relative to where the user stands; a bare host list (`web1,`) is passed on as it is.
    source = str(inventory.resolve()) if inventory.exists() else options.inventory
    arguments = [command, "pull.yml", "-i", source, "-e", f"bench_run_id={options.run_id}"]
    if options.limit:
        arguments += ["--limit", options.limit]
    finished = subprocess.run(arguments, cwd=root, check=False)
    if finished.returncode != 0:
        raise ServerbenchError(
            f"pull.yml: ansible-playbook ended with status {finished.returncode}; "
            "its own message stands above"
        )
    return 0
