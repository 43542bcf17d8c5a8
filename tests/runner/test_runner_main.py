"""The packed runner as a process of its own, with stand-ins for systemctl and wrk."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from runner_fakes import make_plan

from collect import pack
from collect.errors import DataError
from collect.model import (
    Endpoint,
    Expectation,
    Load,
    Stopping,
    Timing,
    dumps,
    load_decision,
    load_trial,
)
from collect.runner.preflight import check_plan
from collect.runner.systemd import describe, parse_show

# A unit runs as long as its file is there; it serves with Python's own http.server.
SYSTEMCTL = """#!/bin/bash
echo "$@" >> "$FAKE/calls"
verb=$1
units=(); for word in "$@"; do
  case $word in
    "serverbench-*") for f in "$FAKE"/*.service; do [[ -e $f ]] && units+=("${f##*/}"); done ;;
    *.service) units+=("$word") ;;
  esac
done
case $verb in
start) for u in "${units[@]}"; do
    (cd "$FAKE/www" && exec "$FAKE_PYTHON" -m http.server --bind 127.0.0.1 "$FAKE_PORT") \\
      >/dev/null 2>&1 &
    echo $! > "$FAKE/$u"
  done ;;
stop) for u in "${units[@]}"; do
    [[ -e $FAKE/$u ]] && kill "$(cat "$FAKE/$u")" 2>/dev/null; rm -f "$FAKE/$u"
  done; true ;;
show) for u in "${units[@]}"; do
    if [[ -e $FAKE/$u ]]; then a=active p=$(cat "$FAKE/$u"); else a=inactive p=0; fi
    echo Id=$u; echo ActiveState=$a; echo SubState=x; echo Result=success; echo MainPID=$p
    echo NRestarts=0; echo
  done ;;
