"""Figures of everybody else on the host, of the trend inside a trial, and of wrong answers."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runner_fakes import RIGHT, WRONG, World, make_plan

from collect.model import load_trial
from collect.runner.figures import trend_ratio
from collect.runner.others import ProcessCpu, scan, spent
from collect.runner.seams import Answer, Sample
from collect.runner.watch import loopback_bytes


def test_growth_by_name_the_most_expensive_first_and_only_what_matters():
    before = {
        (1, 0): ProcessCpu("systemd", 0, 5.0, 9.0),
        (7, 3): ProcessCpu("redis-server", 1, 2.0, 0.0),
        (8, 3): ProcessCpu("cron", 1, 1.0, 0.0),
    }
    after = {
        (1, 0): ProcessCpu("systemd", 0, 5.01, 9.0),
        (7, 3): ProcessCpu("redis-server", 1, 2.25, 0.0),
        (8, 3): ProcessCpu("cron", 1, 1.04, 0.0),
        (9, 50): ProcessCpu("stress", 1, 1.5, 0.0),
        (10, 50): ProcessCpu("stress", 1, 1.0, 0.0),
    }
    assert list(spent(before, after).items()) == [("stress", 2.5), ("redis-server", 0.25)]


def test_an_id_that_is_used_again_is_another_process():
    before = {(9, 50): ProcessCpu("old", 1, 100.0, 0.0)}
    after = {(9, 60): ProcessCpu("new", 1, 0.5, 0.0)}
    assert spent(before, after) == {"new": 0.5}


def test_what_ended_meanwhile_shows_at_its_parent_without_what_it_had_spent_before():
    before = {
        (1, 0): ProcessCpu("systemd", 0, 0.0, 10.0),
        (20, 5): ProcessCpu("sh", 1, 0.0, 0.0),
        (21, 6): ProcessCpu("yes", 20, 30.0, 0.0),
    }
    after = {(1, 0): ProcessCpu("systemd", 0, 0.0, 41.0)}
    assert spent(before, after) == {"systemd (ended)": 1.0}


def test_no_more_than_eight_names():
    after = {(pid, 0): ProcessCpu(f"p{pid}", 1, float(pid), 0.0) for pid in range(1, 12)}
    assert list(spent({}, after)) == [f"p{pid}" for pid in range(11, 3, -1)]


def test_a_real_hog_is_found_by_name_unless_it_is_one_of_us():
    before = scan({os.getpid()})
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)
        name = Path(f"/proc/{hog.pid}/comm").read_text().strip()
        found = spent(before, scan({os.getpid()}))
        assert found[name] > 0.05
        assert spent(before, scan({os.getpid(), hog.pid})).get(name, 0) < found[name]
    finally:
        hog.kill()
        hog.wait()


def test_a_scan_is_cheap():
    begun = time.process_time()
    scan(())
    assert time.process_time() - begun < 0.2


def samples(*points):
    return [Sample(t_s, None, None, None, 0, None, None, None, {}, total) for t_s, total in points]


def steady(rate=1000, count=7, step=0.5):
    return [(i * step, round(i * step * rate)) for i in range(count)]


def test_steady_traffic_has_a_trend_of_one():
    assert trend_ratio(samples(*steady()), 3.0) == 1.0


def test_the_last_third_over_the_first():
    # 1000 bytes a second for two seconds, then 500.
    points = [(t / 2, min(t / 2, 2) * 1000 + max(0, t / 2 - 2) * 500) for t in range(7)]
    assert trend_ratio(samples(*points), 3.0) == pytest.approx(0.5)


def test_what_comes_after_the_load_does_not_count():
    points = [*steady(), (3.5, 3000), (10.0, 3000)]
    assert trend_ratio(samples(*points), 3.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "points",
    [
        steady(count=5),
        steady(count=6, step=0.3),
        [(t, None) for t in range(7)],
        [(t, 5) for t in range(7)],
        [],
    ],
)
def test_no_trend_where_nobody_can_say(points):
    assert trend_ratio(samples(*points), 30.0) is None


def test_a_server_that_falls_silent_has_a_trend_of_nought():
    points = [(t, min(t, 2) * 100) for t in range(7)]
    assert trend_ratio(samples(*points), 6.0) == 0.0


def test_loopback_traffic_is_counted():
    assert loopback_bytes() >= 0


@pytest.mark.parametrize("first", ["health", "movie"])
def test_a_steady_wrong_answer_does_not_cost_the_whole_time_out(tmp_path, first):
    plan = make_plan(f"1 a {first}")
    timing = type(plan.timing)(ready_timeout_s=300.0)
    world = World(tmp_path, make_plan(f"1 a {first}", timing=timing))
    world.answers = {first: WRONG}
    begun = world.clock.now
    world.run()
    assert world.clock.now - begun < 6
    outcome = load_trial(tmp_path / "trials" / f"1-a-{first}" / "trial.json").outcome
    assert outcome.status == "wrong_answer_before"
    assert outcome.reason.endswith("(for 5 s)")


@pytest.mark.parametrize("early", [Answer(503, b"loading"), Answer(502, b"no upstream"), None])
def test_a_server_that_says_not_yet_is_waited_for(tmp_path, early):
    plan = make_plan("1 a health")
    timing = type(plan.timing)(ready_timeout_s=300.0)
    world = World(tmp_path, make_plan("1 a health", timing=timing))
    # Silence costs its time-out (1, 2, 4 s); the others come at once, every 20 ms.
    world.answers = {"health": [early] * (4 if early is None else 900) + [RIGHT]}
    world.run()
    found = load_trial(tmp_path / "trials" / "1-a-health" / "trial.json")
    assert found.outcome.status == "ok"
    assert found.service.ready_s > 10


def test_wrong_answers_with_silence_between_them_are_not_steady(tmp_path):
    plan = make_plan("1 a health")
    timing = type(plan.timing)(ready_timeout_s=300.0)
    world = World(tmp_path, make_plan("1 a health", timing=timing))
    world.answers = {"health": [*([WRONG] * 200), None, *([WRONG] * 200), RIGHT]}
    world.run()
    assert load_trial(tmp_path / "trials" / "1-a-health" / "trial.json").outcome.status == "ok"
