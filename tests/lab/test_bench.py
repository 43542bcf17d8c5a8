"""The main job on two real hosts at once, Debian 13 and 12: from bare to results.

The tests build on each other in the order of this file, as a user's day does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest
import yaml
from labkit import BENCH_HOSTS as HOSTS
from labkit import REPO, run_playbook, sent_by, ssh

from collect.attempts import split_attempt
from collect.model import load_plan, load_trial

SERVERS = {"uwsgi", "gunicorn", "granian", "uvicorn", "daphne", "hypercorn"}
# Enough to be a real run of every step; figures are not looked at.
SHORT = {
    "bench_blocks": 1,
    "bench_endpoints": ["health"],
    "bench_load": {"threads": 2, "connections": 8, "duration_s": 1, "warmup_s": 0, "timeout_s": 10},
}


SERVED = "serverbench-uwsgi-wsgi.service"


def profiles(**overrides):
    """Profile parity, but for `overrides` of single servers."""
    known = yaml.safe_load((REPO / "playbooks/group_vars/all/profiles.yml").read_text())
    parity = known["server_profiles"]["parity"]
    servers = parity.get("servers", {}) | overrides
    return {"server_profiles": {"parity": {**parity, "servers": servers}}}


def serve_by_hand(host):
    """Have one unit serve, whatever an earlier test has made the service."""
    ssh(host, f"systemctl stop 'serverbench-*gi.service'; systemctl start {SERVED}")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def finished(deployed, results):
    """A short run with one server that cannot start, on hosts where another one serves."""
    for host in HOSTS:
        serve_by_hand(host)
    broken = profiles(hypercorn={"extra_arguments": ["--no-such-option"]})
    run = run_playbook(
        "bench.yml",
        deployed,
        bench_run_id="short",
        bench_results_dir=str(results),
        # So that those which a busy machine spoils do not use up the re-runs.
        bench_reruns_per_block=len(SERVERS),
        **SHORT,
        **broken,
    )
    return run, results / "short"


@pytest.mark.lab
def test_check_mode_foresees_a_bare_host(inventory):
    run = run_playbook("bench.yml", inventory, check=True)
    for host in HOSTS:
        foreseen = run.result(host, "Foresee what would be done")["msg"]
        assert "serverbench-granian-wsgi.service" in foreseen


@pytest.mark.lab
def test_check_mode_on_a_converged_host_foresees_nothing(deployed):
    assert run_playbook("bench.yml", deployed, check=True).changed == {}


@pytest.mark.lab
def test_check_mode_shows_the_unit_that_would_change(deployed):
    run = run_playbook("deploy.yml", deployed, check=True, **profiles(granian={"backlog": 177}))
    diff = run.result("labb13", "Write the unit of granian-wsgi")["diff"]
    assert "--backlog=177" in json.dumps(diff)


@pytest.mark.lab
def test_a_unit_that_systemd_refuses_replaces_nothing(deployed):
    """11. A setting makes a unit file that systemd refuses.

    Kept: the unit that was there, and whatever runs.
    Said: `failed to validate`, with systemd's own words, and which unit. Exit status 2.
    Then: with the setting mended, the same command deploys and measures.
    """
    unit = "serverbench-granian-wsgi.service"
    look = f"systemctl show -p MainPID,ActiveState {unit}; sha256sum /etc/systemd/system/{unit}"
    ssh("labb13", f"systemctl start {unit}")
    before = ssh("labb13", look)
    assert "ActiveState=active" in before
    wrong = profiles(granian={"cpu_set": "9999"})
    run = run_playbook("deploy.yml", deployed, expect=2, **wrong)
    refused = run.result("labb13", "Write the unit of granian-wsgi")
    assert "failed to validate" in refused["msg"]
    assert f"{unit}:" in refused["stderr"]
    assert "Cannot add CPU 9999 to set" in refused["stderr"]
    assert ssh("labb13", look) == before
    ssh("labb13", f"systemctl stop {unit}")
    run_playbook("deploy.yml", deployed, limit="labb13")


@pytest.mark.lab
def test_a_second_converge_changes_nothing(deployed):
    # Nor did the check and the refusal above leave anything behind.
    assert run_playbook("deploy.yml", deployed, deploy_everything=True).changed == {}


# What a deployment with nothing to do may cost: a task takes a third of a second on any machine,
# and what is sent to a cloud far away the time of its way there and back.
TASKS_AT_MOST = 20
"""Those that are skipped among them: to find out that there is nothing to do is most of a task."""
SENT_AT_MOST = 5
PULLED_BYTES_AT_MOST = 4_000
"""For each trial of a few seconds, packed; a trial of 30 s has some 60 samples more."""


@pytest.mark.lab
def test_with_nothing_to_do_it_is_a_handful_of_tasks(deployed):
    again = run_playbook("deploy.yml", deployed)
    assert again.changed == {}
    for host in HOSTS:
        done = [t["task"] for t in again.tasks if t["host"] == host]
        assert len(done) <= TASKS_AT_MOST, done


@pytest.mark.lab
def test_with_nothing_to_do_little_is_sent(deployed):
    sent = sent_by("deploy.yml", deployed, "labb13")
    assert len(sent) <= SENT_AT_MOST, sent


@pytest.mark.lab
@pytest.mark.parametrize(
    "damage",
    [
        "echo '# by hand' >> /etc/systemd/system/serverbench-granian-wsgi.service",
        "systemctl stop redis-server",
        "chmod 777 /etc/serverbench/app.env; apt-get purge -y wrk",
    ],
)
def test_what_somebody_changed_by_hand_is_put_right(deployed, damage):
    ssh("labb13", damage)
    mended = run_playbook("deploy.yml", deployed, limit="labb13")
    assert list(mended.changed) == ["labb13"]
    assert run_playbook("deploy.yml", deployed, limit="labb13").changed == {}


@pytest.mark.lab
def test_a_service_that_was_deployed_alone_is_not_taken_for_all(deployed):
    # Measured as they were, the others would stand in the report with settings they never had.
    asked_for = profiles(uwsgi={"backlog": 777}, granian={"backlog": 777})
    unit = "cat /etc/systemd/system/serverbench-uwsgi-wsgi.service"
    run_playbook("deploy.yml", deployed, limit="labb13", server="granian", **asked_for)
    assert "777" not in ssh("labb13", unit)
    run_playbook("deploy.yml", deployed, limit="labb13", **asked_for)
    assert "777" in ssh("labb13", unit)
    run_playbook("deploy.yml", deployed, limit="labb13")
    assert "777" not in ssh("labb13", unit)


@pytest.mark.lab
@pytest.mark.parametrize("host", HOSTS)
def test_a_run_brings_six_servers_back(finished, host):
    _, folder = finished
    plan = load_plan(folder / host / "plan.json")
    trials = {t.id: load_trial(folder / host / "trials" / t.id / "trial.json") for t in plan.trials}
    assert {trial.server for trial in trials.values()} == SERVERS
    for trial in trials.values():
        if trial.server == "hypercorn":
            continue
        assert trial.outcome.status == "ok", trial
        assert trial.wrk.requests > 0
        assert trial.memory.pss_peak_bytes > 10_000_000
        assert trial.memory.rss_peak_bytes >= trial.memory.pss_peak_bytes
        assert trial.cpu.server_s > 0
        assert trial.cpu.loadgen_s > 0


@pytest.mark.lab
@pytest.mark.parametrize("host", HOSTS)
def test_one_server_fails_with_its_journal_while_the_rest_finishes(finished, host):
    """5. A server ends as soon as it is started: its settings are broken.

    Kept: the server's journal, in the trial's folder; the other servers are measured as ever.
    Said: `start failed` with systemd's words and where the journal is, under “Left out”. Exit
    status 0.
    Then: it is tried once more in its block, for it might have been chance, and then left. The
    service that ran before runs again.
    """
    run, folder = finished
    assert run.rc == 0
    (broken,) = (folder / host / "trials").glob("*-hypercorn-asgi-health")
    trial = load_trial(broken / "trial.json")
    assert trial.outcome.status == "start_failed"
    assert trial.wrk is None
    assert "--no-such-option" in (broken / "journal.txt").read_text()
    report = (folder / "report.md").read_text()
    assert "start failed: systemd says" in report
    assert "Read the journal in the trial's folder, mend the cause and run again" in report
    tried = {path.name for path in broken.parent.glob("*-hypercorn-*")}
    assert tried == {broken.name, f"{broken.name}--2"}
    assert ssh(host, f"systemctl is-active {SERVED}") == "active"


@pytest.mark.lab
@pytest.mark.parametrize("host", HOSTS)
def test_little_is_brought_back_of_each_trial(finished, host):
    _, folder = finished
    packed = subprocess.run(
        ["tar", "--create", "--use-compress-program=gzip -1", "--directory", folder / host, "."],
        capture_output=True,
        check=True,
    ).stdout
    trials = len([*(folder / host / "trials").iterdir()])
    assert len(packed) / trials <= PULLED_BYTES_AT_MOST


@pytest.mark.lab
def test_the_report_shows_both_hosts_together(finished):
    _, folder = finished
    first, second = sorted(HOSTS)
    page = (folder / "report.md").read_text()
    assert f"| variant | {first} | {second} | holds |" in page
    images = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert images
    assert all((folder / image).is_file() for image in images)


@pytest.mark.lab
def test_the_page_is_there_and_its_place_is_said_last(finished):
    run, folder = finished
    assert f"{folder}/report.html: open it in a browser" in run.stdout
    page = (folder / "report.html").read_text()
    assert all(f"{host}</h2>" in page for host in HOSTS)


@pytest.mark.lab
@pytest.mark.parametrize("host", HOSTS)
def test_each_server_ran_under_its_unit_as_its_user(finished, host):
    _, folder = finished
    for effective in (folder / host / "trials").glob("*/effective.json"):
        if "hypercorn" in str(effective):
            continue
        data = json.loads(effective.read_text())
        unit = data["unit"]
        assert unit["User"] == "serverbench"
        assert unit["FragmentPath"].startswith("/etc/systemd/system/serverbench-")
        assert {process["user"] for process in data["processes"]} == {"serverbench"}
        assert data["workers_seen"] == 2, effective


@pytest.mark.lab
def test_the_pulled_files_are_the_ones_that_were_written(finished):
    _, folder = finished
    for host in HOSTS:
        plan = load_plan(folder / host / "plan.json")
        tried = {path.name for path in (folder / host / "trials").iterdir()}
        # A busy machine may spoil any trial, which is then tried once more.
        assert {split_attempt(name)[0] for name in tried} == {trial.id for trial in plan.trials}
        for name in tried:
            subprocess.run(
                ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"],
                cwd=folder / host / "trials" / name,
                check=True,
            )


@pytest.mark.lab
def test_a_killed_playbook_does_not_hurt_the_run(deployed, results):
    """1. The playbook is killed (SIGKILL) during a trial.

    Kept: everything; the run on the host does not notice.
    Said: to whoever starts another run meanwhile: `is busy with run …`, how to follow it and how to
    end it. Exit status 2.
    Then: the same command follows the run, or fetches what it measured, and repeats nothing; the
    service that ran before runs again.
    """
    for host in HOSTS:
        serve_by_hand(host)
    variables = {
        **SHORT,
        "bench_load": {**SHORT["bench_load"], "duration_s": 4},
        "bench_blocks": 2,
        "bench_run_id": "killed",
        "bench_results_dir": str(results),
    }
    playbook = subprocess.Popen(
        [
            REPO / ".venv/bin/ansible-playbook",
            "bench.yml",
            "-i",
            deployed,
            "-e",
            json.dumps(variables),
        ],
        cwd=REPO,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    deadline = time.monotonic() + 240
    for line in playbook.stdout:
        assert time.monotonic() < deadline
        if " 3/12" in line:
            break
    os.killpg(playbook.pid, signal.SIGKILL)
    playbook.wait()
    other = run_playbook("bench.yml", deployed, expect=2, **{**variables, "bench_run_id": "other"})
    said = " ".join(other.stdout.split())
    assert "is busy with run killed" in said
    assert "Follow that run with -e bench_run_id=killed" in said
    assert "systemctl stop serverbench-runner@killed" in said
    early = run_playbook("pull.yml", deployed, **variables)
    assert early.rc == 0
    before = {p: p.read_bytes() for p in (results / "killed").glob("*/trials/*/trial.json")}
    assert before
    run_playbook("bench.yml", deployed, **variables)
    after = {p: p.read_bytes() for p in (results / "killed").glob("*/trials/*/trial.json")}
    # By what was planned: one that chance has spoilt, on a busy machine, is measured once more.
    planned = {(p.parts[-4], split_attempt(p.parent.name)[0]) for p in after}
    assert len(planned) == 2 * 12
    assert {p: after[p] for p in before} == before
    for host in HOSTS:
        assert ssh(host, f"systemctl is-active {SERVED}") == "active"
