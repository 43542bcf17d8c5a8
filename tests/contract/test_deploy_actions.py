"""What a deployment asks the host's own tool, and when it does not: it may be an older kit's."""

from __future__ import annotations

import importlib.util
import json
import shlex
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from ansible.plugins.action import ActionBase

from collect.activation import Outcome, dump

PLUGINS = Path(__file__).resolve().parents[2] / "playbooks/plugins/action"
TOOL = "/opt/serverbench/runner/serverbench-runner.pyz"
PACKED = "0" * 64


@pytest.fixture
def plugin(monkeypatch):
    """Makes a plugin that is given its arguments as they are."""
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})

    def make(name, arguments, *, check=False):
        spec = importlib.util.spec_from_file_location(name, PLUGINS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        parts = ["task", "connection", "play_context", "loader", "templar", "shared_loader_obj"]
        made = module.ActionModule(**{part: MagicMock() for part in parts})
        made._task.check_mode = check
        made.validate_argument_spec = lambda _: (None, arguments)
        return module, made

    return make


@pytest.fixture
def activate(plugin):
    def run(*, check=False, is_outdated=False):
        sent = []

        def answer(command, in_data):  # noqa: ARG001 - Ansible's signature
            sent.append(shlex.split(command))
            return {"stdout": dump(Outcome(changed=True, what=("x",))), "stderr": "", "rc": 0}

        arguments = {"tool": TOOL, "activation": {}, "archive": "", "is_outdated": is_outdated}
        _, made = plugin("activate_service", arguments, check=check)
        made._low_level_execute_command = answer
        return made.run(task_vars={"inventory_hostname": "web1"}), sent

    return run


@pytest.mark.parametrize("check", [False, True])
def test_the_tool_is_started_by_the_python_whose_packages_it_needs(activate, check):
    result, (command,) = activate(check=check)
    assert command[:3] == ["/usr/bin/python3", "-B", TOOL]
    assert ("--check" in command) is check
    assert result["what"] == ["x"]


def test_a_check_asks_no_tool_that_would_not_understand(activate):
    result, sent = activate(check=True, is_outdated=True)
    assert sent == []
    assert (result["changed"], result["what"]) == (True, [f"{TOOL} changes"])
    assert result["warnings"] == [
        f"web1: {TOOL} changes first; what would change after that, only the new one can tell"
    ]
    assert json.dumps(result)


@pytest.mark.parametrize(
    ("tool", "tags", "check", "is_old"),
    [
        (PACKED, ["granian"], False, False),
        ("1" * 64, ["granian"], False, True),
        ("", ["app"], False, True),
        ("1" * 64, ["all"], True, True),
        (PACKED, ["all"], True, False),
        # It is brought before it is asked.
        ("1" * 64, ["all"], False, False),
    ],
)
def test_a_tool_of_another_kit_is_recognised(plugin, monkeypatch, tool, tags, check, is_old):
    plan = {"variants": [], "address": "127.0.0.1", "port": 9875}
    arguments = {"plan": plan, "requested": None, "release": "r1", "catalogue": {}, "ladder": False}
    module, made = plugin("recognise_deployment", arguments, check=check)
    monkeypatch.setattr(module, "pack_runner", lambda _: {"sha256": PACKED})
    known = {
        "inventory_hostname": "web1",
        "preflight_host": {"name": "Debian", "cores": "2", "tool": tool},
        "ansible_run_tags": tags,
    }
    assert made.run(task_vars=known)["has_old_tool"] is is_old
