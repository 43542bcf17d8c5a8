"""What a user meets first: the commands of the README, before any host is touched."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def playbook(*arguments, **environment):
    return subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", *arguments],
        cwd=ROOT,
        # Whoever tries to reach a host would have to find ssh first.
        env=os.environ
        | {"ANSIBLE_SSH_EXECUTABLE": "/nonexistent", "ANSIBLE_NOCOLOR": "1"}
        | environment,
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
    ("name", "given", "words"),
    [
        ("deploy.yml", "server=granain", "server: got 'granain'; accepted: uwsgi, gunicorn"),
        ("deploy.yml", "profile=tuned", "profile: got 'tuned' without a server"),
        ("bench.yml", "server=granian", "server: got 'granian'; accepted by deploy.yml alone"),
        ("bench.yml", "app_release=abc", "app_release: got 'abc'; accepted by deploy.yml alone"),
    ],
)
def test_a_service_that_cannot_be_is_refused_before_a_host_is_touched(name, given, words):
    run = playbook(name, "-i", "inventory/tencent", "-e", "ansible_host=127.0.0.1", "-e", given)
    assert run.returncode != 0
    (line,) = failures(run)
    assert words in line
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


def test_the_entry_point_of_a_service_outside_the_matrix_is_looked_for_too():
    asked_for = {
        "ansible_host": "127.0.0.1",
        "bench_matrix": [{"server": "granian", "interface": "wsgi"}],
        "server": "daphne",
        "app_asgi": "missing.asgi:application",
    }
    run = playbook("deploy.yml", "-i", "inventory/tencent", "-e", json.dumps(asked_for))
    assert run.returncode != 0
    (line,) = failures(run)
    assert "app_asgi: got the module 'missing.asgi'" in line


def test_root_playbooks_are_two_lines():
    for path in ROOT.glob("*.yml"):
        if not path.name.startswith("."):
            lines = [line for line in path.read_text().splitlines() if line != "---"]
            assert len(lines) == 2, path
            assert "ansible.builtin.import_playbook: playbooks/" in lines[1]


@pytest.mark.parametrize(
    ("environment", "variables", "place"),
    [
        ({"ANSIBLE_HOST_KEY_CHECKING": "False"}, {}, "env: ANSIBLE_HOST_KEY_CHECKING"),
        ({"ANSIBLE_SSH_HOST_KEY_CHECKING": "no"}, {}, "env: ANSIBLE_SSH_HOST_KEY_CHECKING"),
        ({}, {"ansible_host_key_checking": False}, "var: ansible_host_key_checking"),
        ({}, {"ansible_ssh_host_key_checking": False}, "var: ansible_ssh_host_key_checking"),
        ({}, {"ansible_ssh_common_args": "-o StrictHostKeyChecking=no"}, "var: ansible_ssh_common"),
        (
            {},
            {"ansible_ssh_extra_args": "-oUserKnownHostsFile=/dev/null"},
            "var: ansible_ssh_extra",
        ),
        ({}, {"ansible_ssh_args": "-o UserKnownHostsFile=none"}, "var: ansible_ssh_args"),
        (
            {},
            {"ansible_sftp_extra_args": "-o 'StrictHostKeyChecking no'"},
            "var: ansible_sftp_extra",
        ),
        ({"ANSIBLE_SSH_ARGS": "-o stricthostkeychecking=off"}, {}, "env: ANSIBLE_SSH_ARGS"),
    ],
)
def test_a_host_key_that_is_not_checked_refuses(environment, variables, place):
    known = {"ansible_host": "127.0.0.1", **variables}
    run = playbook("pull.yml", "-i", "inventory/tencent", "-e", json.dumps(known), **environment)
    assert run.returncode != 0
    (line,) = failures(run)
    assert "its SSH host key would not be checked" in line
    assert place in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("StrictHostKeyChecking", "no"),
        ("UserKnownHostsFile", "/dev/null"),
        ("UserKnownHostsFile", "/dev/null /dev/null"),
        ("UserKnownHostsFile", "none"),
    ],
)
def test_ssh_s_own_configuration_counts_too(tmp_path, option, value):
    config = tmp_path / "config"
    config.write_text(f"Host *\n  {option} {value}\n")
    known = {"ansible_host": "127.0.0.1", "ansible_ssh_common_args": f"-F {config}"}
    run = playbook(
        "pull.yml", "-i", "inventory/tencent", "-e", json.dumps(known), ANSIBLE_SSH_EXECUTABLE="ssh"
    )
    (line,) = failures(run)
    assert f"{option} is off in ssh's own configuration" in line


def test_every_playbook_checks_the_inventory_first():
    """Whatever talks to a host looks first whether it may."""
    for path in ROOT.glob("*.yml"):
        if path.name.startswith(".") or path.name == "lab.yml":
            continue
        assert first_import(path) == "check_inventory.yml", path


def first_import(path):
    play = yaml.safe_load(path.read_text())[0]
    name = play.get("ansible.builtin.import_playbook")
    if name is None or Path(name).name == "check_inventory.yml":
        return name and Path(name).name
    return first_import(path.parent / name)
