"""Second attempts, early stops, and how both survive an interruption."""

import json
from dataclasses import replace

import pytest
from runner_fakes import FakeJudge, World, make_plan, stop_now

from collect.attempts import looks_like_rerun, rerun_id, split_attempt
from collect.model import PairDecision, Stopping, load_decision, load_trial
from collect.runner.judge import HostJudge, next_reason, pairs_to_wait_for
from collect.runner.rounds import pick_reruns, split_rounds
from collect.runner.seams import StopRequested

ALL = ("1 a health", "1 b health", "2 b health", "2 a health", "3 a health", "3 b health")


def world_of(tmp_path, *trials, judge=None, reruns=2, **stopping):
    plan = make_plan(
        *(trials or ALL),
        blocks=3,
        stopping=Stopping(**{"min_blocks": 1, "reruns_per_block": reruns, **stopping}),
    )
    return World(tmp_path, plan, judge or FakeJudge())


def loads(world):
    """Return the trials in the order in which they were saved."""
    return [line.split(": ")[0] for line in world.logged if ": " in line and line[0].isdigit()]


def decision(world):
    return load_decision(world.run_dir / "decision.json")


def progress(world):
    return json.loads(world.progress_path.read_text())


def trial(world, trial_id):
    return load_trial(world.run_dir / "trials" / trial_id / "trial.json")


def test_names_of_attempts():
    assert rerun_id("b01-a-health", 1) == "b01-a-health"
    assert rerun_id("b01-a-health", 2) == "b01-a-health--2"
    assert split_attempt("b01-a-health--2") == ("b01-a-health", 2)
    assert split_attempt("b01-a-health-2") == ("b01-a-health-2", 1)
    assert split_attempt("b01-a-health--1") == ("b01-a-health--1", 1)
    assert looks_like_rerun("a--12")
    assert not looks_like_rerun("a--x")


def test_rounds_end_where_every_block_begun_is_whole():
    plan = make_plan(*ALL)
    assert [[t.block for t in part] for part in split_rounds(plan.trials)] == [
        [1, 1],
        [2, 2],
        [3, 3],
    ]
    sequential = make_plan("1 a health", "2 a health", "1 b health", "2 b health")
    assert [len(part) for part in split_rounds(sequential.trials)] == [4]
    assert split_rounds(()) == []


def test_an_invalid_trial_runs_once_more_at_the_end_of_its_block_from_a_fresh_start(tmp_path):
    world = world_of(tmp_path, judge=FakeJudge({"1-a-health": ["little"]}))
    world.run()
    assert loads(world)[:4] == ["1-a-health", "1-b-health", "1-a-health--2", "2-b-health"]
    starts = [call for call in world.calls if call.startswith("start")]
    assert starts[:3] == ["start a.service", "start b.service", "start a.service"]
    again = trial(world, "1-a-health--2")
    assert (again.attempt, again.block, again.trial_id) == (2, 1, "1-a-health--2")
    assert again.service.ready_s == 0.4
    assert trial(world, "1-a-health").attempt == 1
    assert (progress(world)["done"], progress(world)["total"]) == (7, 7)


def test_no_third_attempt_and_no_more_than_the_budget(tmp_path):
    spoiled = {name: ["little"] for name in ("1-a-health", "1-a-health--2", "1-b-health")}
    world = world_of(tmp_path, judge=FakeJudge(spoiled), reruns=1)
    world.run()
    assert [name for name in loads(world) if "--" in name] == ["1-a-health--2"]
    none = world_of(tmp_path / "none", judge=FakeJudge(spoiled), reruns=0)
    none.run()
    assert [name for name in loads(none) if "--" in name] == []


def test_what_fails_for_the_same_reason_in_two_blocks_on_end_is_no_chance(tmp_path):
    world = world_of(tmp_path)
    world.states = {"a.service": ("failed", "exit-code")}
    world.run()
    # Block 1 tries again, and in vain; blocks 2 and 3 know better.
    assert [name for name in loads(world) if "--" in name] == ["1-a-health--2"]
    assert trial(world, "1-a-health--2").outcome.status == "start_failed"


