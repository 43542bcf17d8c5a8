"""A host is the same before the kit came and after it went, whatever happened in between."""

from __future__ import annotations

import json
import subprocess

import pytest
from labkit import BENCH_HOSTS, REPO, run_playbook, run_script, ssh

HOST = next(iter(BENCH_HOSTS))
# Every boot differs in these; a reset is a boot.
EACH_BOOT = {"/etc/machine-id"}
ONLY_AT_FIRST_BOOT = {
    "ldconfig.service",
    "systemd-journal-catalog-update.service",
    "systemd-sysusers.service",
    "systemd-update-done.service",
}
SHORT = {
    "bench_matrix": [{"server": "granian", "interface": "wsgi"}],
    "bench_endpoints": ["health"],
    "bench_blocks": 1,
    "bench_run_id": "last",
    "bench_load": {"threads": 1, "connections": 4, "duration_s": 1, "warmup_s": 0, "timeout_s": 5},
}


def state():
    read = json.loads(ssh(HOST, "python3 -", stdin=(REPO / "tests/lab/host_state.py").read_text()))
    for path in EACH_BOOT:
        read["files"].pop(path, None)
    read["active services"] = set(read["active services"]) - ONLY_AT_FIRST_BOOT
    return {
        part: {f"{path} {what}" for path, what in found.items()}
        if isinstance(found, dict)
        else set(found)
        for part, found in read.items()
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def before(deployed, results):
    """The host as it was when bare. It is deployed again now, with a run that nobody has pulled."""
    variables = {**SHORT, "bench_results_dir": str(results)}
    run_playbook("bench.yml", deployed, limit=HOST, **variables)
    subprocess.run(["rm", "-r", results / "last"], check=True)
    # A file that was replaced; and of the user a package that stands on one of ours.
    run_script(
        HOST,
        """
        file=$(find /etc/apt -name '*.sources' -o -name sources.list | head -n 1)
        cp -p "$file" "$file.serverbench-before"
        echo '# from a mirror' >> "$file"
        apt-get install -qq -y --no-install-recommends luajit >/dev/null 2>&1
        mkdir -p /etc/letsencrypt/live/serverbench.example.org
        touch /etc/letsencrypt/live/serverbench.example.org/key.pem""",
    )
    layer = {"limit": HOST, "lab_host_layer": "teardown"}
    run_playbook("lab.yml", deployed, lab_host_state="saved", **layer)
    run_playbook("lab.yml", deployed, limit=HOST, lab_host_state="reset")
    bare = state()
    run_playbook("lab.yml", deployed, lab_host_state="reset", **layer)
    return bare


@pytest.mark.lab
def test_check_mode_foresees_what_goes(before, deployed, results):
    assert before
    folder = {"bench_results_dir": str(results)}
    run = run_playbook("teardown.yml", deployed, limit=HOST, check=True, **folder)
    places = " ".join(run.result(HOST, "Say what goes")["msg"])
    for place in ("serverbench-granian-wsgi.service", "/opt/serverbench", "last"):
        assert place in places
    brought = set(ssh(HOST, "cat /var/lib/serverbench/before/brought").split())
    assert {"wrk", "redis-server", "python3-venv", "python3-psutil"} <= brought
    assert not brought & {"luajit", "nginx", "postgresql"}
    foreseen = run.result(HOST, "Take back the packages")
    assert {"wrk", "redis-server", "python3-venv"} <= set(foreseen["removed"])
    run_script(
        HOST, "test -e /opt/serverbench/current && which wrk && systemctl is-active redis-server"
    )


@pytest.mark.lab
def test_a_run_that_goes_on_refuses(deployed, before):
    assert before
    unit = "serverbench-runner@busy.service"
    run_script(
        HOST,
        f"""
        printf '[Service]\\nExecStart=/bin/sleep 600\\n' > /run/systemd/system/{unit}
        systemctl daemon-reload
        systemctl start {unit}""",
    )
    run = run_playbook("teardown.yml", deployed, limit=HOST, expect=2)
    run_script(
        HOST, f"systemctl stop {unit}; rm /run/systemd/system/{unit}; systemctl daemon-reload"
    )
    assert "run busy is going on, so nothing was removed" in " ".join(run.stdout.split())


@pytest.mark.lab
def test_results_that_cannot_be_brought_here_keep_the_host_as_it_is(deployed, before, tmp_path):
    assert before
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    run = run_playbook(
        "teardown.yml", deployed, limit=HOST, expect=2, bench_results_dir=str(blocked)
    )
    assert "so nothing was removed" in " ".join(run.stdout.split())
    run_script(HOST, "test -e /opt/serverbench/current && which wrk")


@pytest.mark.lab
def test_the_host_is_what_it_was_before(deployed, before, results):
    run_playbook("teardown.yml", deployed, limit=HOST, bench_results_dir=str(results))
    assert (results / "last" / HOST / "plan.json").exists()
    assert [*(results / "last" / HOST / "trials").iterdir()]
    # What the user installed stayed, and with it what it needs of ours.
    kept = {"luajit", "libluajit-5.1-2", "libluajit-5.1-common"}
    names = {
        line.split()[-1].partition(":")[0] for line in state()["packages"] - before["packages"]
    }
    assert names == kept
    # So did a file of theirs that is called like the kit.
    run_script(
        HOST,
        f"""
        test -e /etc/letsencrypt/live/serverbench.example.org/key.pem
        rm -r /etc/letsencrypt
        apt-get purge -qq -y {" ".join(kept)} >/dev/null 2>&1
        rm -f /var/cache/apt/archives/*lua*.deb""",
    )
    after = state()
    differences = {
        part: (sorted(before[part] - after[part]), sorted(after[part] - before[part]))
        for part in before
        if before[part] != after[part]
    }
    assert differences == {}


@pytest.mark.lab
def test_a_second_teardown_changes_nothing(deployed, before):
    assert before
    assert run_playbook("teardown.yml", deployed, limit=HOST).changed == {}
