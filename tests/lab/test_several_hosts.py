"""Several hosts at once: one that cannot be reached stops nobody, is named, and joins later."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml
from labkit import BENCH_HOSTS, REPO

DOWN, UP = BENCH_HOSTS
VARIABLES = {
    "bench_matrix": [
        {"server": "granian", "interface": "wsgi"},
        {"server": "gunicorn", "interface": "wsgi"},
    ],
    "bench_endpoints": ["health"],
    "bench_blocks": 2,
    "bench_twin": False,
    "bench_run_id": "several",
    "bench_load": {"threads": 1, "connections": 4, "duration_s": 1, "warmup_s": 0, "timeout_s": 5},
}


@pytest.fixture(scope="module")
def wrong_port(deployed):
    """The same hosts, but nobody answers at the first one's port."""
    folder = REPO / ".build/lab-test-down"
    folder.mkdir(parents=True, exist_ok=True)
    group_vars = folder / "group_vars"
    if not group_vars.is_symlink():
        group_vars.symlink_to(REPO / "inventory/lab/group_vars")
    hosts = yaml.safe_load((deployed / "hosts.yml").read_text())
    hosts["bench"]["children"]["lab_hosts"]["hosts"][DOWN]["ansible_port"] = 2
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def bench(inventory, results, *arguments):
    """Run it as a user does: the last lines are the callback's, which ansible-runner replaces."""
    return subprocess.run(
        [
            REPO / ".venv/bin/ansible-playbook",
            "bench.yml",
            "-i",
            inventory,
            "-e",
            json.dumps({**VARIABLES, "bench_results_dir": str(results)}),
            *arguments,
        ],
        cwd=REPO,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.lab
def test_the_rest_is_measured_and_the_missing_host_named_at_the_end(wrong_port, results):
    done = bench(wrong_port, results)
    assert done.returncode == 4, done.stdout
    # The folder of the charts is no host's.
    assert [path.parent.name for path in (results / "several").glob("*/plan.json")] == [UP]
    assert f"## {UP}" in (results / "several/report.md").read_text()
    *_, summary, named, remedy = done.stdout.strip().splitlines()
    assert f"done on {UP}, but not on {DOWN}" in summary
    assert f"{DOWN}: not reached: " in named
    assert "port 2" in named
    assert remedy.endswith(f"--limit {DOWN}")


@pytest.mark.lab
def test_the_missing_host_joins_the_run_later(deployed, results):
    before = sorted((results / "several" / UP).rglob("trial.json"))
    done = bench(deployed, results, "--limit", DOWN)
    assert done.returncode == 0, done.stdout
    assert sorted((results / "several" / UP).rglob("trial.json")) == before
    page = (results / "several/report.md").read_text()
    assert page.index("## All hosts together") < page.index(f"## {DOWN}")
    first, second = sorted((DOWN, UP))
    assert f"| variant | {first} | {second} | holds |" in page
    assert "On health" in done.stdout.strip().splitlines()[-3] + done.stdout
