"""What goes wrong on a real host, done to it for real: what is kept, what is said, what comes next.

The docstring of each test is its part of docs/reliability.md (`make docs`): what was done to the
host, what was kept, what was said, and what the same command does next.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from labkit import REPO, PlaybookRun, run_playbook, ssh

from collect.attempts import split_attempt
from collect.model import Trial, load_trial
from collect.report import build_report
from collect.store import load_run
from collect.verify import verify_run

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "labb13"
ADDRESS = "198.19.89.13"
SERVED = "serverbench-gunicorn-wsgi.service"
VARIABLES: dict[str, Any] = {
    "bench_matrix": [
        {"server": "granian", "interface": "wsgi"},
        {"server": "uvicorn", "interface": "asgi"},
    ],
    "bench_twin": False,
    "bench_endpoints": ["health"],
    "bench_blocks": 1,
    "bench_decide": None,
    "bench_reruns_per_block": 1,
    # A machine that does other work besides may take its time to start a server.
    "bench_timing": {"ready_timeout_s": 60, "stop_timeout_s": 60, "sample_interval_s": 0.5},
    "bench_load": {"threads": 1, "connections": 4, "duration_s": 3, "warmup_s": 0, "timeout_s": 5},
}
TIMEOUT_S = 600
API = "/opt/serverbench/current/monitoring/api.py"


def wait_until(command: str) -> None:
    """Wait until a command succeeds on the host."""
    deadline = time.monotonic() + TIMEOUT_S
    while ssh(HOST, f"({command}) >/dev/null 2>&1 && echo yes", check=False) != "yes":
        assert time.monotonic() < deadline, command
        time.sleep(0.3)


@dataclass(frozen=True, slots=True)
class Bench:
    """The same bench command, as often as it is given."""

    inventory: Path
    results: Path
    run_id: str

    @property
    def folder(self) -> Path:
        return self.results / self.run_id / HOST

    @property
    def on_host(self) -> str:
        return f"/var/lib/serverbench/runs/{self.run_id}"

    @property
    def unit(self) -> str:
        return f"serverbench-runner@{self.run_id}.service"

    def variables(self, **changes: Any) -> dict[str, Any]:
        return {
            **VARIABLES,
            "bench_run_id": self.run_id,
            "bench_results_dir": str(self.results),
            **changes,
        }

    def run(self, expect: int | None = 0, **changes: Any) -> PlaybookRun:
        return run_playbook(
            "bench.yml", self.inventory, limit=HOST, expect=expect, **self.variables(**changes)
        )

    @contextmanager
    def started(self, **changes: Any) -> Iterator[subprocess.Popen[str]]:
        """Start the command and go on; it has ended, in whatever way, when the block has."""
        command = [
            REPO / ".venv/bin/ansible-playbook", "bench.yml", "-i", self.inventory, "-l", HOST,
            "-e", json.dumps(self.variables(**changes)),
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def wait_for_load(self) -> None:
        wait_until(f"pgrep -x wrk && ls -d {self.on_host}/trials/.partial-*")

    def trials(self) -> dict[str, Trial]:
        paths = (self.folder / "trials").glob("*/trial.json")
        return {path.parent.name: load_trial(path) for path in paths}

    def files(self) -> dict[str, bytes]:
        """The trials that are on the host, by name, as they were written."""
        listed = ssh(HOST, f"cd {self.on_host}/trials && sha256sum b*/trial.json || true")
        return {line.split()[1]: line.split()[0].encode() for line in listed.splitlines()}

    def journal(self) -> str:
        return ssh(HOST, f"journalctl --unit {self.unit} --output cat --no-pager")

    def assert_whole(self, *, kept: dict[str, bytes] | None = None) -> None:
        """Each planned trial has one figure, nothing else has, and what was there is the same."""
        run = load_run(self.folder.parent)
        assert run.hosts[0].missing == ()
        (host,) = build_report(run).hosts
        used = [trial for trials in host.used.values() for trial in trials]
        planned = sorted(trial.id for trial in host.plan.trials)
        spoilt = [(line.trial.trial_id, line.verdict.reasons) for line in host.left_out]
        assert sorted(split_attempt(trial.trial_id)[0] for trial in used) == planned, spoilt
        assert {trial.outcome.status for trial in used} == {"ok"}
        assert verify_run(self.folder.parent).problems == ()
        now = self.files()
        assert {name: now.get(name) for name in kept or {}} == (kept or {})
        assert ssh(HOST, f"ls -d {self.on_host}/trials/.partial-*", check=False) == ""
        assert_serves()

    def assert_says_how_to_go_on(self, output: str) -> None:
        assert f"the same command with -e bench_run_id={self.run_id}" in words(output)


def assert_serves() -> None:
    """What ran before the run runs again."""
    assert ssh(HOST, f"systemctl is-active {SERVED}", check=False) == "active"


def words(output: str) -> str:
    """What was said, whatever the colours and wherever the lines end."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", output).split())


