"""What lab tests are written with: playbooks run through ansible-runner, results as data."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

REPO = Path(__file__).resolve().parents[2]
LAB_INVENTORY = REPO / "inventory/lab"
SSH_CONFIG = REPO / ".lab/ssh/config"
# The hosts that are benchmarked in tests, on a bridge of their own: lab1 is left alone.
BENCH_HOSTS = {
    "labb13": {"lab_host_address": "198.19.89.13", "lab_host_release": "trixie"},
    "labb12": {"lab_host_address": "198.19.89.12", "lab_host_release": "bookworm"},
}
# Trials that show which server is fast and take seconds.
SHORT_LOAD = {"threads": 2, "connections": 16, "duration_s": 2, "warmup_s": 1, "timeout_s": 10}
BENCH_NETWORK = {"lab_host_subnet": "198.19.89.0/24", "lab_host_bridge": "sblabb0"}


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """One run of ansible-playbook, as its events tell it."""

    rc: int
    stdout: str
    stats: dict[str, dict[str, int]]
    # Every finished task: {"host", "task", "event" (runner_on_…), "res"}.
    tasks: list[dict[str, Any]] = field(repr=False)

    def result(self, host: str, task: str) -> dict[str, Any]:
        """The result of the host's last task whose name holds these words."""
        found = [t["res"] for t in self.tasks if t["host"] == host and task in t["task"]]
        assert found, f"no task like {task!r} ran on {host}:\n{self.stdout}"
        return found[-1]

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host; empty when none did."""
        return {host: count for host, count in self.stats.get("changed", {}).items() if count}


def ssh(
    host: str, command: str, *, stdin: str | None = None, check: bool = True, timeout_s: float = 120
) -> str:
    """Run a shell command on a lab host, and return what it printed, stripped.

    With `check=False` an exit status other than 0 is nobody's business.
    """
    done = subprocess.run(
        ["ssh", "-F", SSH_CONFIG, "-o", "ConnectTimeout=10", host, command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def run_script(host: str, script: str) -> str:
    """Run a script on a lab host by way of standard input: no process list shows what it says."""
    return ssh(host, "sh /dev/stdin", stdin=script)


def block_of(host: str, run_id: str) -> float:
    """The block that a run is in; 0 before the first, infinite after the last."""
    said = ssh(host, f"cat /var/lib/serverbench/runs/{run_id}/progress.json", check=False)
    if not said:
        return 0
    progress = json.loads(said)
    return math.inf if progress["state"] in ("done", "failed") else progress["block"]


def run_playbook(
    playbook: str | Path,
    inventory: str | Path = LAB_INVENTORY,
    *,
    limit: str | None = None,
    tags: str | None = None,
    check: bool = False,
    expect: int | None = 0,
    **extra_vars: Any,
) -> PlaybookRun:
    """Run a playbook of this repository; `expect=None` accepts any exit status."""
    with tempfile.TemporaryDirectory(prefix="serverbench-test-") as private:
        done = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(REPO),
            playbook=str(REPO / playbook),
            inventory=str(inventory),
            limit=limit,
            tags=tags,
            extravars=extra_vars,
            cmdline="--check --diff" if check else None,
            envvars={
                "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
                # ansible-runner's own default is False, which the kit refuses.
                "ANSIBLE_HOST_KEY_CHECKING": "True",
                "PATH": f"{REPO / '.venv/bin'}:{os.environ['PATH']}",
            },
            quiet=True,
        )
        tasks = [
            {
                "host": event["event_data"]["host"],
                "task": event["event_data"]["task"],
                "event": event["event"],
                "res": event["event_data"].get("res") or {},
            }
            for event in done.events
            if event["event"].startswith("runner_on_") and "res" in event["event_data"]
        ]
        run = PlaybookRun(done.rc, done.stdout.read(), done.stats or {}, tasks)
    if expect is not None:
        assert run.rc == expect, run.stdout
    return run


def sent_by(playbook: str, inventory: str | Path, host: str, *arguments: str) -> list[str]:
    """Run a playbook for one host; return what was sent there or fetched, a word for each time."""
    done = subprocess.run(
        ["ansible-playbook", playbook, "-i", inventory, "--limit", host, *arguments],
        cwd=REPO,
        env={
            **os.environ,
            "ANSIBLE_VERBOSITY": "3",
            "PATH": f"{REPO / '.venv/bin'}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return re.findall(r"SSH: EXEC|PUT .+ TO |FETCH .+ TO ", done.stdout)
