"""What is said of a run that is followed from afar, and what is to be done next."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from collect.decode import encode
from collect.model import Progress

PATH = Path(__file__).resolve().parents[2] / "playbooks/plugins/action/follow_run.py"
UNIT = "serverbench-runner@night-1.service"
AGAIN = "the same command with -e bench_run_id=night-1"


def progress(state="running", message=None, verdicts=None, done=2):
    last = "b01-x wrong answer"
    seen = Progress(3, "night-1", state, done, 2, 1, 1, None, "phase", None, last, message, "now")
    return json.dumps(encode(seen) | {"verdicts": verdicts})


@pytest.fixture
def follow(monkeypatch):
    """The plugin, with what a host answers in place of the host: texts, or failures."""
    spec = importlib.util.spec_from_file_location("follow_run", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown = []
    monkeypatch.setattr(module, "INTERVAL_S", 0.002)
    monkeypatch.setattr(module, "ENDING_INTERVAL_S", 0.001)
    monkeypatch.setattr(module.display, "display", lambda text, color=None: shown.append(text))  # noqa: ARG005
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    arguments = {"unit": UNIT, "progress_file": "/progress.json"}

    def run(*answers):
        parts = ["task", "connection", "play_context", "loader", "templar", "shared_loader_obj"]
        plugin = module.ActionModule(**{part: MagicMock() for part in parts})
        plugin.validate_argument_spec = lambda _: (None, arguments)
        asked = iter(answers)

        def answer(_command):
            said = next(asked)
            if isinstance(said, AnsibleConnectionFailure):
                raise said
            return {"stdout": said, "stderr": ""}

        plugin._low_level_execute_command = answer
        result = plugin.run(task_vars={"inventory_hostname": "web1"})
        assert list(asked) == []
        return result, shown, plugin._connection

    run.intervals = module.INTERVAL_S, module.ENDING_INTERVAL_S
    return run


def test_a_run_that_ends(follow):
    result, shown, _ = follow(f"active\n\n{progress()}", f"inactive\n\n{progress('done')}")
    assert (result.get("failed"), result["msg"]) == (None, "2 trials done")
    assert shown == ["  web1  block 1/1  2/2  b01-x wrong answer", "  web1  2/2 phase"]


def test_it_looks_more_often_once_all_trials_are_done(follow, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    runs = json.loads(progress())
    early = json.dumps(runs | {"done": 1})
    follow(
        *(f"active\n\n{text}" for text in (early, progress(), early)),
        f"inactive\n\n{progress('done')}",
    )
    usual, ending = follow.intervals
    # A block's re-runs come on top, and are load again.
    assert slept == [usual, ending, usual]


def test_a_host_that_answers_slowly_is_asked_less_often(follow, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    # Asked and answered, after the first moment: looks of 1 s, 20 s and none.
    clock = iter([0.0, 0.0, 1.0, 10.0, 30.0, 50.0, 50.0, 60.0, 60.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    early = json.dumps(json.loads(progress()) | {"done": 1})
    follow(*[f"active\n\n{early}"] * 3, f"inactive\n\n{progress('done')}")
    usual, _ = follow.intervals
    assert slept == [10.0, 15.0, usual]


def test_a_lost_connection_is_told_at_once_and_opened_again(follow):
    lost = AnsibleConnectionFailure(
        "Failed to connect to the host via ssh: mux_client: Broken pipe\r\nssh: timed out"
    )
    gone = AnsibleConnectionFailure("Failed to connect to the host via ssh: ssh: timed out")
    end = f"inactive\n\n{progress('done')}"
    result, shown, connection = follow(lost, gone, f"active\n\n{progress()}", gone, end)
    assert "failed" not in result
    silence = [
        "  web1  no answer: ssh: timed out",
        "  web1  no answer: the run goes on, also after a boot; asking again for 10 minutes",
    ]
    # Once for each outage, and in its place between what the run says.
    assert [line for line in shown if "phase" not in line] == [
        *silence, "  web1  block 1/1  2/2  b01-x wrong answer", *silence,
    ]  # fmt: skip
    connection.set_option.assert_called_once_with("reconnection_retries", 0)
    assert connection.reset.call_count == 3


def test_a_host_that_stays_away_is_given_up_after_a_while(follow, monkeypatch):
    clock = iter([0.0, 0.0, 601.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    result, _, _ = follow(AnsibleConnectionFailure("timed out"))
    assert result["failed"]
    assert result["msg"].startswith("web1: no answer for 600 s (timed out)")
    assert AGAIN in result["msg"]


def test_a_runner_that_was_killed(follow):
    result, _, _ = follow(f"failed\n\n{progress()}", "Main process exited, status=9/KILL\r\n")
    assert result["failed"]
    assert result["msg"].startswith("web1: the runner stopped before the run was done")
    assert AGAIN in result["msg"]
    assert f"journalctl -u {UNIT}" in result["msg"]
    assert result["stdout"] == "Main process exited, status=9/KILL"


def test_a_runner_whose_host_goes_away_before_it_can_say_why(follow):
    result, _, _ = follow(f"failed\n\n{progress()}", AnsibleConnectionFailure("timed out"))
    assert result["stdout"] == "the host did not answer: timed out"


def test_a_run_that_cannot_be_run(follow):
    failed = progress("failed", "wrk is missing on this host: apt-get install --reinstall wrk")
    result, _, _ = follow(f"failed\n\n{failed}")
    assert result["failed"]
    assert result["msg"] == (
        "web1: wrk is missing on this host: apt-get install --reinstall wrk. After that, "
        f"{AGAIN} goes on."
    )


def test_a_service_that_does_not_serve_again_is_no_good_end(follow):
    ended = progress("done", "granian ran before and could not be started again")
    result, _, _ = follow(f"inactive\n\n{ended}")
    assert result["failed"]
    assert result["msg"] == (
        "web1: 2 trials done, but granian ran before and could not be started again"
    )


def test_a_run_in_vain(follow):
    result, _, _ = follow(f"inactive\n\n{progress('done', verdicts={'invalid': 2})}")
    assert result["failed"]
    assert "web1: not one of 2 trials can be used; the last: b01-x wrong answer" in result["msg"]
    assert f"after that, {AGAIN} measures them anew" in result["msg"]
