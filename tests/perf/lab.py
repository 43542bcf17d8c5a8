"""Lab hosts of their own to measure the kit on, and its commands with their times."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
BIN = REPO / ".venv/bin"
MOST_HOSTS = 8
_TIMEOUT_S = 1800
_CHANGED = re.compile(r"\bchanged=(\d+)")


@dataclass(frozen=True, slots=True)
class Timed:
    """One command that was run."""

    wall_s: float
    output: str
    cpu_s: float
    """Of the command and its children that it waited for."""
    peak_bytes: int


def run(command: list[str | Path], cwd: Path = REPO, **environment: str) -> Timed:
    """Run a command and time it.

    Raises:
        SystemExit: it failed; what it said is part of the message.
    """
    started_s = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{output[-4000:]}")
    return Timed(wall_s, output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


class Lab:
    """Up to eight hosts; made when they are first asked for."""

    def __init__(self) -> None:
        """Write the inventory."""
        self.folder = REPO / ".build/perf"
        self.folder.mkdir(parents=True, exist_ok=True)
        group_vars = self.folder / "group_vars"
        if not group_vars.is_symlink():
            group_vars.symlink_to(REPO / "inventory/lab/group_vars")
        hosts = {
            f"perf{number}": {"lab_host_address": f"198.19.93.{10 + number}"}
            for number in range(1, MOST_HOSTS + 1)
        }
        network = {"lab_host_subnet": "198.19.93.0/24", "lab_host_bridge": "sbperf0"}
        lab_hosts = {"hosts": hosts, "vars": network}
        (self.folder / "hosts.yml").write_text(
            yaml.safe_dump({"bench": {"children": {"lab_hosts": lab_hosts}}})
        )

    def play(self, playbook: str, hosts: int = 1, **variables: Any) -> Timed:
        """Time a playbook on the first of the hosts, as its user starts it."""
        limit = ",".join(f"perf{number}" for number in range(1, hosts + 1))
        extra = yaml.safe_dump(variables, default_flow_style=True, width=10**6).strip()
        return run([
            BIN / "ansible-playbook", playbook, "-i", self.folder, "--limit", limit, "-e", extra,
        ])  # fmt: skip

    def ssh(self, command: str, *, stdin: str = "") -> str:
        """Run a shell command on the first host."""
        done = subprocess.run(
            ["ssh", "-F", REPO / ".lab/ssh/config", "perf1", command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        return done.stdout

    def reset(self, hosts: int = 1) -> None:
        """Make the hosts bare."""
        self.play("lab.yml", hosts, lab_host_state="reset")

    def remove(self) -> None:
        """End all hosts."""
        self.play("lab.yml", MOST_HOSTS, lab_host_state="absent")


def changes(done: Timed) -> int:
    """Return how many tasks changed something, on all hosts."""
    return sum(map(int, _CHANGED.findall(done.output)))
