"""What a user meets first: the commands of the README, before any host is touched."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def playbook(*arguments):
    return subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", *arguments],
        cwd=ROOT,
        # Whoever tries to reach a host would have to find ssh first.
        env=os.environ | {"ANSIBLE_SSH_EXECUTABLE": "/nonexistent", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def failures(run):
    return [line for line in run.stdout.splitlines() if line.startswith("FAILED")]


def test_an_example_host_that_is_not_filled_in_is_one_clear_line():
    run = playbook("bench.yml", "-i", "inventory/tencent")
    assert run.returncode != 0
    (line,) = failures(run)
    assert "inventory/tencent/hosts.yml" in line
    assert "REPLACE-WITH-ADDRESS" in line
    assert "nonexistent" not in run.stdout + run.stderr


def test_a_wrong_variable_is_refused_before_a_host_is_touched():
    run = playbook(
        "bench.yml",
        "-i",
        "inventory/tencent",
        "-e",
        "ansible_host=127.0.0.1",
        "-e",
        "bench_blocks=x",
    )
    assert run.returncode != 0
    (line,) = failures(run)
    assert "bench_blocks: got 'x'; accepted: a whole number" in line
    assert "nonexistent" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("app_source=/no/such/project", "app_source: /no/such/project: no such folder"),
        ("app_requirements=none.txt", "app_requirements: got 'none.txt', which is no file in"),
        ('{"app_environment": {"A B": "canary"}}', "app_environment: got the name 'A B'; accepted"),
    ],
)
def test_a_wrong_project_is_refused_before_a_host_is_touched(variables, message):
    run = playbook(
        "bench.yml", "-i", "inventory/tencent", "-e", "ansible_host=127.0.0.1", "-e", variables
    )
    assert run.returncode != 0
    (line,) = failures(run)
    assert message in line
    assert "canary" not in run.stdout + run.stderr
    assert "nonexistent" not in run.stdout + run.stderr


def test_root_playbooks_are_two_lines():
    for path in ROOT.glob("*.yml"):
        if not path.name.startswith("."):
            lines = [line for line in path.read_text().splitlines() if line != "---"]
            assert len(lines) == 2, path
            assert "ansible.builtin.import_playbook: playbooks/" in lines[1]
