"""Work beside this process: the same as here, whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import islice

import pytest
import rich_run

from collect import beside as module
from collect.beside import beside, is_worth_it
from collect.errors import DataError
from collect.lang import speaking
from collect.report import build_report, render_html, render_json, render_markdown, render_terminal
from collect.store import load_run

HERE = os.getpid()


def test_parts_come_in_their_order_from_a_process_that_sees_what_is_here():
    seen = [*range(5)]
    parts = beside(lambda: ((one, os.getpid()) for one in seen), apart=True)
    seen.append(99)
    found = [*parts]
    assert [one for one, _ in found] == [0, 1, 2, 3, 4]
    assert HERE not in {pid for _, pid in found}


def test_it_begins_before_anybody_asks(tmp_path):
    def work():
        (tmp_path / "begun").touch()
        yield 1

    parts = beside(work, apart=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [*parts] == [1]


def test_here_it_waits_until_somebody_asks():
    begun = []
    parts = beside(lambda: (begun.append(one) or os.getpid() for one in range(3)), apart=False)
    assert begun == []
    assert [*parts] == [HERE] * 3


def ends_itself():
    for one in range(5):
        if one == 3 and os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        yield one, os.getpid() == HERE


def cannot_be_sent():
    for one in range(5):
        yield one, (lambda: None) if one == 3 and os.getpid() != HERE else os.getpid() == HERE


def ends_within_a_part():
    # More than a pipe holds: it still sends when its end comes.
    if os.getpid() != HERE:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
    for one in range(5):
        yield one, os.getpid() == HERE, bytes(10_000_000)


@pytest.mark.parametrize("work", [ends_itself, cannot_be_sent])
def test_what_the_process_could_not_do_is_done_here(work):
    found = [*beside(work, apart=True)]
    assert found == [(0, False), (1, False), (2, False), (3, True), (4, True)]


def test_a_process_that_ends_while_it_sends():
    parts = beside(ends_within_a_part, apart=True)
    time.sleep(1)
    found = [*parts]
    assert [one for one, _, _ in found] == [0, 1, 2, 3, 4]
    assert found[0][1]


def test_without_a_process_it_is_done_here(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    assert [*beside(lambda: [os.getpid()], apart=True)] == [HERE]


def test_what_is_wrong_is_raised_here_after_what_came_before_it():
    def work():
        yield 1
        raise DataError("trial.json: not JSON")

    parts = beside(work, apart=True)
    assert next(parts) == 1
    with pytest.raises(DataError, match=r"trial\.json: not JSON"):
        next(parts)


def test_the_process_ends_with_whoever_listened():
    def work():
        while True:
            yield os.getpid()

    parts = beside(work, apart=True)
    (pid,) = islice(parts, 1)
    parts.close()
    # Waited for as well: nothing is left of it.
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_is_worth_it_for_many_trials_on_several_cores_without_threads(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    # Those that a test runner brings do not count here.
    with monkeypatch.context() as alone:
        alone.setattr(os, "listdir", lambda _: ["1"])
        assert is_worth_it(100_000)
        assert not is_worth_it(100)
    go_on = threading.Event()
    other = threading.Thread(target=go_on.wait)
    other.start()
    try:
        assert not is_worth_it(100_000)
    finally:
        go_on.set()
        other.join()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert not is_worth_it(100_000)


def test_threads_that_are_none_of_python_count_too():
    # A copy of a process that has drawn a chart hangs when it draws the next.
    script = """
import vl_convert
from collect.beside import can_be_apart

alone = can_be_apart()
vl_convert.vegalite_to_svg({"data": {"values": []}, "mark": "point"})
print(alone, can_be_apart())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str((os.cpu_count() or 1) > 1), "False"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reports_are_the_same_to_the_last_letter(tmp_path, monkeypatch, language):
    folder = rich_run.write(tmp_path)

    def pages():
        with speaking(language):
            report = build_report(load_run(folder))
            renders = (render_terminal, render_markdown, render_html, render_json)
            return [render(report) for render in renders]

    here = pages()
    monkeypatch.setattr(module, "_WORTH_IT", 0)
    # pytest-xdist has threads of its own, and so has what drew a chart in another test.
    monkeypatch.setattr(module, "can_be_apart", lambda: True)
    fork, forks = os.fork, []
    monkeypatch.setattr(os, "fork", lambda: forks.append(1) or fork())
    # What does the rest here.
    monkeypatch.setattr(module, "islice", None)
    assert pages() == here
    assert forks