@pytest.mark.parametrize(
    ("spoiled", "again"),
    [
        ({"1-a-health": ["little"], "2-a-health": ["little"]}, ["1-a-health--2", "2-a-health--2"]),
        (
            {"1-a-health": ["x"], "1-a-health--2": ["x"], "2-a-health": ["x", "y"]},
            ["1-a-health--2"],
        ),
        (
            {"1-a-health": ["x"], "1-a-health--2": ["x"], "2-a-health": ["y"]},
            ["1-a-health--2", "2-a-health--2"],
        ),
        ({"1-b-health": ["x"], "2-a-health": ["x"]}, ["1-b-health--2", "2-a-health--2"]),
    ],
)
def test_reasons_are_compared_with_how_the_block_before_came_out(tmp_path, spoiled, again):
    world = world_of(tmp_path, judge=FakeJudge(spoiled))
    world.run()
    assert [name for name in loads(world) if "--" in name] == again


def test_what_chance_may_have_spoiled_goes_first(tmp_path):
    world = world_of(tmp_path, reruns=1, judge=FakeJudge({"1-b-health": ["little"]}))
    world.states = {"a.service": ("failed", "exit-code")}
    world.run()
    assert next(name for name in loads(world) if "--" in name) == "1-b-health--2"


def test_second_attempts_of_one_variant_share_a_start(tmp_path):
    judge = FakeJudge({"1-a-health": ["x"], "1-a-movie": ["x"]})
    world = world_of(tmp_path, "1 a health", "1 b health", "1 a movie", judge=judge)
    world.run()
    assert loads(world)[-2:] == ["1-a-health--2", "1-a-movie--2"]
    assert [call for call in world.calls if call.startswith("start")][-1] == "start a.service"
    assert world.calls.count("start a.service") == 3


def test_sequential_order_tries_again_at_the_end_with_the_budget_of_all_its_blocks():
    plan = make_plan(
        "1 a health", "2 a health", "1 b health", "2 b health", stopping=Stopping(2, None, None, 1)
    )
    world_trials = {planned.id: trial_of(planned) for planned in plan.trials}
    codes = {planned.id: [planned.id] for planned in plan.trials}
    chosen = pick_reruns(plan, plan.trials, world_trials, lambda t: codes.get(t.trial_id, []))
    assert [planned.id for planned in chosen] == ["1-a-health--2", "2-a-health--2"]


def trial_of(planned):
    class Found:
        trial_id = planned.id

        class outcome:  # noqa: N801 - stands in for a field
            status = "ok"

    return Found


def test_a_run_that_is_decided_ends(tmp_path):
    judge = FakeJudge(decided_after=2)
    world = world_of(tmp_path, judge=judge, gap=0.05)
    world.run()
    assert loads(world) == ["1-a-health", "1-b-health", "2-b-health", "2-a-health"]
    assert (decision(world).reason, decision(world).blocks_done) == ("decided", 2)
    assert decision(world).pairs[0].ratio == 1.5
    shown = progress(world)
    assert (shown["done"], shown["total"], shown["block"], shown["blocks"]) == (4, 4, 2, 3)
    assert "decided after 2 of 3 blocks" in world.logged
    assert judge.asked[0] == (1, ["1-a-health", "1-b-health"])


@pytest.mark.parametrize(
    ("stopping", "blocks", "reason"),
    [
        ({"gap": 0.05, "min_blocks": 2}, 2, "decided"),
        ({"gap": 0.05, "min_blocks": 3}, 3, "decided"),
        ({"gap": None, "min_blocks": 1}, 3, "all_blocks"),
    ],
)
def test_no_earlier_than_the_least_blocks_and_never_without_a_gap(
    tmp_path, stopping, blocks, reason
):
    world = world_of(tmp_path, judge=FakeJudge(decided_after=1), **stopping)
    world.run()
    assert (decision(world).blocks_done, decision(world).reason) == (blocks, reason)


def test_second_attempts_come_before_the_decision(tmp_path):
    judge = FakeJudge({"1-a-health": ["little"]}, decided_after=1)
    world = world_of(tmp_path, judge=judge, gap=0.05)
    world.run()
    # What is invalid is not even shown to it.
    assert judge.asked == [(1, ["1-a-health--2", "1-b-health"])]


def test_no_block_begins_after_the_time_budget(tmp_path):
    world = world_of(tmp_path, gap=0.05, time_budget_s=5.0)
    world.run()
    # Two trials of 3.4 s each: over in the middle of block 1, which is finished all the same.
    assert loads(world) == ["1-a-health", "1-b-health"]
    assert (decision(world).reason, decision(world).blocks_done) == ("time_budget", 1)


def test_the_time_left_heeds_the_budget(tmp_path):
    world = world_of(tmp_path, time_budget_s=8.0)
    seen = []
    world.on_load = lambda _name: seen.append(progress(world)["remaining_s"])
    world.run()
    # 8 s less the 1.4 s so far, and one more block of two trials at most.
    assert seen[0] == pytest.approx(8 - 1.4 + 2 * 5.5, abs=0.2)


