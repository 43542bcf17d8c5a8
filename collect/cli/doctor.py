"""`serverbench doctor`: are the hosts fit for a run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from collect.cli.output import one_line, write
from collect.cli.playbooks import add_aim, aim_of, run_quietly
from collect.cli.terminal import print_to_text
from collect.decode import decode
from collect.doctor import Finding, Found, examine, worst
from collect.errors import DataError
from collect.report.text import number

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from collect.cli.registry import Commands
    from collect.report.text import Noun

PLAYBOOK = "playbooks/examine_hosts.yml"
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "doctor",
        help="see whether the hosts are fit for a run",
        description="Look at each host: can it be reached, is there sudo, Python and systemd, how "
        "many cores, how much memory and disk, who holds the ports, is the clock right, how much "
        "is stolen, is a run under way. Changes nothing. Exit status 1 when something fails.",
        epilog="Example: serverbench doctor -i inventory/tencent",
    )
    add_aim(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it and return the exit status."""
    with TemporaryDirectory(prefix="serverbench-doctor-") as folder:
        run_quietly(PLAYBOOK, aim_of(options), {"doctor_dir": folder})
        paths = sorted(Path(folder).glob("*.json"))
        found = [decode(Found, json.loads(path.read_text("utf-8")), str(path)) for path in paths]
    if not found:
        raise DataError(f"{options.inventory}: has no host in its group bench; see inventory/lab")
    judged = {one.host: examine(one) for one in found}
    parts: list[object] = []
    for host, findings in judged.items():
        parts += [Text(f"{one_line(host)}: {_sum(findings)}", style="bold"), _table(findings), ""]
    write(print_to_text(*parts).rstrip("\n") + "\n")
    return 1 if any(worst(findings) == "fail" for findings in judged.values()) else 0


def _sum(findings: Sequence[Finding]) -> str:
    fails, warns = (
        sum(finding.level == level for finding in findings) for level in ("fail", "warn")
    )
    if not fails and not warns:
        return "fit for a run"
    found: tuple[tuple[int, Noun], ...] = ((fails, "fail"), (warns, "warning"))
    counted = [number(count, word) for count, word in found if count]
    return f"{'not fit' if fails else 'fit'} for a run: {', '.join(counted)}"


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    for finding in findings:
        said = Text(one_line(finding.said))
        if finding.remedy:
            said.append(f"\n{one_line(finding.remedy)}", style="dim")
        table.add_row(Text(finding.level, style=_STYLES[finding.level]), Text(finding.name), said)
    return table
