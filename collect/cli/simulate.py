"""`serverbench simulate`: the comparing, tried on synthetic hosts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, get_args

from collect.cli.output import write
from collect.model import Order, dumps
from collect.simulate import Setup, render_table, simulate

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "simulate",
        help="try the comparing on synthetic hosts whose truth is known",
        description="Plan, judge and compare synthetic runs, and count how often that is right.",
        epilog="Example: serverbench simulate --runs 400 --blocks 10 --gap 0.05",
    )
    for name, help_text in (
        ("runs", "synthetic hosts"),
        ("blocks", "blocks of each run, at most"),
        ("noise", "standard deviation of the host's log speed, with 10 minutes' correlation"),
        ("throttle", "speed while throttled; 1: never"),
        ("dwell-s", "mean seconds in either state of the throttle"),
        ("trial-s", "seconds from one trial to the next"),
        ("gap", "relative gap between neighbours, and the one that ends a run early"),
        ("seed", "the same seed gives the same figures"),
        ("drift", "change of the host's log speed in an hour"),
        ("min-blocks", "with --stopping: blocks before the first look"),
    ):
        default = getattr(Setup(), name.replace("-", "_"))
        command.add_argument(
            f"--{name}", type=type(default), default=default, help=f"{help_text} (%(default)s)"
        )
    command.add_argument("--order", choices=get_args(Order), default="interleaved")
    command.add_argument("--stopping", action="store_true", help="end once every pair is decided")
    command.add_argument("--format", choices=["table", "json"], default="table")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    names = [field.name for field in dataclasses.fields(Setup)]
    result = simulate(Setup(**{name: getattr(options, name) for name in names}))
    write(dumps(result) if options.format == "json" else render_table(result))
    return 0
