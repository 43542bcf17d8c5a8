"""The command line on real hosts: plan, doctor, run with Ctrl-C, follow, list, show.

The tests build on each other in the order of this file.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time

import pytest
from labkit import BENCH_HOSTS as HOSTS
from labkit import REPO, ssh

from collect.model import load_plan

PROGRAM = [str(REPO / ".venv/bin/python"), "-m", "collect"]
RUN_ID = "command-line"
DEADLINE_S = 240


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """Two short variants, with trials just long enough to be met under way."""
    return json.dumps(
        {
            "bench_run_id": RUN_ID,
            "bench_results_dir": str(tmp_path_factory.mktemp("command-line") / "results"),
            "bench_blocks": 2,
            "bench_endpoints": ["health"],
            "bench_matrix": [
                {"server": "granian", "interface": "wsgi"},
                {"server": "gunicorn", "interface": "wsgi"},
            ],
            "bench_twin": False,
            "bench_load": {
                "threads": 2,
                "connections": 8,
                "duration_s": 5,
                "warmup_s": 0,
                "timeout_s": 10,
            },
        }
    )


@pytest.fixture(scope="module")
def results(variables):
    return json.loads(variables)["bench_results_dir"]


def serverbench(*arguments, cwd=REPO):
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.lab
def test_the_doctor_finds_deployed_hosts_fit(deployed):
    done = serverbench("doctor", "-i", str(deployed))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for host in HOSTS:
        assert f"{host}: fit for a run" in done.stdout
    assert done.stdout.count("9875 is free") == len(HOSTS)


@pytest.mark.lab
def test_the_doctor_names_who_holds_the_port(deployed):
    hog = "python3 -m http.server --bind 127.0.0.1 9875"
    ssh("labb13", f"systemd-run --quiet --unit=port-hog {hog}; sleep 2")
    try:
        done = serverbench("doctor", "-i", str(deployed), "--limit", "labb13")
    finally:
        ssh("labb13", "systemctl stop port-hog")
    assert done.returncode == 1
    assert "9875 is held by python3" in done.stdout


@pytest.mark.lab
def test_ctrl_c_leaves_the_run_going_and_follow_brings_it_home(deployed, variables, results):
    arguments = ["run", "-i", str(deployed), "-e", variables]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(REPO)
        os.environ["TERM"] = "xterm"
        os.execv(PROGRAM[0], [*PROGRAM, *arguments])  # noqa: S606 - no shell is wanted
    shown = b""
    deadline = time.monotonic() + DEADLINE_S
    while b" 1/4" not in shown:
        assert time.monotonic() < deadline, shown.decode(errors="replace")[-2000:]
        shown += os.read(terminal, 65536)
    os.write(terminal, b"\x03")
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that nobody holds the other end.
            break
        if not more:
            break
        shown += more
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT
    said = shown.decode(errors="replace")
    assert f"Run {RUN_ID} goes on on the hosts." in said
    assert f"serverbench follow {RUN_ID} -i {deployed}" in said
    unit = f"serverbench-runner@{RUN_ID}"
    for host in HOSTS:
        ssh(host, f"systemctl is-active {unit}")
    home = json.dumps({"bench_results_dir": results})
    # Without the id: it is the one under way.
    followed = serverbench("follow", "-i", str(deployed), "-e", home)
    assert followed.returncode == 0, followed.stdout
    assert "Requests per second: health" in followed.stdout
    for host in HOSTS:
        plan = load_plan(REPO / results / RUN_ID / host / "plan.json")
        for trial in plan.trials:
            assert (REPO / results / RUN_ID / host / "trials" / trial.id / "trial.json").is_file()


@pytest.mark.lab
def test_list_and_show_know_the_run(deployed, results):
    assert deployed
    parent = os.path.dirname(results)  # noqa: PTH120 - a string goes to the command line
    listed = serverbench("list", cwd=parent)
    assert RUN_ID in listed.stdout
    for host in HOSTS:
        assert host in listed.stdout
    shown = serverbench("show", "b01-granian-wsgi-health", RUN_ID, cwd=parent)
    assert shown.returncode == 0
    assert shown.stdout.count("bin/granian --interface=wsgi") == len(HOSTS)
    assert shown.stdout.count("Requests/sec:") == len(HOSTS)


@pytest.mark.lab
def test_plan_says_what_was_run(deployed, variables):
    done = serverbench("plan", "-i", str(deployed), "-e", variables, "--cores", "2")
    assert done.returncode == 0
    assert done.stdout.count("4 trials, in this order") == len(HOSTS)