def said_by(run: PlaybookRun) -> str:
    return words(run.stdout)


@pytest.fixture
def bench(deployed, tmp_path, request) -> Bench:
    ssh(HOST, f"systemctl start {SERVED}")
    name = "-".join(re.findall("[a-z]+", request.node.name.removeprefix("test_")))
    return Bench(deployed, tmp_path / "results", name[:60].rstrip("-"))


@contextmanager
def packets_dropped() -> Iterator[None]:
    """Cut the host off, as a network does: no answer, no refusal."""
    rules = [
        ["INPUT", "-s", ADDRESS, "-j", "DROP"],
        ["OUTPUT", "-d", ADDRESS, "-j", "DROP"],
        ["FORWARD", "-s", ADDRESS, "-j", "DROP"],
    ]
    for rule in rules:
        subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-D", *rule], check=True)


@pytest.mark.lab
@pytest.mark.faults
def test_the_connection_is_cut(bench):
    """2. The SSH connection is cut for two minutes during a run (packets dropped).

    Kept: everything; the run does not notice.
    Said: nothing new for as long as SSH takes to give the connection up (a minute), then `no
    answer`, why, and that the run goes on and is asked for again, for ten minutes at most.
    Then: the command, still waiting, follows again and ends with the report. Exit status 0.
    """
    # More load than the cut lasts: the run is not over before the connection is back.
    load = {**VARIABLES["bench_load"], "duration_s": 35}
    with bench.started(bench_blocks=2, bench_load=load) as playbook:
        assert playbook.stdout is not None
        output = ""
        # Who follows has seen the run at work: the load may well begin before that.
        while f"{HOST} block" not in words(output) and (line := playbook.stdout.readline()):
            output += line
        bench.wait_for_load()
        with packets_dropped():
            time.sleep(120)
        # The playbook gives up by itself, ten minutes after the last answer.
        output += playbook.stdout.read()
        playbook.wait(timeout=TIMEOUT_S)
    assert playbook.returncode == 0, output
    before, after = words(output).split(f"{HOST} no answer: ssh: ", 1)
    assert f"{HOST} block" in before
    assert "the run goes on, also after a boot; asking again for 10 minutes" in after
    assert f"{HOST} block" in after
    assert "was cut off" not in bench.journal()
    bench.assert_whole()


@pytest.mark.lab
@pytest.mark.faults
def test_the_host_loses_power(bench):
    """3. The host is switched off without warning during a trial, and boots again.

    Kept: every trial that was finished; the one that was cut off is thrown away.
    Said: `no answer`, why, and that the run goes on after a boot; the playbook waits for ten
    minutes.
    Then: the run goes on by itself after the boot; the service that ran before runs after it. Exit
    status 0.
    """
    with bench.started(bench_blocks=2) as playbook:
        wait_until(f"ls {bench.on_host}/trials/b01-*")
        bench.wait_for_load()
        kept = bench.files()
        ssh(HOST, "systemctl poweroff --force --force", check=False)
        time.sleep(3)
        run_playbook("lab.yml", bench.inventory, limit=HOST)
        output, _ = playbook.communicate(timeout=TIMEOUT_S)
    assert playbook.returncode == 0, output
    assert f"{HOST} no answer: " in words(output)
    assert "the run goes on, also after a boot" in words(output)
    assert "was cut off, runs again" in bench.journal()
    assert kept
    bench.assert_whole(kept=kept)


