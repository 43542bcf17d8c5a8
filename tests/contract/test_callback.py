"""What a user reads of a task that failed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

PATH = Path(__file__).resolve().parents[2] / "playbooks/plugins/callback/serverbench.py"


@pytest.fixture
def lines():
    return []


@pytest.fixture
def callback(monkeypatch, lines):
    spec = importlib.util.spec_from_file_location("serverbench_callback", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    callback = module.CallbackModule()
    display = SimpleNamespace(verbosity=0, display=lambda text, color=None: lines.append(text))  # noqa: ARG005
    monkeypatch.setattr(callback, "_display", display)
    return callback


@pytest.fixture
def printed(callback, lines):
    def fail(**result):
        task = SimpleNamespace(loop=None, get_name=lambda: "base : Install the packages")
        host = SimpleNamespace(get_name=lambda: "web1")
        callback.v2_runner_on_failed(SimpleNamespace(task=task, host=host, result=result))
        return lines.pop().splitlines()

    return fail


@pytest.mark.parametrize(
    ("for_all", "last"),
    [(True, "not done on web1, web2"), (False, "done on web2, but not on web1")],
)
def test_what_one_hosts_failure_ends_for_all_is_done_on_none(
    callback, lines, printed, for_all, last
):
    callback.v2_playbook_on_play_start(
        SimpleNamespace(any_errors_fatal=for_all, get_name=lambda: "Check the inventory")
    )
    printed(msg="proxy_port: got 0")
    hosts = {"web1": 1, "web2": 1}
    callback.v2_playbook_on_stats(
        SimpleNamespace(failures={"web1": 1}, dark={}, changed={}, processed=hosts)
    )
    said = lines[-1].splitlines()
    assert said[0].endswith(f"] {last}")
    assert ("--limit web1" in said[-1]) is not for_all


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("E: Failed to fetch http://deb.debian.org/t.deb  Could not resolve", "apt_mirror"),
        ("WARNING: Max retries exceeded with url: /simple/django/", "pip_index_url"),
    ],
)
def test_an_archive_that_is_not_reached_comes_with_what_to_do(printed, words, place):
    first, *_, one, two = printed(
        msg="apt-get failed", stderr=f"{words}\nE: maybe run apt-get update?"
    )
    assert first == "FAILED web1, base : Install the packages: apt-get failed"
    assert "Mend the host's network, or name another" in one
    assert place in one
    assert two.strip() == "the same command goes on from there."


def test_any_other_failure_is_told_as_it_is(printed):
    assert printed(msg="no such group") == [
        "FAILED web1, base : Install the packages: no such group"
    ]
