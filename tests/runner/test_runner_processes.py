"""Workers on recorded trees, and figures of real processes."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from collect.runner import processes, watch
from collect.runner.figures import host_figures
from collect.runner.processes import count_workers, is_helper
from collect.runner.seams import Counters, ProcessInfo, UnitState
from collect.runner.watch import HostWatch, listen_overflows, package_versions

# Recorded from real servers: uWSGI 2.0.31 compiled and as pyuwsgi wheel, Gunicorn, Granian,
# Uvicorn, Hypercorn, Daphne.
TREES = json.loads((Path(__file__).parent / "data" / "process_trees.json").read_text())


def tree(name):
    return [
        ProcessInfo(p["pid"], p["ppid"], p["name"], tuple(p["argv"]), p["threads"])
        for p in TREES[name]["processes"]
    ]


@pytest.mark.parametrize("name", sorted(TREES))
def test_workers_of_a_recorded_tree(name):
    assert count_workers(tree(name)) == TREES[name]["workers"]


@pytest.mark.parametrize("name", sorted(TREES))
def test_workers_do_not_hang_on_the_order(name):
    assert count_workers(tree(name)[::-1]) == TREES[name]["workers"]


def test_no_process_is_unknown_and_not_zero():
    assert count_workers([]) is None


def test_a_uwsgi_master_without_workers_has_none():
    assert count_workers(tree("uwsgi-compiled-router")[:1]) == 0


def test_two_routers_of_a_wheel_are_taken_off():
    argv = ("/v/bin/python3", "/v/bin/uwsgi", "--http=:1", "--http-processes=2", "--processes=2")
    found = [ProcessInfo(pid, 0 if pid == 1 else 1, "uwsgi", argv) for pid in range(1, 6)]
    assert count_workers(found) == 2


def test_an_app_path_does_not_make_a_helper():
    assert not is_helper(ProcessInfo(1, 0, "python3", ("/srv/bash/python3", "-m", "uvicorn")))


CHILDREN = """
import subprocess, sys, time
block = b"x" * (20 << 20)
work = "import time; b = b'y' * (10 << 20); print('up', flush=True); time.sleep(60)"
child = [sys.executable, "-c", work]
found = [subprocess.Popen(child, stdout=subprocess.PIPE) for _ in range(2)]
for one in found:
    one.stdout.readline()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent():
    with subprocess.Popen([sys.executable, "-c", CHILDREN], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        children = psutil.Process(process.pid).children(recursive=True)
        yield process
        for one in [*children, process]:
            with contextlib.suppress(psutil.Error, OSError):
                one.kill()


def state_of(pid):
    return UnitState("active", "running", "success", pid, 0, None, job_pending=False)


def test_a_real_tree_is_found_and_measured(parent):
    pids = processes.find_pids(None, parent.pid)
    assert len(pids) == 3
    found = processes.describe(pids)
    assert count_workers(found) == 2
    assert {p.user for p in found} == {psutil.Process().username()}
    memory = processes.measure(pids)
    assert memory.processes == 3
    assert 40 << 20 < memory.pss_bytes <= memory.rss_bytes < 400 << 20
    cpu_s, threads = processes.cpu_and_threads(pids)
    assert 0 < cpu_s < 10
    assert threads == 3


def test_the_sampler_survives_processes_that_vanish(parent):
    sampling = HostWatch().start_sampling(state_of(parent.pid), None, 0.05)
    time.sleep(0.3)
    for child in psutil.Process(parent.pid).children():
        child.kill()
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    time.sleep(0.2)
    samples = sampling.stop()
    assert samples[0].t_s < 0.05
    assert samples[0].processes == 3
    assert samples[0].pss_bytes > 40 << 20
    assert samples[-1].pss_bytes is None
    assert samples[-1].rss_bytes is None
    assert [s.t_s for s in samples] == sorted(s.t_s for s in samples)
    assert 8 <= len(samples) <= 20
    assert samples[-1].host_cpu_s["user"] >= samples[0].host_cpu_s["user"]


def test_memory_is_measured_in_every_other_sample_and_in_the_last(parent):
    sampling = HostWatch().start_sampling(state_of(parent.pid), None, 0.05)
    time.sleep(0.4)
    samples = sampling.stop()
    assert len(samples) >= 4
    measured = [sample.pss_bytes is not None for sample in samples]
    assert measured[:-1] == [at % 2 == 0 for at in range(len(samples) - 1)]
    assert measured[-1]
    # What costs nothing is there each time.
    assert {sample.processes for sample in samples} == {3}
    assert all(sample.server_cpu_s is not None for sample in samples)
    assert all(sample.loopback_bytes is not None for sample in samples)


def test_a_zombie_takes_no_part():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert processes.describe([child.pid]) == ()
        assert processes.measure([child.pid]).pss_bytes is None
        both = processes.measure([child.pid, os.getpid()])
        assert both.processes == 1
        assert both.pss_bytes > 0
    finally:
        child.wait()


def test_a_process_that_may_not_be_read_makes_the_sum_unknown(monkeypatch):
    read_text = Path.read_text

    def refuse(self, *arguments, **options):
        if self.name == "smaps_rollup":
            raise PermissionError
        return read_text(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert processes.measure([os.getpid()]).pss_bytes is None


def test_counters_of_this_process():
    counters = HostWatch().counters(state_of(os.getpid()), None)
    assert counters.server_cpu_s > 0
    assert counters.cgroup_peak_bytes is None
    assert counters.oom_kills is None
    assert "guest" not in counters.host_cpu_s
    assert listen_overflows() >= 0


def test_a_kill_for_lack_of_memory_is_known_though_the_unit_was_started_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(processes, "cgroup_folder", lambda group: tmp_path / group.lstrip("/"))
    unit = tmp_path / "system.slice/serverbench-a.service"
    unit.mkdir(parents=True)
    state = replace(state_of(os.getpid()), control_group="/system.slice/serverbench-a.service")
    proxy = replace(state, control_group="/system.slice/serverbench-a-proxy.service")
    (unit.parent / "memory.events").write_text("oom 1\noom_kill 3\n")
    (unit / "memory.events").write_text("oom 0\noom_kill 0\n")
    assert HostWatch().counters(state, None).oom_kills == 3
    # One slice, which is not counted twice.
    assert HostWatch().counters(state, proxy).oom_kills == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (
            (
                "some avg10=1.00 avg60=0.50 avg300=0.10 total=2500000\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
            ),
            2.5,
        ),
        ("full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n", None),
        ("", None),
    ],
)
def test_cpu_pressure_is_what_some_process_waited(tmp_path, monkeypatch, text, seconds):
    (tmp_path / "cpu").write_text(text)
    monkeypatch.setattr(watch, "_PRESSURE", tmp_path / "cpu")
    assert watch.cpu_pressure() == seconds


