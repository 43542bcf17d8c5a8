"""Legs at a fixed rate on the host: their rates, their order, and what they leave alone."""

import json
from dataclasses import replace

import pytest
from runner_fakes import FIGURES, FakeJudge, World, make_plan, rate_figures, stop_now

from collect.errors import DataError
from collect.model import Endpoint, Load, PlannedTrial, Rates, load_trial
from collect.runner.paced import Paced, request_text
from collect.runner.preflight import check_plan
from collect.runner.progress import ProgressFile, describe
from collect.runner.seams import LoadResult, Pace, StopRequested
from collect.runner.targets import Target, target_of

RATES = Rates((0.5,), None, common_is_auto=True, duration_s=2.0, lead_in_s=1.0)


def with_legs(rates, *trials, **changes):
    """Add the legs behind each capacity trial; `s` share, `c` common, `l` limit."""
    planned = []
    for one in make_plan(*trials).trials:
        planned.append(one)
        legs = [("r50", "share", 0.5)] if rates.of_capacity else []
        if rates.common_rps or (rates.common_is_auto and one.block > 1):
            legs.append(("common", "common", None))
        if rates.slo_p99_ms:
            legs.append(("slo", "slo", None))
        planned += [
            PlannedTrial(f"{one.id}-{name}", one.block, 0, one.variant, one.endpoint, leg, share)
            for name, leg, share in legs
        ]
    placed = tuple(replace(one, position=i + 1) for i, one in enumerate(planned))
    return make_plan(trials=placed, rates=rates, **changes)


def found(world, trial_id):
    return load_trial(world.run_dir / "trials" / trial_id / "trial.json")


def paces(world):
    return [call for call in world.calls if call.startswith(("load", "pace", "start ", "warm"))]


def test_a_leg_follows_its_capacity_in_the_same_start_at_a_share_of_it(tmp_path):
    world = World(tmp_path, with_legs(RATES, "1 a health"))
    world.run()
    assert paces(world) == [
        "start a.service",
        "warm up health",
        "load health",
        "pace health at 500 for 2 s",
    ]
    own = found(world, "1-a-health-r50")
    assert (own.leg, own.share, own.wrk) == ("share", 0.5, None)
    assert own.rate == rate_figures(500.0)
    assert own.outcome.status == "ok"
    # Sampled and verified like any other; its load is the leg's own.
    assert own.memory.samples == 2
    assert (own.load.duration_s, own.load.warmup_s) == (3.0, 0.0)
    assert world.calls.count("ask health") == 4
    files = {path.name for path in (tmp_path / "trials/1-a-health-r50").iterdir()}
    assert {"rate.json", "samples.jsonl", "trial.json", "SHA256SUMS"} <= files


def test_the_common_rate_is_half_of_the_slowest_of_the_first_block(tmp_path):
    world = World(
        tmp_path, with_legs(RATES, "1 a health", "1 b health", "2 b health", "2 a health")
    )
    speeds = iter((800.0, 301.3, 100.0, 5000.0))
    world.on_load = lambda _endpoint: setattr(world, "figures", replace(FIGURES, rps=next(speeds)))
    world.run()
    assert found(world, "2-b-health-common").rate.rate_rps == 151
    assert found(world, "2-a-health-common").rate.rate_rps == 151
    # The share is of the median so far: of 301.3 and 100, then of 800 and 5000.
    assert found(world, "2-b-health-r50").rate.rate_rps == 100
    assert found(world, "2-a-health-r50").rate.rate_rps == 1450


def test_the_first_block_is_the_first_that_was_run(tmp_path):
    world = World(tmp_path, plan := with_legs(RATES, "2 a health", "3 a health"))
    world.run()
    trials = [found(world, one.id) for one in plan.trials]
    second, third = (one for one in plan.trials if one.leg == "common")
    assert target_of(plan, third, trials, lambda _trial: ()) == Target(500)
    # A scheduled run whose first window was missed: there is nothing before.
    assert target_of(plan, second, trials, lambda _trial: ()) is None