def test_time_of_earlier_sessions_counts(tmp_path):
    first = world_of(tmp_path, time_budget_s=5.0)
    first.on_load = lambda _name: stop_now(_name) if len(loads(first)) == 1 else None
    with pytest.raises(StopRequested):
        first.run()
    second = world_of(tmp_path, time_budget_s=5.0)
    second.clock.now = 10_000.0
    second.run()
    assert loads(second) == ["1-b-health"]
    assert decision(second).reason == "time_budget"


@pytest.mark.parametrize("stopping", [{"gap": 0.05}, {"time_budget_s": 1.0}])
def test_a_run_that_ended_early_does_not_go_on(tmp_path, stopping):
    world_of(tmp_path, judge=FakeJudge(decided_after=1), **stopping).run()
    before = (tmp_path / "decision.json").read_bytes()
    again = world_of(tmp_path, judge=FakeJudge(), **stopping)
    again.run()
    assert again.calls == []
    assert (tmp_path / "decision.json").read_bytes() == before
    assert (progress(again)["done"], progress(again)["total"]) == (2, 2)


def test_a_trial_that_went_missing_is_made_up_after_an_early_stop(tmp_path):
    world_of(tmp_path, judge=FakeJudge(decided_after=2), gap=0.05).run()
    (tmp_path / "trials" / "1-a-health" / "trial.json").write_text("{")
    again = world_of(tmp_path, judge=FakeJudge(), gap=0.05)
    again.run()
    assert loads(again) == ["1-a-health"]
    assert (decision(again).reason, decision(again).blocks_done) == ("decided", 2)


def test_a_run_cut_off_between_its_last_trial_and_the_decision_decides_first(tmp_path):
    world_of(tmp_path, judge=FakeJudge(decided_after=2), gap=0.05).run()
    (tmp_path / "decision.json").write_text("{cut")
    again = world_of(tmp_path, judge=FakeJudge(decided_after=2), gap=0.05)
    again.run()
    assert loads(again) == []
    assert decision(again).reason == "decided"
    assert any("made again from the trials" in line for line in again.logged)


def test_a_run_cut_off_in_a_second_attempt_repeats_only_that(tmp_path):
    judge = FakeJudge({"1-a-health": ["x"], "1-b-health": ["x"]})
    first = world_of(tmp_path, judge=judge)
    first.on_load = lambda _name: stop_now(_name) if len(loads(first)) == 3 else None
    with pytest.raises(StopRequested):
        first.run()
    assert loads(first) == ["1-a-health", "1-b-health", "1-a-health--2"]
    second = world_of(tmp_path, judge=judge)
    second.run()
    assert loads(second)[:2] == ["1-b-health--2", "2-b-health"]
    assert (progress(second)["done"], progress(second)["total"]) == (8, 8)


def test_a_decision_of_another_run_says_nothing(tmp_path):
    world_of(tmp_path, judge=FakeJudge(decided_after=1), gap=0.05).run()
    path = tmp_path / "decision.json"
    path.write_text(path.read_text().replace("run-1", "run-2"))
    again = world_of(tmp_path, judge=FakeJudge(), gap=0.05)
    again.run()
    assert decision(again).run_id == "run-1"
    assert decision(again).blocks_done == 3


def test_the_list_of_checksums_is_gone_while_a_run_goes_on(tmp_path):
    world_of(tmp_path, judge=FakeJudge(decided_after=1), gap=0.05).run()
    sums = tmp_path / "SHA256SUMS"
    assert [line.split("  ")[1] for line in sums.read_text().splitlines()] == [
        "decision.json",
        "trials/1-a-health/SHA256SUMS",
        "trials/1-b-health/SHA256SUMS",
    ]
    (tmp_path / "trials" / "1-a-health" / "trial.json").unlink()
    again = world_of(tmp_path, judge=FakeJudge(), gap=0.05)
    again.on_load = stop_now
    with pytest.raises(StopRequested):
        again.run()
    assert not sums.exists()


PAIR = PairDecision("health", "a", "b", 1.5, 1.2, 1.8, "separated", 0)
OPEN = replace(PAIR, state="open")


