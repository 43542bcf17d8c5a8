"""The live view: from events of a playbook and looks at the hosts to what is seen."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from collect.cli.driven import Ended, last_words
from collect.cli.view import RunView
from collect.model import Progress, dumps

PROGRESS = Progress(
    schema_version=3,
    run_id="r1",
    state="running",
    done=4,
    total=12,
    block=1,
    blocks=2,
    trial_id="b01-uvicorn-asgi-health",
    phase="load",
    remaining_s=70.0,
    last="gunicorn-wsgi health 1097 req/s",
    message=None,
    updated_at="2026-01-31T02:00:00+00:00",
    verdicts={"valid": 1, "suspect": 3},
)


def event(kind, **data):
    return {"event": kind, "event_data": data}


def start(task, host="web1", **data):
    return event("runner_on_start", task=task, host=host, **data)


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def view(tmp_path, now):
    return RunView(tmp_path, clock=lambda: now[0])


def seen(view, width=80, height=24):
    console = Console(width=width, height=height, no_color=True, markup=False)
    with console.capture() as capture:
        console.print(view.show(width, height))
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


def begin(view, *hosts):
    view.take(event("playbook_on_play_start", name="Run the plan"))
    view.take(event("playbook_on_task_start", task="runner : Run | Follow the run"))
    for host in hosts:
        view.take(start("runner : Run | Follow the run", host, task_action="follow_run"))


def test_before_the_first_trial_the_phase_is_shown(view, now):
    assert "starting Ansible" in seen(view)[0]
    view.take(event("playbook_on_play_start", name="Provision the hosts"))
    view.take(event("playbook_on_task_start", task="base : Install the packages"))
    view.take(start("base : Install the packages"))
    now[0] += 75
    head, host, *_ = seen(view)
    assert head == "1:15  serverbench  Provision the hosts: Install the packages"
    assert host == "web1  Install the packages"


def test_each_host_shows_block_trial_last_figure_time_left_and_verdicts(view, tmp_path):
    begin(view, "web1", "web2")
    (tmp_path / "web1.json").write_text(dumps(PROGRESS))
    lines = seen(view)
    assert lines[1:4] == [
        "web1  block 1/2  trial 4/12  70 s left  1 valid  3 suspect",
        "      now   b01-uvicorn-asgi-health: load",
        "      last  gunicorn-wsgi health 1097 req/s",
    ]
    assert lines[4] == "web2  Follow the run"
    assert lines[-1] == "Ctrl-C leaves: the run itself goes on."


def test_a_low_terminal_shows_a_line_a_host_and_says_how_many_more(view, tmp_path):
    hosts = [f"web{number}" for number in range(1, 10)]
    begin(view, *hosts)
    for host in hosts:
        (tmp_path / f"{host}.json").write_text(dumps(PROGRESS))
    lines = seen(view, height=12)
    assert len(lines) <= 12
    assert "and 1 more" in " ".join(lines)
    assert "now " not in " ".join(lines)


def test_a_runner_of_before_tells_no_verdicts(view, tmp_path):
    begin(view, "web1")
    data = json.loads(dumps(PROGRESS))
    del data["verdicts"]
    (tmp_path / "web1.json").write_text(json.dumps(data))
    assert seen(view)[1] == "web1  block 1/2  trial 4/12  70 s left"


def test_half_a_file_is_the_same_as_none(view, tmp_path):
    begin(view, "web1")
    (tmp_path / "web1.json").write_text(dumps(PROGRESS)[:40])
    assert seen(view)[1] == "web1  Follow the run"


def test_a_host_that_fails_says_so(view):
    begin(view, "web1", "web2", "web3")
    view.take(event("runner_on_unreachable", host="web1", task="x"))
    view.take(event("runner_on_failed", host="web2", task="x"))
    view.take(event("runner_on_failed", host="web3", task="x", ignore_errors=True))
    _, *lines = seen(view)
    assert lines[:3] == ["web1  not reached", "web2  failed", "web3  Follow the run"]


def test_the_run_s_id_comes_from_the_task_that_names_it(view, tmp_path):
    named = {"ansible_facts": {"__bench_run_id": "r1"}}
    view.take(event("runner_on_ok", task="Name the run", host="web1", res=named))
    assert view.run_id == "r1"
    follower = RunView(tmp_path, "Choose the run")
    follower.take(event("runner_on_ok", task="Name the run", host="web1", res=named))
    assert follower.run_id == ""


def test_only_the_follow_step_means_that_a_run_is_under_way(view):
    view.take(start("base : Install the packages", task_action="ansible.builtin.apt"))
    assert not view.is_started
    view.take(start("runner : Run | Follow the run", task_action="follow_run"))
    assert view.is_started


def test_the_last_words_say_how_to_follow_again():
    words = last_words(Ended(130, "r1", is_started=True, is_interrupted=True), "my inv", "web1")
    first, second = words.splitlines()
    assert "Run r1 goes on" in first
    assert second.endswith("serverbench follow r1 -i 'my inv' --limit web1")


def test_the_last_words_before_a_run_promise_nothing():
    words = last_words(Ended(130, "r1", is_started=False, is_interrupted=True), "inv", None)
    assert len(words.splitlines()) == 2
    assert "has begun no run" in words
    assert "follow" not in words


def test_a_host_s_words_do_not_reach_the_terminal_as_they_are(view, tmp_path):
    begin(view, "web1")
    evil = json.loads(dumps(PROGRESS)) | {"last": "\x1b[2J[red]x[/red]"}
    (tmp_path / "web1.json").write_text(json.dumps(evil))
    text = "\n".join(seen(view))
    assert "[2J[red]x[/red]" in text
    assert "\x1b[2J" not in text