def test_a_leg_without_a_capacity_is_not_run_and_says_so(tmp_path):
    world = World(tmp_path, with_legs(RATES, "1 a health", "1 a movie"))
    world.loads["health"] = "wrk crashed"
    world.run()
    leg = found(world, "1-a-health-r50")
    assert leg.outcome.status == "no_rate"
    assert leg.outcome.reason == "no valid figure of a on health to take a rate from"
    assert not [call for call in world.calls if call.startswith("pace health")]
    assert found(world, "1-a-movie-r50").outcome.status == "ok"


def test_an_invalid_capacity_gives_no_rate(tmp_path):
    world = World(
        tmp_path,
        with_legs(RATES, "1 a health"),
        FakeJudge({"1-a-health": ["error_status"]}),
    )
    world.run()
    assert found(world, "1-a-health-r50").outcome.status == "no_rate"


def test_a_decision_sees_no_leg(tmp_path):
    world = World(tmp_path, with_legs(RATES, "1 a health", "1 b health"))
    world.run()
    assert world.judge.asked[-1][1] == ["1-a-health", "1-b-health"]


def test_a_spoiled_leg_is_run_again_by_itself(tmp_path):
    judge = FakeJudge({"1-a-health-r50": ["unanswered"]})
    plan = with_legs(RATES, "1 a health", blocks=1)
    plan = replace(plan, stopping=replace(plan.stopping, min_blocks=1, reruns_per_block=1))
    world = World(tmp_path, plan, judge)
    world.run()
    again = found(world, "1-a-health-r50--2")
    assert (again.leg, again.attempt, again.rate.rate_rps) == ("share", 2, 500)
    assert not (tmp_path / "trials/1-a-health--2").exists()


def test_a_run_that_was_cut_off_in_a_leg_goes_on_with_it(tmp_path):
    world = World(tmp_path, with_legs(RATES, "1 a health", "1 a movie"))
    world.on_pace = stop_now
    with pytest.raises(StopRequested):
        world.run()
    assert not (tmp_path / "trials/1-a-health-r50").exists()
    world.on_pace = lambda _endpoint: None
    world.calls.clear()
    world.run()
    assert paces(world)[:2] == ["start a.service", "pace health at 500 for 2 s"]
    assert found(world, "1-a-movie-r50").outcome.status == "ok"


def test_a_search_takes_its_steps_in_one_trial_and_begins_where_the_last_block_ended(tmp_path):
    rates = Rates((), slo_p99_ms=200.0, step_s=2.0, lead_in_s=1.0, steps=6)
    world = World(tmp_path, with_legs(rates, "1 a health", "2 a health"))
    world.carries = 700.0
    world.run()
    steps = [call for call in world.calls if call.startswith("pace")]
    assert steps[0] == "pace health at 600 for 2 s"
    assert len(steps) == 12
    first, second = (found(world, f"{block}-a-health-slo").search for block in (1, 2))
    assert first.end == "between"
    assert first.rate_rps == pytest.approx(700, rel=0.05)
    assert second.steps[0].rate_rps == pytest.approx(first.rate_rps, rel=0.001)
    assert [step.holds for step in first.steps] == [step.rate_rps <= 700 for step in first.steps]
    assert len(list((tmp_path / "trials/1-a-health-slo").glob("rate-*.json"))) == 6


def test_a_search_that_ends_early_was_as_long_as_its_steps(tmp_path):
    rates = Rates((), slo_p99_ms=200.0, step_s=2.0, lead_in_s=1.0, steps=6)
    world = World(tmp_path, with_legs(rates, "1 a health"))
    world.carries = 1e9
    world.run()
    own = found(world, "1-a-health-slo")
    assert own.search.end == "above"
    assert len(own.search.steps) < 6
    assert own.load.duration_s == pytest.approx(3 * len(own.search.steps))


def test_a_generator_that_fails_is_a_load_that_failed(tmp_path):
    rates = Rates((0.5,), slo_p99_ms=200.0)
    world = World(tmp_path, with_legs(rates, "1 a health"))
    world.loads["pace health"] = "the generator ended with status 1: no memory"
    world.run()
    for leg in ("r50", "slo"):
        outcome = found(world, f"1-a-health-{leg}").outcome
        assert (outcome.status, outcome.reason.split(":")[0]) == (
            "load_failed",
            "the generator ended with status 1",
        )


