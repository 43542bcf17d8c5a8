"""The user's day on a whole virtual machine: from bare, through a reboot, to results and away.

What the container kind cannot show: cgroup v2 with every controller, a kernel of its own, real
reboots, and a login without privileges. The tests build on each other in the order of this file.
Without KVM everything inside takes ten times as long.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from labkit import REPO, PlaybookRun, run_playbook

from collect.checks import verdict
from collect.model import Trial, load_plan, load_trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "labv1"
RUN_ID = "rebooted"
# Two servers are enough of a run; the load is what two emulated cores can answer.
VARIABLES: dict[str, Any] = {
    "bench_matrix": [
        {"server": "granian", "interface": "wsgi"},
        {"server": "gunicorn", "interface": "wsgi"},
    ],
    "bench_endpoints": ["health"],
    "bench_blocks": 2,
    "bench_load": {"threads": 1, "connections": 4, "duration_s": 4, "warmup_s": 1, "timeout_s": 10},
    "bench_timing": {"ready_timeout_s": 120, "stop_timeout_s": 60, "sample_interval_s": 0.5},
}
UNITS = {"granian-wsgi", "gunicorn-wsgi"}
BOOT_TIMEOUT_S = 600
BENCH_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Machine:
    """The virtual machine of these tests."""

    inventory: Path
    results: Path
    ssh_config: Path

    def ssh(self, command: str, *, check: bool = True, stdin: str | None = None) -> str:
        done = subprocess.run(
            # A machine that goes down in the middle of an answer must not hold us up.
            ["ssh", "-F", self.ssh_config, "-o", "ServerAliveInterval=15", HOST, command],
            capture_output=True,
            text=True,
            timeout=BOOT_TIMEOUT_S,
            check=False,
            input=stdin,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def boot_id(self) -> str:
        return self.ssh("cat /proc/sys/kernel/random/boot_id", check=False).strip()

    def bench(self) -> PlaybookRun:
        return run_playbook("bench.yml", self.inventory, **self.variables)

    @property
    def variables(self) -> dict[str, Any]:
        return VARIABLES | {
            "bench_run_id": RUN_ID,
            "bench_results_dir": str(self.results),
        }

    def trial_files(self) -> dict[str, str]:
        """Content of every finished trial on the machine, by its id."""
        said = self.ssh(
            f"cd /var/lib/serverbench/runs/{RUN_ID}/trials 2>/dev/null && sha256sum b*/trial.json",
            check=False,
        )
        return {line.split()[1].split("/")[0]: line.split()[0] for line in said.splitlines()}


@pytest.fixture(scope="module")
def vm(tmp_path_factory) -> Iterator[Machine]:
    """A bare one, of which nothing but its files is left at the end."""
    # Two levels below the checkout, like inventory/lab, whose variables it shares.
    folder = REPO / ".build/lab-test-vm"
    folder.mkdir(parents=True, exist_ok=True)
    group_vars = folder / "group_vars"
    if not group_vars.is_symlink():
        group_vars.symlink_to(REPO / "inventory/lab/group_vars")
    lab_hosts = {
        "hosts": {HOST: {"lab_host_address": "198.19.90.11"}},
        "vars": {
            "lab_host_subnet": "198.19.90.0/24",
            "lab_host_bridge": "sblabv0",
            "lab_kind": "vm",
        },
    }
    (folder / "hosts.yml").write_text(
        yaml.safe_dump({"bench": {"children": {"lab_hosts": lab_hosts}}})
    )
    run_playbook("lab.yml", folder, lab_host_state="reset")
    try:
        yield Machine(
            inventory=folder,
            results=tmp_path_factory.mktemp("results"),
            ssh_config=REPO / ".lab/ssh/config",
        )
    finally:
        run_playbook("lab.yml", folder, lab_host_state="absent")


def snapshot(vm: Machine) -> dict[str, set[str]]:
    """What a teardown has to leave as it was."""
    commands = {
        "packages": "dpkg-query -W -f '${Package} ${Status}\\n'",
        "users": "getent passwd; getent group",
        "units": "ls /etc/systemd/system /etc/systemd/system/*.wants; systemctl list-units --plain "
        "--no-legend --state=active 'serverbench*' 'redis*'",
        "files": "sudo find /opt /etc /var/lib /usr/local -maxdepth 1; "
        "sudo find /etc -name '*serverbench*'",
        "ports": "sudo ss -Htlnp | awk '{print $4}'",
    }
    return {name: set(vm.ssh(command).splitlines()) for name, command in commands.items()}


@pytest.fixture(scope="module")
def bare(vm: Machine) -> dict[str, set[str]]:
    return snapshot(vm)


@dataclass(frozen=True, slots=True)
class Rebooted:
    """A run with a reboot in the middle."""

    went_on_by_itself: bool
    before: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def rebooted(vm: Machine, bare: dict[str, set[str]]) -> Rebooted:  # noqa: ARG001 - taken first
    """Provision from bare, deploy, run; reboot after the first trial; then let it finish."""
    boot = vm.boot_id()
    playbook = subprocess.Popen(
        [
            REPO / ".venv/bin/ansible-playbook",
            "bench.yml",
            "-i",
            vm.inventory,
            "-e",
            json.dumps(vm.variables),
        ],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert playbook.stdout is not None
    said = []
    try:
        for line in playbook.stdout:
            said.append(line)
            if " 1/4" in line:
                break
        else:
            pytest.fail("".join(said))
        before = vm.trial_files()
        assert before, "the first trial is done and yet not there"
        vm.ssh("sudo systemctl reboot", check=False)
        rest, _ = playbook.communicate(timeout=BENCH_TIMEOUT_S)
    finally:
        playbook.kill()
        playbook.wait()
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while vm.boot_id() in ("", boot):
        assert time.monotonic() < deadline, rest
        time.sleep(2)
    went_on = _goes_on(vm, len(before))
    # Whoever followed to the end has the results; else the same command goes on.
    if playbook.returncode != 0:
        vm.bench()
    return Rebooted(went_on, before, vm.results / RUN_ID / HOST)


def _goes_on(vm: Machine, done: int) -> bool:
    """Tell whether more trials come to be while nobody asks for them."""
    vm.ssh("systemctl is-system-running --wait", check=False)
    state = vm.ssh(f"systemctl is-active serverbench-runner@{RUN_ID}", check=False).strip()
    return state in ("active", "activating") or len(vm.trial_files()) > done


@pytest.mark.lab
@pytest.mark.vm
def test_it_is_a_machine_of_its_own(vm):
    assert vm.ssh("id --user --name").strip() == "ubuntu"
    assert vm.ssh("sudo -n id --user").strip() == "0"
    assert vm.ssh("uname -r").strip() != os.uname().release
    assert vm.ssh("nproc").strip() == "2"
    memory_kb = int(vm.ssh("awk '/^MemTotal/ {print $2}' /proc/meminfo"))
    assert 1900 * 1024 < memory_kb < 2048 * 1024
    controllers = set(vm.ssh("cat /sys/fs/cgroup/cgroup.controllers").split())
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= controllers
    assert vm.ssh("systemctl is-system-running --wait").strip() == "running"
    refused = subprocess.run(
        ["ssh", "-F", vm.ssh_config, "-o", "BatchMode=yes", f"root@{HOST}", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Permission denied" in refused.stderr


@pytest.mark.lab
@pytest.mark.vm
def test_present_again_is_a_no_op(vm):
    assert run_playbook("lab.yml", vm.inventory).changed == {}


@pytest.mark.lab
@pytest.mark.vm
def test_a_run_with_a_reboot_in_the_middle_has_every_trial(vm, rebooted):
    plan = load_plan(rebooted.folder / "plan.json")
    trials = [load_trial(rebooted.folder / "trials" / t.id / "trial.json") for t in plan.trials]
    assert len(trials) == 2 * len(UNITS)
    for trial in trials:
        assert trial.outcome.status == "ok", trial
        assert trial.wrk is not None
        assert trial.wrk.requests > 0
    # What was done before the reboot was not done again.
    after = vm.trial_files()
    assert {trial: after[trial] for trial in rebooted.before} == rebooted.before


@pytest.mark.lab
@pytest.mark.vm
def test_the_run_went_on_by_itself(vm, rebooted):
    assert rebooted.went_on_by_itself
    enabled = vm.ssh(f"systemctl is-enabled serverbench-runner@{RUN_ID}", check=False)
    assert enabled.strip() != "enabled", "the run is over, and the next boot would begin it again"


@pytest.mark.lab
@pytest.mark.vm
def test_the_figures_are_those_of_the_units_cgroup(rebooted):
    for path in (rebooted.folder / "trials").glob("*/trial.json"):
        trial = load_trial(path)
        samples = [json.loads(line) for line in (path.parent / "samples.jsonl").open()]
        assert trial.memory is not None
        assert trial.memory.cgroup_peak_bytes is not None
        in_cgroup = [sample["cgroup_memory_bytes"] for sample in samples]
        assert all(value > 10_000_000 for value in in_cgroup)
        assert trial.memory.cgroup_peak_bytes >= max(in_cgroup)
        # From memory.events: without it nothing is known of a unit that lives.
        assert trial.service.oom_kills == 0
        # cpu.stat counts microseconds; the processes' own times are in ticks of ten milliseconds.
        assert any(round(sample["server_cpu_s"] * 1e6) % 10_000 for sample in samples)
        assert trial.cpu is not None
        assert trial.cpu.server_s > 0


HOG = """\
import subprocess, sys, time
subprocess.run([sys.executable, "-c", "bytearray(1 << 30)"])
sum(range(300_000))
print("survived", flush=True)
time.sleep(600)
"""
LOOK = """\
import json, sys, time
sys.path.insert(0, "/opt/serverbench/runner/serverbench-runner.pyz")
from collect.runner.systemd import Systemd
from collect.runner.watch import HostWatch
state = Systemd().state("labv-hog.service")
counters = HostWatch().counters(state, None)
sampling = HostWatch().start_sampling(state, None, 0.1)
time.sleep(0.3)
(*_, last) = sampling.stop()
print(json.dumps({
    "oom_kills": counters.oom_kills, "peak": counters.cgroup_peak_bytes,
    "cpu_s": counters.server_cpu_s, "current": last.cgroup_memory_bytes,
}))
"""


@pytest.mark.lab
@pytest.mark.vm
def test_a_kill_for_lack_of_memory_is_counted_where_it_happens(vm, rebooted):  # noqa: ARG001 - the runner is there
    hog = shlex.quote(HOG)
    vm.ssh(
        "sudo systemd-run --quiet --unit=labv-hog -p MemoryMax=100M -p MemorySwapMax=0 "
        f"-p OOMPolicy=continue python3 -c {hog}"
    )
    try:
        survived = "until sudo journalctl -u labv-hog | grep -q survived; do sleep 1; done"
        vm.ssh(f"timeout 90 sh -c {shlex.quote(survived)}")
        seen = json.loads(vm.ssh("sudo python3 -", stdin=LOOK))
        folder = "/sys/fs/cgroup/system.slice/labv-hog.service"
        pressure = vm.ssh(
            f"cat {folder}/cpu.pressure {folder}/memory.pressure {folder}/io.pressure"
        )
    finally:
        vm.ssh("sudo systemctl stop labv-hog")
    assert seen["oom_kills"] == 1
    limit = 100 * 1024 * 1024
    assert 0.9 * limit < seen["peak"] <= limit
    assert 0 < seen["current"] < limit / 2
    assert 0 < seen["cpu_s"] < 60
    assert len([line for line in pressure.splitlines() if line.startswith("some avg10=")]) == 3


def start_one_trial(vm: Machine, rebooted: Rebooted, run_id: str, **load: Any) -> str:
    """Start a run of one trial, of which one more attempt is allowed; return the trial's id."""
    plan = json.loads((rebooted.folder / "plan.json").read_text())
    first = plan["variants"][0]["id"]
    trials = [t for t in plan["trials"] if t["variant"] == first][:1]
    plan |= {"run_id": run_id, "trials": trials, "blocks": 1}
    plan["stopping"] |= {"min_blocks": 1, "gap": None, "reruns_per_block": 1}
    plan["load"] |= load
    folder = f"/var/lib/serverbench/runs/{run_id}"
    vm.ssh(
        f"sudo mkdir -p {folder} && sudo tee {folder}/plan.json >/dev/null", stdin=json.dumps(plan)
    )
    vm.ssh(f"sudo systemctl start serverbench-runner@{run_id}")
    return str(trials[0]["id"])


