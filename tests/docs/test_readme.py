"""Every shell block of the README runs, or is checked as far as it can be without a host."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import factory
import pytest
import yaml
from pages import READMES, ROOT, commands

if TYPE_CHECKING:
    from pathlib import Path

BIN = ROOT / ".venv/bin"
# They read what is on this machine, and are run as they stand.
LOCAL = {"report", "verify", "parse", "compare", "simulate", "list", "show", "completion"}
# They speak to a host: what they are given is held against their help.
REMOTE = {"plan", "run", "follow", "doctor", "pull"}
LINES = sorted({line for path in READMES for line in commands(path)})
CATALOGUE = yaml.safe_load((ROOT / "playbooks/group_vars/all/catalogue.yml").read_text())


def kind_of(line: str) -> str:
    """Name the kind of a command; an empty text for one that nobody has thought of."""
    words = shlex.split(line)
    if words[0] == "serverbench" and len(words) > 1:
        return "local" if words[1] in LOCAL else "remote" if words[1] in REMOTE else ""
    known = {"make": "make", "ansible-playbook": "playbook", "$EDITOR": "file", "source": "file"}
    return known.get(words[0], "")


def of_kind(kind: str) -> list[str]:
    return [line for line in LINES if kind_of(line) == kind]


def shell(line: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-c", line],
        cwd=cwd,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@functools.cache
def syntax_check(*words: str) -> subprocess.CompletedProcess[str]:
    return shell(shlex.join([*words, "--syntax-check"]))


@functools.cache
def known_commands() -> frozenset[str]:
    listed = shell("COLUMNS=200 serverbench --help").stdout
    return frozenset(re.findall(r"^ {4}([a-z]+)(?: |$)", listed, re.MULTILINE))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder that looks like the kit's own, with two runs in it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("ansible.cfg", "tests", "playbooks"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "collect").mkdir()
    for run_id, month in (("20260128-0200", "01"), ("20260228-0200", "02")):
        plan = factory.plan(run_id=run_id, created_at=f"2026-{month}-28T02:00:00+00:00")
        factory.write_host(folder / "results", plan, factory.noisy_trials(plan))
    return folder


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_each_command_is_of_a_known_kind(path):
    lines = commands(path)
    assert len(lines) > 15
    assert [line for line in lines if not kind_of(line)] == []


@pytest.mark.parametrize("line", ["rm -rf /", "serverbench frobnicate", "sudo make bench"])
def test_an_unknown_command_has_no_kind(line):
    assert kind_of(line) == ""


def test_both_readmes_give_the_same_commands():
    english, chinese = (commands(path) for path in READMES)
    assert english == chinese


@pytest.mark.parametrize("line", of_kind("local"))
def test_what_reads_this_machine_runs(line, checkout):
    done = shell(line, checkout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    words = shlex.split(line)
    if "--output" in words:
        assert (checkout / words[words.index("--output") + 1]).stat().st_size
    else:
        assert done.stdout.strip()


@pytest.mark.parametrize("line", of_kind("remote"))
def test_what_speaks_to_a_host_is_what_its_help_says(line):
    _, command, *words = shlex.split(line)
    done = shell(f"COLUMNS=200 serverbench {command} --help")
    assert done.returncode == 0, done.stderr
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(^|[\s,\[]){re.escape(word)}\b", done.stdout), word
    if "-i" in words:
        assert (ROOT / words[words.index("-i") + 1]).is_dir()


@pytest.mark.parametrize("line", of_kind("make"))
def test_each_target_of_make_is_there(line):
    words = shlex.split(line)
    done = shell(shlex.join(["make", "-n", *words[1:]]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    (target,) = [word for word in words[1:] if "=" not in word]
    assert f"make {target}" in shell("make help").stdout or target.startswith("lab-")


@pytest.mark.parametrize("line", of_kind("playbook"))
def test_each_playbook_and_inventory_is_there(line):
    words = shlex.split(line)
    inventory = words[words.index("-i") + 1]
    # Ansible takes an inventory that is not there with no more than a warning.
    assert (ROOT / inventory / "hosts.yml").is_file()
    # Variables change nothing here; whether they exist is for test_pages.py.
    without = [
        word
        for word, before in zip(words, ["", *words], strict=False)
        if "-e" not in (word, before)
    ]
    done = syntax_check(*without)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    if "--tags" in words:
        assert words[words.index("--tags") + 1] in CATALOGUE["server_catalogue"]
    for name, value in (word.split("=", 1) for word in words if re.match(r"\w+=", word)):
        if name == "server":
            assert value in CATALOGUE["server_catalogue"]


@pytest.mark.parametrize("line", of_kind("file"))
def test_each_file_to_edit_is_there(line):
    assert (ROOT / shlex.split(line)[1]).is_file()


def test_every_command_has_its_place_and_no_other_is_promised():
    said = {path: path.read_text("utf-8") for path in [*READMES, *(ROOT / "docs").glob("*.md")]}
    assert {"plan", "report", "verify"} <= known_commands()
    for command in known_commands():
        assert any(f"serverbench {command}" in text for text in said.values()), command
    for path, text in said.items():
        # In code only: a sentence may well begin with the name.
        promised = set(re.findall(r"(?:`|^|\| )serverbench ([a-z]+)", text, re.MULTILINE))
        prose = {"deploys", "report"}
        assert promised - prose <= known_commands(), path.name