def test_time_left_knows_that_legs_are_short(tmp_path):
    plan = with_legs(RATES, "1 a health", "1 b health", load=Load(1, 2, 30, 5, 2))
    world = World(tmp_path, plan)
    world.run()
    progress = ProgressFile(tmp_path / "progress.json", plan, world.clock)
    progress.begin([], len(plan.trials))
    # 2 x (35 + 2.5) of full load and 2 x (3 + 2.5) of legs.
    assert progress.remaining_s() == pytest.approx(86)
    one = found(world, "1-a-health")
    world.clock.now += 37.5
    progress.finish_trial(one)
    assert progress.remaining_s() == pytest.approx(86 - 37.5)
    world.clock.now += 5.5
    progress.finish_trial(found(world, "1-a-health-r50"))
    assert progress.remaining_s() == pytest.approx(43)


def test_a_leg_is_described_in_words(tmp_path):
    rates = Rates((0.5,), slo_p99_ms=200.0)
    world = World(tmp_path, with_legs(rates, "1 a health"))
    world.run()
    assert describe(found(world, "1-a-health-r50")) == "a health 500 req/s asked: p99 10 ms"
    said = describe(found(world, "1-a-health-slo"))
    assert said.startswith("a health: about ")
    assert said.endswith(" req/s with p99 up to 200 ms")


def test_a_rate_is_taken_from_nothing_that_came_later(tmp_path):
    world = World(tmp_path, plan := with_legs(RATES, "1 a health", "2 a health"))
    world.run()
    trials = [found(world, planned.id) for planned in plan.trials]
    later = [
        replace(one, wrk=replace(FIGURES, rps=9.0)) if one.wrk and one.block == 2 else one
        for one in trials
    ]
    leg = next(one for one in plan.trials if one.id == "1-a-health-r50")
    assert target_of(plan, leg, later, lambda _trial: ()) == Target(500)


def test_the_request_is_what_the_endpoint_asks_for():
    own = Endpoint("x", "/x?a=1", "POST", {"X-A": "b", "Host": "h"}, body="é")
    assert request_text(own, "::1", 9875) == (
        "POST /x?a=1 HTTP/1.1\r\nX-A: b\r\nHost: h\r\nContent-Length: 2\r\n\r\n\xc3\xa9"
    )
    assert request_text(Endpoint("x", "/"), "::1", 9875) == (
        "GET / HTTP/1.1\r\nHost: [::1]:9875\r\n\r\n"
    )


def test_the_real_generator_runs_as_a_process_of_its_own(tmp_path):
    # Nobody listens: each request is an error, and the figures say so.
    paced = Paced("127.0.0.1", 1, Load(timeout_s=1.0))
    done = paced.at(9).run(Endpoint("x", "/"), Pace(50, 0.0, 0.2, 10.0), tmp_path, "rate")
    assert isinstance(done, LoadResult)
    assert done.error is None
    assert done.rate.errors.connect == done.rate.requests == 10
    assert done.rate.over_limit == 10
    assert done.rate.latency_ms.p50 is None
    assert [path.name for path in tmp_path.iterdir()] == ["rate.json"]
    assert "seconds" in json.loads((tmp_path / "rate.json").read_text())


def test_a_generator_that_breaks_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("collect.runner.paced.program.__name__", "collect.runner.nothing")
    done = Paced("127.0.0.1", 9, Load()).run(Endpoint("x", "/"), Pace(50, 0, 1), tmp_path, "rate")
    assert done.error.startswith("the generator ended with status 1: ")
    assert (tmp_path / "rate.txt").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"duration_s": 1e9}, "rates.duration_s: got 1e+09"),
        ({"slo_p99_ms": float("nan")}, "rates.slo_p99_ms: got nan"),
        ({"steps": 0}, "rates.steps: got 0"),
        ({"lead_in_s": -1.0}, "rates.lead_in_s: got -1"),
    ],
)
def test_a_plan_with_rates_out_of_bounds_is_refused(change, named):
    plan = with_legs(replace(RATES, **change), "1 a health")
    with pytest.raises(DataError) as error:
        check_plan(plan)
    assert named in str(error.value)


def test_a_leg_without_rates_in_the_plan_is_refused():
    plan = replace(with_legs(RATES, "1 a health"), rates=None)
    with pytest.raises(DataError, match="the plan has no rates"):
        check_plan(plan)
    check_plan(with_legs(RATES, "1 a health"))