@pytest.mark.lab
@pytest.mark.faults
def test_the_server_is_killed(bench):
    """4. The server is killed inside a trial.

    Kept: the trial, as invalid, with the server's journal; no figure rests on it.
    Said: `server died`, which process ended, and where the journal is, under “Left out”.
    Then: the trial is run once more at the end of its block. Exit status 0.
    """
    with bench.started() as playbook:
        bench.wait_for_load()
        ssh(
            HOST, "systemctl kill -s KILL 'serverbench-*-wsgi.service' 'serverbench-*-asgi.service'"
        )
        output, _ = playbook.communicate(timeout=TIMEOUT_S)
    assert playbook.returncode == 0, output
    died = [trial for trial in bench.trials().values() if trial.outcome.status == "server_died"]
    assert len(died) == 1
    said = words(output)
    assert "Left out of every figure: 1 of 3 trials; a re-run stands in for 1" in said
    assert "server died: " in said
    assert "Read the journal in the trial's folder" in said
    assert (bench.folder / "trials" / died[0].trial_id / "journal.txt").read_text()
    bench.assert_whole()


@pytest.mark.lab
@pytest.mark.faults
def test_the_disk_of_the_results_is_full(bench):
    """7. The disk that the results are written to on the host fills up during a run.

    Kept: every trial that was finished.
    Said: `No space left on device`, with the folder, and to make room there. Exit status 2; the
    service runs again.
    Then: with room made, the same command goes on at the trial that is missing.
    """
    ssh(HOST, "mount -t tmpfs -o size=4m,mode=755 tmpfs /var/lib/serverbench/runs")
    try:
        with bench.started(bench_blocks=2) as playbook:
            wait_until(f"ls {bench.on_host}/trials/b01-*")
            bench.wait_for_load()
            ssh(HOST, "dd if=/dev/zero of=/var/lib/serverbench/runs/filler bs=64k || true")
            output, _ = playbook.communicate(timeout=TIMEOUT_S)
        assert playbook.returncode == 2, output
        assert f"{bench.on_host}: No space left on device; make room" in words(output)
        bench.assert_says_how_to_go_on(output)
        assert_serves()
        kept = bench.files()
        assert kept
        ssh(HOST, "rm /var/lib/serverbench/runs/filler")
        bench.run(bench_blocks=2)
        bench.assert_whole(kept=kept)
    finally:
        ssh(HOST, "umount /var/lib/serverbench/runs")


@pytest.mark.lab
@pytest.mark.faults
def test_redis_is_stopped(bench):
    """8. Redis, which the application asks, is stopped during a run.

    Kept: the trials, as invalid: the answer was wrong.
    Said: `not one of … trials can be used`, of each why, and what to do. Exit status 2; the service
    runs again.
    Then: the same command starts Redis again, and measures anew each block that has no figure.
    """
    # 503 might mean "not yet", so it is waited for.
    timing = {**VARIABLES["bench_timing"], "ready_timeout_s": 20}
    asked = {"bench_endpoints": ["health-sync"], "bench_timing": timing}
    with bench.started(**asked) as playbook:
        wait_until(f"systemctl is-active {bench.unit}")
        ssh(HOST, "systemctl stop redis-server")
        output, _ = playbook.communicate(timeout=TIMEOUT_S)
    assert playbook.returncode == 2, output
    assert "trials can be used" in words(output)
    assert "wrong answer" in output
    bench.assert_says_how_to_go_on(output)
    assert_serves()
    bench.run(**asked)
    assert ssh(HOST, "systemctl is-active redis-server") == "active"
    bench.assert_whole()


@pytest.mark.lab
@pytest.mark.faults
def test_the_port_is_taken(bench):
    """9. Another program listens on the app port.

    Kept: nothing there is to keep; the other program is left alone.
    Said: which process holds the port. Exit status 2: not one trial can be used.
    Then: once it is gone, the same command measures anew.
    """
    ssh(HOST, f"systemctl stop {SERVED}")
    ssh(HOST, "systemd-run --quiet --unit=stranger python3 -m http.server 9875 --bind 127.0.0.1")
    try:
        run = bench.run(expect=2)
        assert ssh(HOST, "systemctl is-active stranger") == "active"
    finally:
        ssh(HOST, "systemctl stop stranger")
    assert "not one of" in said_by(run)
    assert "port 9875 is taken by pid" in said_by(run)
    assert "http.server 9875" in said_by(run)
    bench.assert_says_how_to_go_on(run.stdout)
    assert {trial.outcome.status for trial in bench.trials().values()} == {"start_failed"}
    kept = bench.files()
    ssh(HOST, f"systemctl start {SERVED}")
    bench.run()
    bench.assert_whole(kept=kept)


