"""The completion scripts, tried in the shell they are for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from collect import cli
from collect.cli.registry import COMMANDS, build_parser


@pytest.fixture
def script(tmp_path, capsys):
    assert cli.main(["completion", "bash"]) == 0
    path = tmp_path / "serverbench.bash"
    path.write_text(capsys.readouterr().out)
    return path


def complete(script, cwd, *words):
    done = subprocess.run(
        [
            "bash",
            "-c",
            (
                'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_serverbench;'
                ' printf "%s\\n" "${COMPREPLY[@]}"'
            ),
            "-",
            str(script),
            "serverbench",
            *words,
        ],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
def test_bash_completes_commands_options_choices_and_runs(script, tmp_path):
    (tmp_path / "results" / "r1").mkdir(parents=True)
    assert complete(script, tmp_path, "") >= {"plan", "run", "follow", "doctor", "list", "show"}
    assert complete(script, tmp_path, "re") == {"report"}
    assert "--inventory" in complete(script, tmp_path, "run", "--")
    assert complete(script, tmp_path, "compare", "r1", "x", "--format", "j") == {"json"}
    assert complete(script, tmp_path, "report", "") >= {"latest", "r1"}
    assert complete(script, tmp_path, "show", "trial", "r") >= {"r1"}


def test_zsh_gets_a_script_of_its_own_with_every_command(capsys):
    assert cli.main(["completion", "zsh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("#compdef serverbench\n")
    for command in COMMANDS:
        assert f'"{name_of(command)}:' in out or f"{name_of(command)})" in out


def name_of(module):
    return "list" if module.__name__.endswith("listing") else module.__name__.rpartition(".")[2]


def test_every_command_has_its_place_in_the_docs():
    page = (Path(__file__).resolve().parents[2] / "docs/command-line.md").read_text()
    anchors = re.findall(r"^## (.+)$", page, re.MULTILINE)
    titles = {word for title in anchors for word in title.split()}
    for command in COMMANDS:
        assert f"`serverbench {name_of(command)}`" in page
        assert name_of(command) in titles


def test_every_command_has_help_with_an_example(capsys):
    for command in COMMANDS:
        name = name_of(command)
        with pytest.raises(SystemExit) as caught:
            build_parser().parse_args([name, "--help"])
        assert caught.value.code == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "Example: " in out
        assert f"serverbench {name}" in out.partition("Example: ")[2]
