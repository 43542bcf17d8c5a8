"""`serverbench plan`: what would run, in which order, and how long that takes."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from collect.cli.output import write, write_file
from collect.errors import DataError
from collect.model import Plan, dumps
from collect.plan import estimate_s, plan_from_variables
from collect.report.text import load, seconds

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "plan",
        help="show which trials would run, in which order, and how long they take",
        description="Show the plan for one host's variables; nothing is contacted.",
        epilog="Example: ansible-inventory -i inventory/lab --playbook-dir playbooks --host lab1 | "
        "serverbench plan - --host lab1 --cores 2",
    )
    command.add_argument("variables", metavar="VARIABLES.json", help="JSON file; - reads stdin")
    command.add_argument("--host", default="host", help="name of the host (default: %(default)s)")
    command.add_argument(
        "--cores", type=int, default=2, help="cores of the host (default: %(default)s)"
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write the plan as JSON, too")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    plan = plan_from_variables(
        _read_json(options.variables),
        host=options.host,
        cores=options.cores,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    if options.output is not None:
        write_file(options.output, dumps(plan))
    write(_describe(plan))
    return 0


def _describe(plan: Plan) -> str:
    estimate = estimate_s(plan)
    lines = [
        (
            f"{plan.host}: {_blocks(plan)}, {plan.order}, seed {plan.seed}, "
            f"{load(plan.load)} after {plan.load.warmup_s:g} s warm-up"
        ),
        "",
        f"{len(plan.variants)} variants",
    ]
    for variant in plan.variants:
        knobs = ", ".join(
            f"{name}={'n/a' if name in variant.not_honoured else value}"
            for name, value in variant.knobs.items()
            if value is not None or name in variant.not_honoured
        )
        lines.append(f"  {variant.id}: {knobs}")
    lines += ["", f"{len(plan.trials)} trials, in this order"]
    lines += [f"  {trial.position:>4}  {trial.id}" for trial in plan.trials]
    lines += [
        "",
        (
            f"About {seconds(estimate.total_s)}: {seconds(estimate.load_s)} load, "
            f"{seconds(estimate.warmup_s)} warm-up, {seconds(estimate.switching_s)} switching"
        ),
    ]
    if _may_end_early(plan):
        least = estimate_s(plan, plan.stopping.min_blocks)
        lines.append(
            f"Less if it is decided before the last block: {seconds(least.total_s)} at least"
        )
    return "\n".join(lines) + "\n"


def _may_end_early(plan: Plan) -> bool:
    return plan.stopping.gap is not None and plan.stopping.min_blocks < plan.blocks


def _blocks(plan: Plan) -> str:
    least = f"{plan.stopping.min_blocks} to " if _may_end_early(plan) else ""
    return f"{least}{plan.blocks} blocks"


def _read_json(name: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not JSON ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{name}: holds {type(data).__name__}; accepted: a mapping of variables")
    return data