def both_attempts(vm: Machine, run_id: str, trial_id: str, here: Path) -> tuple[Trial, Trial]:
    """Wait for the end of a run of one trial; return its first attempt and its second."""
    folder = f"/var/lib/serverbench/runs/{run_id}"
    vm.ssh(
        f"for i in $(seq 240); do systemctl is-active --quiet serverbench-runner@{run_id}"
        " || break; sleep 1; done"
    )
    progress = json.loads(vm.ssh(f"cat {folder}/progress.json"))
    assert progress["state"] == "done", progress
    assert progress["verdicts"]["invalid"] == 1, progress
    found = []
    for name in (trial_id, f"{trial_id}--2"):
        (here / f"{name}.json").write_text(vm.ssh(f"cat {folder}/trials/{name}/trial.json"))
        found.append(load_trial(here / f"{name}.json"))
    assert found[1].outcome.status == "ok"
    return found[0], found[1]


# Once wrk is at work: all memory there is, of which the kernel takes the server's first. In one
# go, for an emulated machine fills its memory so slowly else that the trial is over.
USE_UP = """\
import mmap, os, pathlib, subprocess, time
until = time.monotonic() + 120
while subprocess.run(["pgrep", "-x", "wrk"], stdout=subprocess.DEVNULL).returncode:
    assert time.monotonic() < until
    time.sleep(0.2)
for pid in pathlib.Path("/sys/fs/cgroup/system.slice/{unit}/cgroup.procs").read_text().split():
    pathlib.Path("/proc", pid, "oom_score_adj").write_text("1000")
all_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
mmap.mmap(-1, all_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
"""


