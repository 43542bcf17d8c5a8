"""`serverbench run`: bench.yml, with a view of what the hosts are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.cli.output import write
from collect.cli.playbooks import add_aim, aim_of

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands

PLAYBOOK = "bench.yml"


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "run",
        help="prepare the hosts, measure, fetch and rank",
        description="Run bench.yml and show what each host does: block, trial, the last figure, "
        "time left, verdicts. Without a terminal it prints lines, as bench.yml does. Ctrl-C stops "
        "watching; a run that is under way goes on. Exit status: the playbook's; 130 after Ctrl-C.",
        epilog="Example: serverbench run -i inventory/tencent -e bench_blocks=5",
    )
    add_aim(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    # Here, because ansible-runner takes a third of a second to load.
    from collect.cli.driven import drive, last_words  # noqa: PLC0415

    ended = drive(PLAYBOOK, aim_of(options), {}, "Name the run")
    if ended.is_interrupted:
        write(last_words(ended, options.inventory, options.limit))
    return ended.status
