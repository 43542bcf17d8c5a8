"""`serverbench verify`: are the files still what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.cli.output import one_line, write
from collect.cli.places import LATEST, find_run
from collect.verify import verify_run

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands

_MOST_LINES = 1_000


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "verify",
        help="compare a run's files with their checksums, and its report with them",
        description="Compare every file of a run with its checksum, and the stored report.md with "
        "what the raw files give. Names each that differs, is missing or does not belong there.",
        epilog="Example: serverbench verify latest",
    )
    command.add_argument(
        "run_name", metavar="RUN", help=f"a run id under results/, a folder, or {LATEST}"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    found = verify_run(find_run(options.run_name))
    count = len(found.problems)
    lines = [*found.problems[:_MOST_LINES], *(f"Note: {note}" for note in found.notes)]
    if count > _MOST_LINES:
        lines.insert(_MOST_LINES, f"and {count - _MOST_LINES:,} more")
    end = "all as it was written" if not count else f"{count} problem{'s' if count > 1 else ''}"
    write("".join(f"{one_line(line)}\n" for line in [*lines, f"{found.run_id}: {end}"]))
    return 1 if count else 0