@pytest.mark.lab
@pytest.mark.vm
def test_a_server_that_is_killed_for_lack_of_memory(vm, rebooted, tmp_path):
    """6. The memory of the host is used up, and the kernel kills the server.

    Kept: the trial, as invalid, with the server's journal.
    Said: `The kernel killed processes for lack of memory`, how many, and to ask for fewer workers
    or take a larger host.
    Then: the trial is run once more at the end of its block; the service that ran before runs
    again.
    """
    plan = json.loads((rebooted.folder / "plan.json").read_text())
    under_test, other = (variant["unit"] for variant in plan["variants"])
    vm.ssh(f"sudo systemctl start {other}")
    try:
        trial_id = start_one_trial(vm, rebooted, "memory", warmup_s=0, duration_s=60)
        # In a unit of its own: killed in a login, it would take the SSH server along.
        own_unit = "sudo systemd-run --quiet --wait --collect --pipe --property=OOMPolicy=continue"
        vm.ssh(f"{own_unit} python3 -", stdin=USE_UP.format(unit=under_test), check=False)
        first, _ = both_attempts(vm, "memory", trial_id, tmp_path)
        assert vm.ssh(f"systemctl is-active {other}").strip() == "active"
    finally:
        vm.ssh(f"sudo systemctl stop {other}")
    reason, *_ = verdict(first).reasons
    assert reason.code == "out_of_memory", first
    assert "fewer workers" in reason.remedy
    assert first.outcome.status == "server_died"