esac
"""
WRK = """#!/bin/bash
[[ $1 == -v ]] && { echo "wrk 9.9 [epoll]"; exit 1; }
[[ -n $FAKE_HANG ]] && exec sleep 30
echo wrk >> "$FAKE/calls"
[[ -n $SERVERBENCH_WRK_JSON ]] && cp "$FAKE/wrk.json" "$SERVERBENCH_WRK_JSON"
sleep "${FAKE_LOAD_S:-0}"
echo "wrk ended" >> "$FAKE/calls"
echo "Running test"
"""
FIGURES = {
    "requests": 10, "duration_s": 1.0, "rps": 10.0, "bytes": 100,
    "latency_ms": dict.fromkeys(
        ("mean", "stdev", "min", "p50", "p75", "p90", "p99", "p999", "max"), 1.5
    ),
    "errors": dict.fromkeys(("connect", "read", "write", "timeout", "status"), 0),
}  # fmt: skip


class Host:
    def __init__(self, root):
        self.root = root
        self.bin = root / "bin"
        self.www = root / "www"
        self.run_dir = root / "run"
        for folder in (self.bin, self.www, self.run_dir):
            folder.mkdir()
        (self.www / "health").write_text('{"status": "ok"}')
        for name, text in (("systemctl", SYSTEMCTL), ("wrk", WRK), ("journalctl", "#!/bin/sh\n")):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        (root / "wrk.json").write_text(json.dumps(FIGURES))
        (root / "report.lua").write_text("")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.pyz = root / "runner.pyz"
        pack.pack_runner(self.pyz)
        self.lock = root / "lock"

    def write_plan(self, *trials):
        load = Load(threads=1, connections=1, duration_s=1, warmup_s=0)
        plan = make_plan(*trials, port=self.port, load=load)
        (self.run_dir / "plan.json").write_text(dumps(plan))
        return plan

    def start(self, *options, **environment):
        return subprocess.Popen(
            [
                sys.executable, "-I", "-B", str(self.pyz), "--run-dir", str(self.run_dir),
                "--wrk-script", str(self.root / "report.lua"), "--lock-file", str(self.lock),
                *options,
            ],
            env={
                **os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "FAKE": str(self.root),
                "FAKE_PORT": str(self.port), "FAKE_PYTHON": sys.executable, **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def progress(self):
        return json.loads((self.run_dir / "progress.json").read_text())

    def running(self):
        return sorted(path.name for path in self.root.glob("*.service"))


@pytest.fixture
def host(tmp_path):
    one = Host(tmp_path)
    yield one
    for unit in tmp_path.glob("*.service"):
        os.kill(int(unit.read_text()), signal.SIGTERM)


def test_a_whole_run(host):
    host.write_plan("1 a health", "1 b health")
    runner = host.start()
    _, log = runner.communicate(timeout=20)
    assert runner.returncode == 0, log
    assert host.progress()["state"] == "done"
    assert host.progress()["remaining_s"] is None
    for trial_id in ("1-a-health", "1-b-health"):
        folder = host.run_dir / "trials" / trial_id
        trial = load_trial(folder / "trial.json")
        assert trial.outcome.status == "ok"
        assert trial.memory.pss_peak_bytes > 1 << 20
        assert trial.wrk.rps == 10.0
        assert trial.service.ready_s > 0
        subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], check=True, cwd=folder)
        assert trial.cpu.runner_s >= 0
        assert trial.cpu.others is not None
        samples = (folder / "samples.jsonl").read_text().splitlines()
        assert json.loads(samples[-1])["loopback_bytes"] > 0
    decision = load_decision(host.run_dir / "decision.json")
    assert (decision.reason, decision.blocks_done) == ("all_blocks", 1)
    assert len(decision.pairs) == 2
    sums = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    listed = subprocess.run(sums, check=True, cwd=host.run_dir, capture_output=True, text=True)
    assert "plan.json: OK" in listed.stdout
    assert "trials/1-a-health/SHA256SUMS: OK" in listed.stdout
    facts = json.loads((host.run_dir / "host.json").read_text())
    assert facts["versions"]["wrk"] == "9.9"
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert host.running() == []


def test_sigterm_stops_everything_and_a_second_start_goes_on(host):
    host.write_plan("1 a health")
    runner = host.start(FAKE_HANG="yes")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (host.run_dir / "trials" / ".partial-1-a-health" / "wrk.txt").exists():
            break
        time.sleep(0.05)
    runner.send_signal(signal.SIGTERM)
    _, log = runner.communicate(timeout=10)
    assert runner.returncode == 143, log
    assert "Traceback" not in log
    assert (host.progress()["state"], host.progress()["message"]) == ("running", "stopped")
    assert host.running() == []
    assert list((host.run_dir / "trials").iterdir()) == []
    again = host.start()
    again.communicate(timeout=20)
    assert again.returncode == 0
    assert host.progress()["done"] == 1


def test_a_trial_starts_a_handful_of_processes_and_none_beside_its_load(host):
    plan = host.write_plan(*(f"{block} {variant} health" for block in (1, 2) for variant in "ab"))
    runner = host.start(FAKE_LOAD_S="1.2")
    _, log = runner.communicate(timeout=60)
    assert runner.returncode == 0, log
    calls = (host.root / "calls").read_text().splitlines()
    # How often it asks whether the server is up hangs on the machine.
    acts = [call.split()[0] for call in calls if not call.startswith("show")]
    starts = [at for at, act in enumerate(acts) if act == "start"]
    assert len(starts) == len(plan.trials)
    # wrk begins and ends; stop it, see that all are stopped, forget old failures, start the next.
    assert max(later - earlier for earlier, later in pairwise(starts)) <= 6, acts
    for at, call in enumerate(calls):
        if call == "wrk":
            assert calls[at + 1] == "wrk ended", calls


@pytest.mark.parametrize("holder", ["run other", "run RUN_ID"])
def test_two_runners_cannot_work_at_once(host, holder):
    plan = host.write_plan("1 a health")
    holder = holder.replace("RUN_ID", plan.run_id)
    host.lock.write_text(json.dumps({"holder": holder, "pid": 77, "since": "2026-01-01"}))
    with host.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = host.start()
        _, log = second.communicate(timeout=10)
    assert second.returncode == 3
    assert f"{holder}, pid 77, since 2026-01-01" in log
    assert f"end it: systemctl stop serverbench-runner@{holder.removeprefix('run ')}" in log
    # Whoever follows the second run reads why it does not begin; the first run's file is its own.
    assert (host.run_dir / "progress.json").exists() == (holder == "run other")
    if holder == "run other":
        assert host.progress()["state"] == "failed"
        assert "run other" in host.progress()["message"]


def test_a_run_that_is_done_stays_done_when_the_host_is_busy(host):
    host.write_plan("1 a health")
    host.start().communicate(timeout=20)
    assert host.progress()["state"] == "done"
    host.lock.write_text('{"holder": "run other", "pid": 77, "since": "2026-01-01"}')
    with host.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        host.start().communicate(timeout=10)
    assert (host.progress()["state"], host.progress()["done"]) == ("done", 1)


@pytest.mark.parametrize("is_busy", [True, False])
def test_what_served_is_put_back_but_never_beside_another_runner(host, is_busy):
    host.write_plan("1 a health")
    (host.run_dir / "restore.json").write_text('{"active": ["serverbench-granian-wsgi.service"]}')
    host.lock.write_text('{"holder": "run other", "pid": 77, "since": "2026-01-01"}')
    with host.lock.open() as held:
        if is_busy:
            fcntl.flock(held, fcntl.LOCK_EX)
        cleared = host.start("--put-back")
        _, log = cleared.communicate(timeout=10)
    assert cleared.returncode == (1 if is_busy else 0), log
    assert ("what served before is not put back now" in log) == is_busy
    assert (host.run_dir / "restore.json").exists() == is_busy
    calls = (host.root / "calls").read_text() if (host.root / "calls").exists() else ""
    assert ("start" in calls) == (not is_busy)


def test_a_missing_wrk_ends_the_run_with_one_clear_line(host):
    host.write_plan("1 a health")
    (host.root / "report.lua").unlink()
    runner = host.start()
    _, log = runner.communicate(timeout=10)
    assert runner.returncode == 1
    assert host.progress()["state"] == "failed"
    assert "report.lua is missing on this host" in host.progress()["message"]
    assert "Traceback" not in log


def test_a_full_disk_is_named_and_costs_nothing_that_was_measured(host):
    host.write_plan("1 a health")
    written = host.run_dir / ".decision.json.new"
    written.symlink_to("/dev/full")
    runner = host.start()
    _, log = runner.communicate(timeout=20)
    assert runner.returncode == 1
    assert "Traceback" not in log
    said = host.progress()["message"]
    assert said.startswith(f"{host.run_dir}: No space left on device; make room")
    kept = (host.run_dir / "trials/1-a-health/trial.json").read_bytes()
    written.unlink()
    again = host.start()
    again.communicate(timeout=20)
    assert again.returncode == 0
    assert (host.run_dir / "trials/1-a-health/trial.json").read_bytes() == kept
    assert host.progress()["state"] == "done"


def test_results_that_cannot_be_written(host):
    host.write_plan("1 a health")
    (host.run_dir / "trials").write_text("in the way")
    runner = host.start()
    _, log = runner.communicate(timeout=10)
    assert runner.returncode == 1
    assert host.progress()["state"] == "failed"
    assert "File exists" in log


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 99}'])
def test_a_plan_that_cannot_be_read(host, text):
    (host.run_dir / "plan.json").write_text(text)
    runner = host.start()
    _, log = runner.communicate(timeout=10)
    assert runner.returncode == 1
    assert "plan.json" in log
    assert len(log.splitlines()) == 1


GOOD = make_plan("1 a health")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_id": "../x"}, "run_id"),
        ({"port": 0}, "port"),
        ({"load": Load(threads=0)}, "at least one thread"),
        ({"load": Load(threads=4, connections=3)}, "a connection for each"),
        ({"load": Load(duration_s=1.5)}, "duration_s: got 1.5; accepted: whole seconds"),
        ({"load": Load(duration_s=0)}, "duration_s"),
        ({"load": Load(duration_s=float("inf"))}, "duration_s: got inf"),
        ({"load": Load(warmup_s=float("nan"))}, "warmup_s: got nan"),
        ({"timing": Timing(ready_timeout_s=float("nan"))}, "ready_timeout_s: got nan"),
        ({"timing": Timing(sample_interval_s=float("nan"))}, "sample_interval_s: got nan"),
        ({"stopping": Stopping(min_blocks=3)}, "min_blocks: got 3; accepted: 1 to 2"),
        ({"stopping": Stopping(2, gap=1.5)}, "gap: got 1.5"),
        ({"stopping": Stopping(2, time_budget_s=0.0)}, "time_budget_s: got 0"),
        ({"stopping": Stopping(2, reruns_per_block=-1)}, "reruns_per_block: got -1"),
        ({"trials": (replace(GOOD.trials[0], id="b01-a-health--2"),)}, "second attempt"),
        ({"variants": (replace(GOOD.variants[0], unit="--force"),)}, "got unit '--force'"),
        ({"variants": (replace(GOOD.variants[0], unit="a.service b"),)}, "NAME.service"),
        ({"endpoints": (Endpoint("health", "x"),)}, "endpoints.health.path"),
        ({"endpoints": (Endpoint("health", "/a b"),)}, "endpoints.health.path"),
        ({"endpoints": (Endpoint("health", "/", method="GET /"),)}, "method"),
        ({"endpoints": (Endpoint("health", "/", headers={"X": "a\r\nY: b"}),)}, "headers"),
        ({"endpoints": (Endpoint("health", "/", expect=Expectation(regex="(")),)}, "regex"),
        ({"trials": (replace(GOOD.trials[0], id="../x"),)}, "got id '../x'"),
        ({"trials": (replace(GOOD.trials[0], id=".partial-x"),)}, "got id"),
        ({"trials": (replace(GOOD.trials[0], variant="z"),)}, "variant 'z' is not in the plan"),
        ({"trials": GOOD.trials * 2}, "occurs 2 times"),
    ],
)
def test_a_plan_that_would_do_harm_is_refused(changes, words):
    check_plan(GOOD)
    with pytest.raises(DataError, match=r"plan\.json") as caught:
        check_plan(replace(GOOD, **changes))
    assert words in str(caught.value)


SHOW = Path(__file__).parent / "data" / "systemctl-show.txt"


def test_a_recorded_unit_is_read():
    state = parse_show(SHOW.read_text())
    assert (state.active, state.sub, state.restarts) == ("active", "running", 0)
    assert state.main_pid > 1
    assert state.control_group.startswith("/system.slice/")
    assert state.job_pending is False
    # Where memory is not accounted for, systemd says so in words.
    assert state.properties["MemoryCurrent"] is None


def test_a_unit_that_is_not_there_is_described():
    state = parse_show("LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\n")
    assert state.main_pid is None
    assert "the unit file is not-found" in describe(state)
