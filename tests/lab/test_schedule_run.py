"""A scheduled run on a real host: its timer starts it with nothing connected."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from labkit import PlaybookRun, run_playbook, ssh

from collect.report import build_report
from collect.store import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "labb13"
RUN_ID = "day-and-night"
ZONE = "Asia/Shanghai"
SERVED = "serverbench-gunicorn-wsgi.service"
VARIABLES: dict[str, Any] = {
    "bench_matrix": [
        {"server": "granian", "interface": "wsgi"},
        {"server": "gunicorn", "interface": "wsgi"},
    ],
    "bench_twin": False,
    "bench_endpoints": ["health"],
    "bench_load": {"threads": 1, "connections": 8, "duration_s": 2, "warmup_s": 0, "timeout_s": 5},
    "schedule_days": 2,
    "schedule_blocks": 2,
}
# The plan is made after the deployment, and no window is taken that opens within a minute.
LEAD = timedelta(seconds=100)
WINDOW_TIMEOUT_S = 240


def wait_until(condition: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if ssh(HOST, f"{condition} && echo yes", check=False) == "yes":
            return
        time.sleep(1)
    pytest.fail(
        f"not within {timeout_s:g} s: {condition}\n{ssh(HOST, 'journalctl -n 40 --no-pager')}"
    )


class Scheduled:
    """The host of these tests, with a schedule on it."""

    def __init__(self, inventory: Path, results: Path) -> None:
        self.inventory = inventory
        self.results = results
        ssh(HOST, f"ln -sf /usr/share/zoneinfo/{ZONE} /etc/localtime")
        ssh(HOST, f"systemctl start {SERVED}")
        self.opens = (datetime.now(ZoneInfo(ZONE)) + LEAD).replace(second=0) + timedelta(minutes=1)
        self.first = self.run()

    def run(self, **changes: Any) -> PlaybookRun:
        variables = {
            "bench_run_id": RUN_ID,
            "schedule_times": [f"{self.opens:%H:%M}"],
            **VARIABLES,
            **changes,
        }
        expect = variables.pop("expect", 0)
        playbook = variables.pop("playbook", "schedule.yml")
        return run_playbook(
            playbook,
            self.inventory,
            limit=HOST,
            expect=expect,
            bench_results_dir=str(self.results),
            **variables,
        )


@pytest.fixture(scope="module")
def scheduled(deployed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduled]:
    yield Scheduled(deployed, tmp_path_factory.mktemp("results"))
    ssh(HOST, "systemctl stop serverbench-schedule.timer", check=False)


@pytest.mark.lab
def test_the_timer_waits_for_the_windows_of_the_plan(scheduled):
    plan = json.loads(ssh(HOST, f"cat /var/lib/serverbench/runs/{RUN_ID}/plan.json"))
    starts = [datetime.fromisoformat(window["starts_at"]) for window in plan["windows"]]
    assert starts == [scheduled.opens.replace(microsecond=0) + timedelta(days=d) for d in (0, 1)]
    assert starts[0].utcoffset() == timedelta(hours=8)
    upcoming = ssh(
        HOST, "systemctl show serverbench-schedule.timer --property=NextElapseUSecRealtime"
    )
    assert f"{starts[0]:%Y-%m-%d %H:%M:%S}" in upcoming
    said = scheduled.first.stdout
    assert f"2 windows at {starts[0]:%H:%M} ({ZONE})" in said
    assert "the host's own service is stopped" in said


@pytest.mark.lab
def test_the_same_again_changes_nothing(scheduled):
    again = scheduled.run()
    assert again.changed == {}
    assert "has it already" in again.stdout


@pytest.mark.lab
def test_another_schedule_is_refused_with_what_differs(scheduled):
    load = {**VARIABLES["bench_load"], "connections": 4}
    refused = scheduled.run(bench_load=load, expect=2)
    assert "these parts of its plan differ now: load" in refused.stdout
    assert "schedule_state=absent" in refused.stdout


@pytest.mark.lab
def test_it_runs_when_its_window_opens_and_nothing_else_may_meanwhile(scheduled):
    unit = f"serverbench-runner@{RUN_ID}"
    wait_until(f"systemctl is-active --quiet {unit}", WINDOW_TIMEOUT_S)
    refused = scheduled.run(playbook="bench.yml", bench_run_id="another", expect=2)
    assert f"is busy with run {RUN_ID}" in refused.stdout
    wait_until(f"! systemctl is-active --quiet {unit}", WINDOW_TIMEOUT_S)
    progress = json.loads(ssh(HOST, f"cat /var/lib/serverbench/runs/{RUN_ID}/progress.json"))
    assert (progress["state"], progress["done"]) == ("waiting", 4), progress
    assert ssh(HOST, f"systemctl is-active {SERVED}") == "active"
    assert ssh(HOST, f"systemctl is-enabled {unit}", check=False) == "disabled"


@pytest.mark.lab
def test_what_there_is_so_far_is_pulled_and_reported(scheduled):
    pulled = scheduled.run(playbook="pull.yml", bench_run_id="")
    assert pulled.rc == 0
    run = load_run(scheduled.results / RUN_ID)
    (host,) = run.hosts
    assert host.facts.timezone == ZONE
    assert {stored.trial.block for stored in host.trials} == {1, 2}
    begun = [datetime.fromisoformat(stored.trial.started_at) for stored in host.trials]
    assert min(begun) >= scheduled.opens.replace(microsecond=0)
    (report,) = build_report(run).hosts
    (windows,) = [line.said for line in report.course if line.label == "Windows"]
    assert windows.startswith("1 of 2 have run")


@pytest.mark.lab
def test_it_ends_when_asked_and_keeps_what_it_measured(scheduled):
    ended = scheduled.run(schedule_state="absent")
    assert "what run day-and-night measured stays" in ended.stdout
    assert ssh(HOST, "systemctl list-timers --all --no-legend 'serverbench-*'") == ""
    assert ssh(HOST, f"ls /var/lib/serverbench/runs/{RUN_ID}/trials | wc -l") == "4"
    assert scheduled.run(schedule_state="absent").changed == {}