@pytest.mark.parametrize(
    ("pairs", "blocks", "spent_s", "last", "reason"),
    [
        ([PAIR], 2, 0, False, "decided"),
        ([PAIR], 1, 0, False, "going_on"),
        ([PAIR, OPEN], 5, 0, False, "going_on"),
        ([PAIR, replace(PAIR, state="within_gap")], 5, 0, False, "decided"),
        ([], 5, 0, False, "going_on"),
        ([], 5, 0, True, "all_blocks"),
        ([OPEN], 5, 60, False, "time_budget"),
        ([PAIR], 5, 60, True, "decided"),
    ],
)
def test_why_a_run_ends(pairs, blocks, spent_s, last, reason):
    rule = Stopping(2, 0.05, 60.0)
    assert next_reason(rule, blocks, pairs, spent_s, is_last=last) == reason


def test_a_server_that_never_answers_is_not_waited_for(tmp_path):
    world = world_of(tmp_path, "1 a health")
    world.run()
    usable = [trial(world, "1-a-health")]
    assert pairs_to_wait_for([PAIR, OPEN], usable) == []
    assert pairs_to_wait_for([PAIR], [*usable, replace(usable[0], variant="b")]) == [PAIR]


def test_the_real_judge_judges_and_decides(tmp_path):
    world = world_of(tmp_path)
    log = []
    judge = HostJudge(log.append)
    world.run()
    good = trial(world, "1-a-health")
    dead = replace(good, outcome=replace(good.outcome, status="server_died", reason="gone"))
    assert "server_died" in judge.spoiled(dead)
    figures = []
    for block, noise in ((1, 1.0), (2, 1.01), (3, 0.99)):
        for variant, rps in (("a", 1000.0), ("b", 2000.0)):
            wrk = replace(good.wrk, rps=rps * noise * (1.004 if variant == "a" else 1))
            figures.append(replace(good, block=block, variant=variant, wrk=wrk))
    (pair,) = [
        p for p in judge.pairs(replace(world.plan, blocks=3), figures, 3) if p.endpoint == "health"
    ]
    assert (pair.a, pair.b) == ("a", "b")
    assert pair.ratio == pytest.approx(0.502)
    assert log == []


def test_a_fault_in_the_judging_costs_no_measurement(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("collect.runner.judge.verdict", fail)
    monkeypatch.setattr("collect.runner.judge.decide_run", fail)
    world = world_of(tmp_path, gap=0.05)
    world.judge = HostJudge(world.logged.append)
    world.run()
    assert decision(world).reason == "all_blocks"
    assert any("cannot be judged here (ZeroDivisionError" in line for line in world.logged)
    assert any("cannot be decided here" in line for line in world.logged)


def test_a_block_that_was_measured_in_vain_runs_again_when_the_command_is_given_again(tmp_path):
    away = world_of(tmp_path, *ALL[:4], reruns=1)
    # Gone before block 2: Redis, wrk, whatever all of them need.
    away.on_load = lambda _: away.loads.update(health="gone") if len(loads(away)) == 2 else None
    away.run()
    assert loads(away) == ["1-a-health", "1-b-health", "2-b-health", "2-a-health", "2-b-health--2"]
    assert decision(away).reason == "all_blocks"

    mended = world_of(tmp_path, *ALL[:4], reruns=1)
    mended.run()
    assert loads(mended) == ["2-b-health--3", "2-a-health--2"]
    assert trial(mended, "2-b-health--3").attempt == 3
    assert trial(mended, "2-b-health").outcome.status == "load_failed"
    assert (progress(mended)["done"], progress(mended)["total"]) == (7, 7)
    assert mended.judge.asked[-1] == (
        2, ["1-a-health", "1-b-health", "2-a-health--2", "2-b-health--3"]
    )  # fmt: skip
    assert (decision(mended).reason, decision(mended).blocks_done) == ("all_blocks", 2)

    whole = world_of(tmp_path, *ALL[:4], reruns=1)
    whole.run()
    assert whole.steps() == []


def test_a_block_with_a_figure_is_left_as_it_is(tmp_path):
    first = world_of(tmp_path, judge=FakeJudge({"1-b-health": ["little"]}), reruns=0)
    first.run()
    again = world_of(tmp_path, judge=FakeJudge({"1-b-health": ["little"]}), reruns=0)
    again.run()
    assert again.steps() == []


def test_in_vain_again_is_tried_again_each_time_the_command_is_given(tmp_path):
    for _ in range(3):
        world = world_of(tmp_path, "1 a health", reruns=0)
        world.loads = {"health": "gone"}
        world.run()
    names = {path.name for path in (tmp_path / "trials").glob("1-*")}
    assert names == {"1-a-health", "1-a-health--2", "1-a-health--3"}
