"""The commands, in the order in which the help shows them.

A command is a module with `add(commands)`, which names the function that runs it.
"""

from __future__ import annotations

import argparse
from typing import TypeAlias

import collect
from collect.cli import (
    compare,
    completion,
    doctor,
    follow,
    listing,
    parse,
    plan,
    pull,
    report,
    run,
    show,
    simulate,
    unpack,
    verify,
)

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no public name

COMMANDS = (
    doctor,
    plan,
    run,
    follow,
    pull,
    unpack,
    listing,
    report,
    show,
    compare,
    verify,
    parse,
    simulate,
    completion,
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="serverbench",
        description="Plan, run and report benchmarks of Django application servers.",
        epilog="Example: serverbench report latest",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {collect.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
