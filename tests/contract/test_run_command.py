"""`serverbench run`, `follow` and `doctor` as processes of their own, before a host is touched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "collect"]
QUIET = {"ANSIBLE_SSH_EXECUTABLE": "/nonexistent"}


def serverbench(*arguments, **environment):
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def inventory(tmp_path):
    """One host that nobody answers for: port 1 of this very machine."""
    (tmp_path / "hosts.yml").write_text(
        "bench: {hosts: {web1: {ansible_host: 127.0.0.1, ansible_port: 1}}}"
    )
    return str(tmp_path)


@pytest.mark.parametrize("command", ["run", "follow"])
def test_without_a_terminal_the_playbook_s_own_lines_are_printed(command, inventory):
    done = serverbench(command, "-i", inventory, "-e", "bench_blocks=x", **QUIET)
    assert done.returncode == 2  # ansible-playbook's own
    assert "[0:00] Check the inventory" in done.stdout
    assert "bench_blocks: got 'x'; accepted: a whole number" in done.stdout
    assert "\x1b" not in done.stdout
    assert "nonexistent" not in done.stdout + done.stderr


def test_host_keys_are_checked_through_ansible_runner_too(inventory):
    switched_off = {**QUIET, "ANSIBLE_HOST_KEY_CHECKING": "False"}
    done = serverbench("run", "-i", inventory, **switched_off)
    assert done.returncode == 2
    assert "its SSH host key would not be checked" in done.stdout


def test_a_host_that_does_not_answer_is_a_line_of_the_doctor_s(inventory):
    done = serverbench("doctor", "-i", inventory)
    assert (done.returncode, done.stderr) == (1, "")
    assert "web1: not fit for a run: 1 fail" in done.stdout
    assert "fail   reachable" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_doctor_names_a_wrong_variable_in_one_line(inventory):
    done = serverbench("doctor", "-i", inventory, "-e", "bench_blocks=x", **QUIET)
    assert done.returncode == 1
    assert done.stderr.startswith("serverbench: bench_blocks: got 'x'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_playbook_and_says_what_to_do(tmp_path, inventory, number):
    """A stand-in for ansible-playbook writes down its process id and waits."""
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 300\n")
    program.chmod(0o755)
    # Beside the interpreter would stand the real one, so the stand-in has one beside it as well.
    (program.parent / "python").symlink_to(sys.executable)
    code = (
        f"import sys; sys.executable = {str(program.parent / 'python')!r}; "
        "from collect.cli import main; sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "-i", inventory],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
                assert time.monotonic() < deadline
                assert watching.poll() is None, watching.stderr.read()
                time.sleep(0.1)
            watching.send_signal(number)
            out, err = watching.communicate(timeout=60)
        finally:
            watching.kill()
    assert (watching.returncode, err) == (130, "")
    first, second = out.splitlines()
    assert "has begun no run" in first
    assert second == "The same command begins again."
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
