"""Windows of time: when they open, which blocks they have, what is refused."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import factory
import pytest

from collect.decode import encode
from collect.errors import DataError
from collect.model import dumps, load_plan
from collect.schedule import describe, differences, is_over, plan_schedule

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=timezone.utc)
VARIABLES = {
    "server_catalogue": factory.CATALOGUE,
    "server_profiles": factory.PROFILES,
    "bench_profiles": ["parity"],
    "app_endpoints": factory.ENDPOINTS,
    "bench_blocks": {"min": 5, "max": 10},
    "bench_decide": {"gap": "5%"},
    "schedule_times": ["15:00", "04:00"],
    "schedule_days": 3,
}


def schedule(zone="Asia/Shanghai", now=NOW, **changes):
    return plan_schedule({**VARIABLES, **changes}, host="lab1", cores=2, zone=zone, now=now)


def test_windows_are_at_the_hosts_own_times_and_have_blocks_of_their_own():
    plan = schedule()
    assert [window.starts_at for window in plan.windows] == [
        # It is 18:00 in Shanghai: today's 15:00 is gone.
        "2026-11-23T04:00:00+08:00",
        "2026-11-23T15:00:00+08:00",
        "2026-11-24T04:00:00+08:00",
        "2026-11-24T15:00:00+08:00",
        "2026-11-25T04:00:00+08:00",
        "2026-11-25T15:00:00+08:00",
    ]
    blocks = [(window.first_block, window.last_block) for window in plan.windows]
    assert blocks == [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12)]
    assert plan.blocks == 12
    assert {trial.block for trial in plan.trials} == set(range(1, 13))


def test_nothing_ends_a_scheduled_run_early():
    stopping = schedule(bench_time_budget_s=60).stopping
    assert (stopping.gap, stopping.time_budget_s, stopping.min_blocks) == (None, None, 12)


def test_a_window_closes_before_the_next_one_opens():
    plan = schedule(schedule_times=["04:00", "04:40", "05:20"], schedule_days=2)
    for one, following in pairwise(plan.windows):
        ends = datetime.fromisoformat(one.ends_at)
        assert datetime.fromisoformat(one.starts_at) < ends
        assert ends < datetime.fromisoformat(following.starts_at)


def test_a_window_that_is_about_to_open_is_left_for_the_next_day():
    close = NOW.replace(hour=6, minute=59, second=30)  # 14:59 in Shanghai
    early = NOW.replace(hour=6, minute=58)
    assert schedule(now=close).windows[0].starts_at.startswith("2026-11-23T04:00")
    assert schedule(now=early).windows[0].starts_at.startswith("2026-11-22T15:00")


def test_summer_time_shifts_the_moment_and_not_the_clock():
    plan = schedule(zone="Europe/Berlin", now=NOW.replace(month=10, day=23))
    starts = [datetime.fromisoformat(window.starts_at) for window in plan.windows]
    assert {start.strftime("%H:%M") for start in starts} == {"04:00", "15:00"}
    offsets = [start.utcoffset() for start in starts]
    assert timedelta(hours=2) in offsets
    assert timedelta(hours=1) in offsets
    assert [start.timestamp() for start in starts] == sorted(s.timestamp() for s in starts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule_times": []}, "schedule_times: got nothing"),
        ({"schedule_times": None}, "schedule_times: got nothing"),
        # What YAML makes of 15:00 without quotes.
        (
            {"schedule_times": [900]},
            "schedule_times: got the number 900; accepted: a list of times",
        ),
        ({"schedule_times": ["25:00"]}, "schedule_times[0]: got '25:00'"),
        ({"schedule_times": ["4:00"]}, "schedule_times[0]: got '4:00'"),
        ({"schedule_times": ["04:00", "04:00"]}, "schedule_times[1]: got '04:00' twice"),
        ({"schedule_times": {"a": 1}}, "schedule_times"),
        ({"schedule_times": ["04:00", "04:05"]}, "04:00 and 04:05 are 5 minutes apart"),
        ({"schedule_days": 0}, "schedule_days: got 0; accepted: a whole number from 1 to 60"),
        ({"schedule_days": "x"}, "schedule_days: got 'x'"),
        ({"schedule_blocks": 0}, "schedule_blocks: got 0"),
        ({"schedule_days": 60, "schedule_blocks": 9}, "are 1080 blocks; accepted: 999"),
        ({"bench_order": "sequential"}, "bench_order: got 'sequential'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes, words):
    with pytest.raises(DataError) as error:
        schedule(**changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_zone_that_is_not_known_here_names_the_host():
    with pytest.raises(DataError, match="lab1: is in time zone 'Mars/Olympus'"):
        schedule(zone="Mars/Olympus")


def test_a_single_time_may_come_as_text():
    assert len(schedule(schedule_times="04:00", schedule_days="2").windows) == 2


def test_the_plan_is_read_back_as_it_was_written(tmp_path):
    (tmp_path / "plan.json").write_text(dumps(schedule()))
    assert load_plan(tmp_path / "plan.json") == schedule()


def test_the_same_schedule_on_another_day_is_the_same_schedule():
    begun, later = (encode(schedule(now=NOW + timedelta(days=days))) for days in (0, 2))
    assert differences(json.loads(json.dumps(begun)), {**later, "run_id": "another"}) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schedule_times": ["15:00", "05:00"]}, ["windows"]),
        ({"schedule_days": 4}, ["blocks", "stopping", "trials", "windows"]),
        ({"bench_load": {"connections": 64}}, ["load"]),
    ],
)
def test_another_schedule_is_told_by_its_parts(changes, named):
    assert differences(encode(schedule()), encode(schedule(**changes))) == named


def test_another_zone_is_another_schedule():
    assert differences(encode(schedule()), encode(schedule(zone="UTC"))) == ["windows"]


def test_a_schedule_is_over_when_its_last_window_has_closed():
    plan = encode(schedule())
    assert not is_over(plan, NOW + timedelta(days=2))
    assert is_over(plan, NOW + timedelta(days=4))


def test_it_says_when_it_runs_and_what_it_takes():
    said = describe(schedule(), "Asia/Shanghai")
    assert "6 windows at 04:00 and 15:00 (Asia/Shanghai)" in said
    assert "from Mon 23 Nov 04:00 to Wed 25 Nov 15:00; each has 2 blocks" in said
    assert "the host's own service is stopped" in said