def test_a_kernel_without_pressure_tells_none(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_PRESSURE", tmp_path / "none")
    assert watch.cpu_pressure() is None


@pytest.mark.parametrize(
    ("before_s", "after_s", "ratio"),
    [(10.0, 14.0, 0.4), (10.0, 30.0, 1.0), (None, 14.0, None), (10.0, None, None)],
)
def test_pressure_becomes_a_share_of_the_load(before_s, after_s, ratio):
    def counters(wall_s, pressure_s):
        return Counters(wall_s, wall_s, {}, None, None, None, None, None, None, pressure_s)

    found = host_figures(counters(0.0, before_s), counters(10.0, after_s), None, [], 10.0)
    assert found.cpu_pressure_ratio == ratio


def test_the_canary_is_short():
    assert 0.005 < HostWatch().canary() < 1.0


def test_versions_are_read_without_starting_the_environment(tmp_path):
    site = tmp_path / "lib" / "python3.13" / "site-packages"
    for name, version in (("Django", "6.1.3"), ("pyuwsgi", "2.0.31"), ("django_ninja", "1.7.1")):
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (site / "broken-1.dist-info").mkdir()
    versions = package_versions(tmp_path)
    assert versions == {"django": "6.1.3", "django-ninja": "1.7.1", "pyuwsgi": "2.0.31"}
    assert HostWatch(tmp_path).server_version("uwsgi") == "2.0.31"
    assert HostWatch(tmp_path).server_version("granian") is None
