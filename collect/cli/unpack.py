"""`serverbench unpack`: an archive from a host, checked and added to the results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collect.archive import unpack
from collect.cli.output import write

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "unpack",
        help="check an archive from a host and add it to the results",
        description="Check an archive from a host and add it to the results. What is there stays.",
        epilog="Example: serverbench unpack lab1.tar.gz results/20260131-0200/lab1",
    )
    command.add_argument("archive", type=Path, metavar="ARCHIVE")
    command.add_argument("destination", type=Path, metavar="DESTINATION")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    result = unpack(options.archive, options.destination)
    write(
        f"{options.destination}: {len(result.added)} trials added, "
        f"{len(result.kept)} were here already\n"
    )
    return 0
