"""inventory/localhost on a machine that runs systemd: the kit and the servers on one host."""

from __future__ import annotations

import json
import subprocess

import pytest
from labkit import BENCH_HOSTS, REPO

HOST = [*BENCH_HOSTS][-1]
HOME = "/root/serverbench"
VARIABLES = {
    "bench_matrix": [{"server": "granian", "interface": "wsgi"}],
    "bench_endpoints": ["health"],
    "bench_blocks": 1,
    "bench_twin": False,
    "bench_run_id": "here",
    "bench_load": {"threads": 1, "connections": 4, "duration_s": 1, "warmup_s": 0, "timeout_s": 5},
}


def on_host(command, **how):
    done = subprocess.run(
        ["ssh", "-F", REPO / ".lab/ssh/config", HOST, command],
        capture_output=True,
        timeout=400,
        check=False,
        **how,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def checkout(deployed):
    """The checkout as it is, on the host, with an environment of its own."""
    assert deployed
    # What git knows and what is new, but nothing that it ignores.
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
    ).stdout
    kept = b"\0".join(name for name in names.split(b"\0") if (REPO / name.decode()).is_file())
    archive = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-"],
        cwd=REPO,
        input=kept,
        capture_output=True,
        check=True,
    ).stdout
    on_host(f"rm -rf {HOME}; mkdir {HOME}; tar --extract --directory={HOME}", input=archive)
    on_host(
        f"cd {HOME} && python3 -m venv .venv && "
        ".venv/bin/pip install -q --disable-pip-version-check -r requirements.txt && "
        ".venv/bin/pip install -q --no-deps --no-build-isolation -e ."
    )
    yield HOME
    on_host(f"rm -rf {HOME}")


@pytest.mark.lab
def test_a_machine_benches_itself(checkout):
    variables = json.dumps(VARIABLES)
    command = f"cd {checkout} && .venv/bin/ansible-playbook bench.yml -i inventory/localhost"
    said = on_host(f"{command} -e '{variables}'")
    assert "granian-wsgi:" in said
    trials = on_host(f"ls {checkout}/results/here/localhost/trials").split()
    assert trials == ["b01-granian-wsgi-health"]
    trial = json.loads(
        on_host(f"cat {checkout}/results/here/localhost/trials/{trials[0]}/trial.json")
    )
    assert trial["outcome"]["status"] == "ok"
    assert trial["wrk"]["requests"] > 0