@pytest.mark.lab
@pytest.mark.faults
def test_the_answer_is_wrong(bench):
    """10. The application answers 200 with a body that is not the one it must give.

    Kept: the trials, as invalid; no load is sent for an answer that is wrong.
    Said: what was expected and what came. Exit status 2: not one trial can be used; the service
    runs again.
    Then: with the application mended, the same command measures anew. With another expectation it
    is another run, which is said before anything is done.
    """
    right, wrong = '{"status": "ok"}', '{"status": "splendid"}'
    ssh(HOST, f"sed -i.aside 's/{right}/{wrong}/' {API}")
    try:
        run = bench.run(expect=2)
    finally:
        ssh(HOST, f"mv {API}.aside {API}")
    assert "not one of" in said_by(run)
    assert 'got "splendid"; expected "ok"' in said_by(run)
    bench.assert_says_how_to_go_on(run.stdout)
    assert_serves()
    trials = bench.trials().values()
    assert {trial.outcome.status for trial in trials} == {"wrong_answer_before"}
    assert all(trial.wrk is None for trial in trials)
    kept = bench.files()
    other = {
        "name": "health",
        "path": "/api/django-starter/monitoring/health",
        "expect": {"json_subset": {"status": "splendid"}},
    }
    refused = bench.run(expect=2, app_endpoints=[other])
    assert "parts of its plan differ now: endpoints" in said_by(refused)
    assert "or another bench_run_id" in said_by(refused)
    bench.run()
    bench.assert_whole(kept=kept)


@pytest.mark.lab
@pytest.mark.faults
def test_packages_cannot_be_fetched(bench):
    """12. The network is gone while packages are installed.

    Kept: what is installed and served.
    Said: the package, the archive that does not answer, and to mend the network or name another
    archive in apt_mirror. Exit status 2.
    Then: with the network back, the same command installs it and goes on.
    """
    outside = ["FORWARD", "-s", ADDRESS, "-j", "REJECT"]
    subprocess.run(["iptables", "-w", "-I", *outside], check=True)
    try:
        with bench.started(app_packages=["tree"]) as playbook:
            output, _ = playbook.communicate(timeout=TIMEOUT_S)
    finally:
        subprocess.run(["iptables", "-w", "-D", *outside], check=True)
    assert playbook.returncode == 2, output
    assert "Failed to fetch http" in output
    assert "/tree_" in output
    assert "Mend the host's network, or name another archive in apt_mirror" in words(output)
    assert_serves()
    bench.run(app_packages=["tree"])
    bench.assert_whole()
    ssh(HOST, "apt-get purge -y tree")


@pytest.mark.lab
@pytest.mark.faults
def test_two_operators_start_at_once(bench):
    """13. Two people start a run on the same host at the same time.

    Kept: both plans; the second one measures nothing.
    Said: to the second: which run is at work, how to follow or end it; or that the first one
    deploys at this moment, and to give the command again. Exit status 2.
    Then: once the first is done, the second command measures.
    """
    other = Bench(bench.inventory, bench.results, f"{bench.run_id}-too")
    with bench.started(bench_blocks=3) as first, other.started() as second:
        late, _ = second.communicate(timeout=TIMEOUT_S)
        early, _ = first.communicate(timeout=TIMEOUT_S)
    codes = {bench.run_id: first.returncode, other.run_id: second.returncode}
    assert sorted(codes.values()) == [0, 2], late + early
    winner, loser = (bench, other) if first.returncode == 0 else (other, bench)
    refused = " ".join((late if loser is other else early).split())
    # Whose deployment or run holds the host when the other asks for it is chance.
    stop = f"systemctl stop serverbench-runner@{winner.run_id}"
    by_run = f"run {winner.run_id}" in refused and stop in refused
    by_deployment = "at work (deployment of" in refused and "give the same command" in refused
    assert by_run or by_deployment, refused
    assert not loser.files()
    winner.assert_whole()
    loser.run(bench_blocks=3 if loser is bench else 1)
    loser.assert_whole()


