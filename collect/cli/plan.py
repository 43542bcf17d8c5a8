"""`serverbench plan`: what would run, in which order, and how long that takes."""

from __future__ import annotations

import json
import sys
import textwrap
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from collect.cli.output import write, write_file
from collect.cli.playbooks import add_aim, aim_of, run_quietly
from collect.errors import DataError
from collect.model import Plan, Rates, dumps, load_plan
from collect.plan import estimate_disk_bytes, estimate_s, plan_from_variables
from collect.report.settings import in_words
from collect.report.text import figure, load, mebibytes, number, percent, seconds

if TYPE_CHECKING:
    import argparse

    from collect.cli.registry import Commands

PLAYBOOK = "playbooks/show_plan.yml"
ASSUMED_CORES = 2
"""What the kit is made for; a host has to be asked to know better."""


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "plan",
        help="show which trials would run, in which order, and how long they take",
        description="Show, before any host is touched, what would run on each host of an "
        "inventory: variants, trials in their order, time, disk. A file with the variables of one "
        "host will do as well, as ansible-inventory --host prints them.",
        epilog="Example: serverbench plan -i inventory/lab -e bench_blocks=5",
    )
    command.add_argument(
        "variables", metavar="VARIABLES.json", nargs="?", help="JSON file; - reads stdin"
    )
    add_aim(command, required=False)
    command.add_argument(
        "--host", default="host", help="with a file: name of the host (default: %(default)s)"
    )
    command.add_argument(
        "--cores",
        type=int,
        help=f"cores of each host; no host is asked (default: {ASSUMED_CORES})",
    )
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="write the plan of the one host as JSON, too"
    )
    command.set_defaults(run=run, refuse=command.error)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    if (options.variables is None) == (options.inventory is None):
        options.refuse("give either -i INVENTORY or VARIABLES.json")
    cores = ASSUMED_CORES if options.cores is None else options.cores
    plans = _of_inventory(options, cores) if options.inventory else [_of_file(options, cores)]
    if options.output is not None:
        if len(plans) > 1:
            names = ", ".join(plan.host for plan in plans)
            raise DataError(
                f"--output: takes the plan of one host, and these are {names}; name one by --limit"
            )
        write_file(options.output, dumps(plans[0]))
    assumed = (
        f"The host was not asked for its cores: {ASSUMED_CORES} are assumed. With another number, "
        "--cores tells `workers: per_core`.\n"
    )
    write(
        "\n".join(_describe(plan) for plan in plans)
        + (f"\n{assumed}" if options.cores is None else "")
    )
    return 0


def _of_file(options: argparse.Namespace, cores: int) -> Plan:
    return plan_from_variables(
        _read_json(options.variables),
        host=options.host,
        cores=cores,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _of_inventory(options: argparse.Namespace, cores: int) -> list[Plan]:
    """Let Ansible put the variables together, as it would for the run itself."""
    with TemporaryDirectory(prefix="serverbench-plan-") as folder:
        run_quietly(PLAYBOOK, aim_of(options), {"plan_dir": folder, "plan_cores": cores})
        plans = [load_plan(path) for path in sorted(Path(folder).glob("*.json"))]
    if not plans:
        raise DataError(f"{options.inventory}: has no host in its group bench; see inventory/lab")
    return plans


def _describe(plan: Plan) -> str:
    estimate = estimate_s(plan)
    lines = [
        (
            f"{plan.host}: {_blocks(plan)}, {plan.order}, seed {plan.seed}, "
            f"{load(plan.load)} after {plan.load.warmup_s:g} s warm-up"
        ),
        "",
        number(len(plan.variants), "variant"),
    ]
    for variant in plan.variants:
        said = f"{variant.id}: {in_words(variant)}"
        lines.append(textwrap.fill(said, 80, initial_indent="  ", subsequent_indent="    "))
    if plan.rates is not None:
        lines += ["", *textwrap.wrap(_rates(plan.rates), 80)]
    lines += ["", f"{number(len(plan.trials), 'trial')}, in this order"]
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
    size = mebibytes(estimate_disk_bytes(plan))
    lines.append(f"Disk: about {figure(size)} MiB of results on the host, and the same here")
    return "\n".join(lines) + "\n"


def _rates(rates: Rates) -> str:
    parts = [f"{percent(share)} of its capacity" for share in rates.of_capacity]
    if rates.common_is_auto:
        parts.append("half of the slowest one's in the first block")
    elif rates.common_rps is not None:
        parts.append(f"{figure(rates.common_rps)} req/s for all")
    said = []
    if parts:
        said.append(f"At fixed rates, {rates.duration_s:g} s each: {', '.join(parts)}.")
    if rates.slo_p99_ms is not None:
        said.append(
            f"A search for the highest rate with p99 up to {figure(rates.slo_p99_ms)} ms: "
            f"{rates.steps} steps of {rates.step_s:g} s at most."
        )
    return " ".join(said)


def _may_end_early(plan: Plan) -> bool:
    return plan.stopping.gap is not None and plan.stopping.min_blocks < plan.blocks


def _blocks(plan: Plan) -> str:
    least = f"{plan.stopping.min_blocks} to " if _may_end_early(plan) else ""
    return f"{least}{number(plan.blocks, 'block')}"


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