@pytest.mark.lab
@pytest.mark.vm
def test_a_clock_that_steps_back_spoils_one_trial_and_no_more(vm, rebooted, tmp_path):
    """14. The clock of the host is set back by an hour during a trial.

    Kept: the trial, as invalid: wrk counts by that clock. Waiting and sampling do not.
    Said: by how much the clock was moved under load.
    Then: the trial is run once more at the end of its block, and the run ends as planned.
    """
    trial_id = start_one_trial(vm, rebooted, "clock")
    # One command on the machine: a login takes longer here than a trial.
    step = (
        "for i in $(seq 600); do pgrep -x wrk >/dev/null && break; sleep 0.1; done; sleep 2;"
        " sudo date --set='1 hour ago'"
    )
    vm.ssh(step)
    try:
        first, second = both_attempts(vm, "clock", trial_id, tmp_path)
    finally:
        vm.ssh("sudo date --set='1 hour'")
    assert first.host_state is not None
    assert first.host_state.clock_step_s is not None
    assert -3700 < first.host_state.clock_step_s < -3500, first.outcome
    assert "clock_step" in {one.code for one in verdict(first).reasons if one.severity == "invalid"}
    assert second.host_state is not None
    assert second.host_state.clock_step_s is not None
    assert abs(second.host_state.clock_step_s) < 1


@pytest.mark.lab
@pytest.mark.vm
def test_one_server_is_made_the_service_of_the_host(vm, rebooted):  # noqa: ARG001 - deployed there
    run_playbook("deploy.yml", vm.inventory, server="granian", **{**VARIABLES, "bench_run_id": ""})
    unit = "serverbench-granian-wsgi.service"
    assert vm.ssh(f"systemctl is-enabled {unit}", check=False).strip() == "enabled"
    assert vm.ssh(f"systemctl is-active {unit}", check=False).strip() == "active"
    others = "serverbench-gunicorn-wsgi.service"
    assert vm.ssh(f"systemctl is-active {others}", check=False).strip() == "inactive"
    ask = (
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9875%s', timeout=60).status)"
    )
    health = "/api/django-starter/monitoring/health"
    assert vm.ssh(f"python3 -c {shlex.quote(ask % health)}").strip() == "200"


@pytest.mark.lab
@pytest.mark.vm
def test_teardown_leaves_the_machine_as_it_was(vm, bare, rebooted):  # noqa: ARG001 - installed there
    run_playbook("teardown.yml", vm.inventory, **vm.variables)
    after = snapshot(vm)
    assert {name: after[name] ^ bare[name] for name in bare if after[name] != bare[name]} == {}