@pytest.mark.lab
@pytest.mark.faults
def test_a_result_file_is_cut_off(bench):
    """15. A result file on the host is cut off before it is fetched.

    Kept: every other trial on the host; what was fetched before is not touched.
    Said: the file that is not as it was written. Exit status 2; nothing of it enters a report.
    Then: the same command measures that trial anew, and keeps the damaged one aside.
    """
    with bench.started(bench_blocks=2) as playbook:
        wait_until(f"ls {bench.on_host}/trials/b01-*/samples.jsonl")
        os.killpg(playbook.pid, signal.SIGKILL)
    wait_until(f"test $(systemctl is-active {bench.unit}) = inactive")
    kept = bench.files()
    damaged = ssh(HOST, f"ls -d {bench.on_host}/trials/b01-* | head -n 1")
    ssh(HOST, f"truncate --size=-10 {damaged}/samples.jsonl")
    pulled = run_playbook("pull.yml", bench.inventory, limit=HOST, expect=2, **bench.variables())
    name = Path(damaged).name
    assert f"trials/{name}/samples.jsonl" in said_by(pulled)
    assert "bench.yml with this bench_run_id measures that trial anew" in said_by(pulled)
    assert not bench.trials()
    bench.run(bench_blocks=2)
    kept.pop(f"{name}/trial.json")
    bench.assert_whole(kept=kept)
    assert ssh(HOST, f"ls {bench.on_host}/trials/.broken-{name}/trial.json")


@pytest.mark.lab
@pytest.mark.faults
def test_the_runner_is_killed(bench):
    """16. The runner on the host is killed during a trial (SIGKILL).

    Kept: every trial that was finished; the one that was cut off is thrown away.
    Said: `the runner stopped before the run was done`, with systemd's words. Exit status 2.
    Then: the service that ran before runs again; the same command goes on.
    """
    with bench.started(bench_blocks=2) as playbook:
        wait_until(f"ls {bench.on_host}/trials/b01-*")
        bench.wait_for_load()
        kept = bench.files()
        ssh(HOST, f"systemctl kill --kill-whom=main -s KILL {bench.unit}")
        output, _ = playbook.communicate(timeout=TIMEOUT_S)
    assert playbook.returncode == 2, output
    assert "the runner stopped before the run was done" in words(output)
    assert "status=9/KILL" in output
    bench.assert_says_how_to_go_on(output)
    assert_serves()
    bench.run(bench_blocks=2)
    assert "was cut off, runs again" in bench.journal()
    bench.assert_whole(kept=kept)


@pytest.mark.lab
@pytest.mark.faults
@pytest.mark.parametrize("how", ["is missing", "crashes"])
def test_wrk_does_not_work(bench, how):
    """17. wrk is missing, or crashes.

    Kept: what was measured before; a trial whose wrk crashed, as invalid, with its last words.
    Said: that wrk is missing, or how it ended. Exit status 2; the service runs again.
    Then: with wrk there again, the same command measures.
    """
    ssh(HOST, "mv /usr/bin/wrk /usr/bin/wrk.aside")
    try:
        if how == "crashes":
            crash = "#!/bin/sh\necho gone wrong\nkill -SEGV $$\n"
            ssh(HOST, "cat > /usr/bin/wrk && chmod 755 /usr/bin/wrk", stdin=crash)
        run = bench.run(expect=2)
    finally:
        ssh(HOST, "mv /usr/bin/wrk.aside /usr/bin/wrk")
    expected = {
        "is missing": "wrk is missing on this host: apt-get install --reinstall wrk",
        "crashes": "wrk ended with status -11: gone wrong",
    }
    assert expected[how] in said_by(run)
    bench.assert_says_how_to_go_on(run.stdout)
    assert_serves()
    kept = bench.files()
    assert bool(kept) == (how == "crashes")
    bench.run()
    bench.assert_whole(kept=kept)


@pytest.mark.lab
@pytest.mark.faults
def test_the_results_folder_cannot_be_written(bench, tmp_path):
    """18. The results folder on the control machine cannot be written.

    Kept: nothing was begun: it is looked at before any host is.
    Said: the folder and why. Exit status 2.
    Then: with another bench_results_dir, or the folder mended, the same command measures.
    """
    (tmp_path / "in-the-way").write_text("a file")
    run = bench.run(expect=2, bench_results_dir=str(tmp_path / "in-the-way" / "results"))
    assert "bench_results_dir" in said_by(run)
    assert "in-the-way" in said_by(run)
    assert not ssh(HOST, f"ls {shlex.quote(bench.on_host)} 2>/dev/null", check=False)
    assert_serves()
    (tmp_path / "in-the-way").unlink()
    bench.run(bench_results_dir=str(tmp_path / "in-the-way" / "results"))
    replace(bench, results=tmp_path / "in-the-way" / "results").assert_whole()
