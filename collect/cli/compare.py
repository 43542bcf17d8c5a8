"""`serverbench compare`: what changed from one run to another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collect.changes import compare_runs
from collect.cli.language import add_language
from collect.cli.output import write
from collect.cli.places import LATEST, find_run
from collect.foreign import json_text
from collect.model import dumps
from collect.report.changes import (
    render_changes_markdown,
    render_changes_terminal,
    render_refusal,
)
from collect.store import load_run

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "compare",
        help="say what changed from one run to another",
        description="Say what changed from run A to run B, variant by variant, with intervals. "
        "Refuses runs whose hosts, versions, loads or settings differ, and names what does.",
        epilog="Example: serverbench compare 20260131-0200 latest",
    )
    for name in ("RUN_A", "RUN_B"):
        command.add_argument(
            name.lower(), metavar=name, help=f"a run id under results/, a folder, or {LATEST}"
        )
    command.add_argument("--format", choices=["terminal", "json", "markdown"], default="terminal")
    command.add_argument(
        "--allow-different", action="store_true", help="compare all the same, with a warning each"
    )
    add_language(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    a, b = (load_run(find_run(name)) for name in (options.run_a, options.run_b))
    changes = compare_runs(a, b)
    if changes.differences and not options.allow_different:
        sys.stderr.write(f"serverbench: {render_refusal(changes)}")
        return 1
    render = {
        "terminal": render_changes_terminal,
        "json": lambda changes: json_text(dumps(changes)),
        "markdown": render_changes_markdown,
    }[options.format]
    write(render(changes))
    return 0
