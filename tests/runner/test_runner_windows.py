"""A scheduled run: each session has the blocks of its window, and says what it had to miss."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from runner_fakes import FakeJudge, World, make_plan
from test_runner_main import Host

from collect.model import Load, Stopping, Window, dumps, load_decision
from collect.runner.windows import note_missed, obstacle, open_window, outlook
from collect.verify import verify_run

TRIALS = [f"{block} {name} health" for block in (1, 2, 3, 4) for name in ("a", "b")]
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def windows(begin=BEGIN, length_s=300):
    """Two a day apart, with two blocks each."""
    return tuple(
        Window(
            (begin + timedelta(days=day)).isoformat(),
            (begin + timedelta(days=day, seconds=length_s)).isoformat(),
            day * 2 + 1,
            day * 2 + 2,
        )
        for day in (0, 1)
    )


def scheduled(*trials, begin=BEGIN, length_s=300, **changes):
    return make_plan(
        *(trials or TRIALS),
        blocks=4,
        stopping=Stopping(min_blocks=4),
        windows=windows(begin, length_s),
        **changes,
    )


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, scheduled())


def session(world, number, judge=None):
    """Run the session of a window; return the trials that are there after it."""
    if judge:
        world.judge = judge
    world.window = world.plan.windows[number]
    world.run()
    return sorted(path.name for path in (world.run_dir / "trials").iterdir())


def test_a_session_runs_the_blocks_of_its_window_and_no_others(world):
    assert session(world, 0) == ["1-a-health", "1-b-health", "2-a-health", "2-b-health"]
    decision = load_decision(world.run_dir / "decision.json")
    assert (decision.reason, decision.blocks_done) == ("going_on", 2)


def test_the_last_window_ends_the_run(world):
    session(world, 0)
    assert len(session(world, 1)) == 8
    decision = load_decision(world.run_dir / "decision.json")
    assert (decision.reason, decision.blocks_done) == ("all_blocks", 4)


def test_what_a_window_missed_is_not_made_up_for_in_the_next(world):
    assert session(world, 1) == ["3-a-health", "3-b-health", "4-a-health", "4-b-health"]
    # The decision says how far the run has come; the words, how much of it was measured.
    decision = load_decision(world.run_dir / "decision.json")
    assert (decision.reason, decision.blocks_done) == ("all_blocks", 4)
    assert world.logged[-1] == "2 of 4 blocks done"


def test_what_an_interrupted_window_lacks_is_run_while_it_is_open(world):
    world.on_load = lambda _endpoint: setattr(world.clock, "now", world.clock.now + 30)
    session(world, 0)
    for name in ("2-a-health", "2-b-health"):
        subprocess.run(["rm", "-r", world.run_dir / "trials" / name], check=True)
    assert session(world, 0) == ["1-a-health", "1-b-health", "2-a-health", "2-b-health"]


def test_no_block_begins_once_the_window_has_closed(world):
    world.on_load = lambda _endpoint: setattr(world.clock, "now", world.clock.now + 400)
    assert session(world, 0) == ["1-a-health", "1-b-health"]
    assert any("the window closed at" in line for line in world.logged)


def test_a_scheduled_run_is_never_decided_early(world):
    assert len(session(world, 0, FakeJudge(decided_after=1))) == 4


def test_a_window_missed_after_the_checksums_were_written_is_among_them(world, tmp_path_factory):
    (world.run_dir / "plan.json").write_text(dumps(world.plan))
    session(world, 0)
    for why in ("this host is at work (run other)", "the disk is full"):
        note_missed(world.run_dir, world.plan.windows[1], 0, why)
        pulled = tmp_path_factory.mktemp("pulled")
        shutil.copytree(world.run_dir, pulled / "host")
        assert verify_run(pulled).problems == ()


def test_which_window_is_open():
    plan = scheduled()
    at = BEGIN.timestamp()
    assert open_window(plan, at) == plan.windows[0]
    assert open_window(plan, at - 2) == plan.windows[0]  # A clock that was set meanwhile
    assert open_window(plan, at - 60) is None
    assert open_window(plan, at + 299) == plan.windows[0]
    assert open_window(plan, at + 300) is None
    assert open_window(plan, at + 86400) == plan.windows[1]
    assert "2026-01-02T00:00:00" in outlook(plan, at)
    assert outlook(plan, at + 86400) is None


def test_other_code_than_the_first_window_measured_is_an_obstacle(tmp_path):
    facts = {"release": "abc", "packages": {"django": "5.2"}, "units": {"a.service": "00"}}
    assert obstacle(tmp_path, facts) is None
    (tmp_path / "host.json").write_text(json.dumps(facts))
    assert obstacle(tmp_path, facts) is None
    for name, value in (("release", "def"), ("units", {"a.service": "11"})):
        why = obstacle(tmp_path, {**facts, name: value})
        assert f"({name} differ from host.json): schedule anew" in why


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def write_plan(host, begin, length_s=300):
    load = Load(threads=1, connections=1, duration_s=1, warmup_s=0)
    plan = scheduled("1 a health", "3 a health", begin=begin, port=host.port, load=load)
    plan = replace(plan, windows=windows(begin, length_s))
    (host.run_dir / "plan.json").write_text(dumps(plan))


def test_the_runner_takes_the_window_that_is_open_and_waits_for_the_next(host):
    write_plan(host, datetime.now(timezone.utc))
    runner = host.start()
    _, log = runner.communicate(timeout=20)
    assert runner.returncode == 0, log
    assert [path.name for path in (host.run_dir / "trials").iterdir()] == ["1-a-health"]
    progress = host.progress()
    assert progress["state"] == "waiting"
    assert progress["phase"].startswith("the next window opens at ")


def test_outside_its_windows_the_runner_does_nothing(host):
    write_plan(host, datetime.now(timezone.utc) + timedelta(hours=1))
    runner = host.start()
    _, log = runner.communicate(timeout=20)
    assert runner.returncode == 0, log
    assert "no window is open now; the next window opens at " in log
    assert host.progress()["state"] == "waiting"
    assert not (host.run_dir / "trials").exists()


def test_a_window_that_another_run_takes_is_noted_with_the_reason(host):
    begin = datetime.now(timezone.utc)
    write_plan(host, begin)
    host.lock.write_text('{"holder": "run other", "pid": 77, "since": "2026-01-01"}')
    with host.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        runner = host.start()
        runner.communicate(timeout=10)
    assert runner.returncode == 3
    (line,) = (host.run_dir / "missed.jsonl").read_text().splitlines()
    missed = json.loads(line)
    assert missed["window"] == begin.isoformat()
    assert "run other, pid 77, since 2026-01-01" in missed["why"]


def test_a_window_under_other_code_is_noted_and_the_figures_so_far_stay(host):
    write_plan(host, datetime.now(timezone.utc))
    (host.run_dir / "host.json").write_text('{"release": "another", "packages": null, "units": {}}')
    runner = host.start()
    _, log = runner.communicate(timeout=20)
    assert runner.returncode == 1
    assert "schedule anew" in log
    assert "release" in json.loads((host.run_dir / "missed.jsonl").read_text())["why"]
    assert host.progress()["state"] == "waiting"
