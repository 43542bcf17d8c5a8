"""`serverbench completion`: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import shtab

from collect.cli.output import write

if TYPE_CHECKING:
    from collect.cli.registry import Commands

SHELLS = ("bash", "zsh")
_RUN = {"bash": "_serverbench_runs", "zsh": "_files -W results -/"}
_PREAMBLE = {
    "bash": """\
_serverbench_runs() {
  compgen -W "latest $(ls results 2>/dev/null)" -- "$1"
}
"""
}
# By what an argument is shown as, so that no command has to know of completion.
_BY_METAVAR = {
    "RUN": _RUN,
    "RUN_A": _RUN,
    "RUN_B": _RUN,
    "RUN_ID": _RUN,
    "FILE": shtab.FILE,
    "VARIABLES.json": shtab.FILE,
    "ARCHIVE": shtab.FILE,
    "INVENTORY": shtab.FILE,
    "DESTINATION": shtab.DIRECTORY,
}


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "completion",
        help="print a script that completes commands in your shell",
        description="Print a script for the shell; what it completes are commands, options, runs "
        "under results/ and files. zsh: into a file _serverbench in a folder of $fpath.",
        epilog='Example: eval "$(serverbench completion bash)"',
    )
    command.add_argument("shell", choices=SHELLS)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    # Here, as the registry knows this command too.
    from collect.cli.registry import build_parser  # noqa: PLC0415

    parser = build_parser()
    _tell(parser)
    script: str = shtab.complete(
        parser, shell=options.shell, preamble=_PREAMBLE.get(options.shell, "")
    )
    write(script if script.endswith("\n") else f"{script}\n")
    return 0


def _tell(parser: argparse.ArgumentParser) -> None:
    """Tell shtab what kind of thing each argument of the parser, and of those below it, takes."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - nor a public name
            for command in action.choices.values():
                _tell(command)
        elif kind := _BY_METAVAR.get(str(action.metavar)):
            action.complete = kind  # type: ignore[attr-defined]  # where shtab looks for it
