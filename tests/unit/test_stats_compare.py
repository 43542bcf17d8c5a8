from __future__ import annotations

import itertools
import math
from dataclasses import replace

import factory
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from collect.checks import verdict
from collect.decide import Sequential, decide_run, look_at
from collect.model import Variant
from collect.stats import METRICS, assign_tiers, compare
from collect.stats.bootstrap import resample_blocks
from collect.stats.once import look_once
from collect.stats.unpaired import welch_looks

SPEEDS = {
    "uwsgi-wsgi": 1000.0,
    "gunicorn-wsgi": 1000.0,
    "granian-wsgi": 900.0,
    "uvicorn-asgi": 500.0,
    "daphne-asgi": 300.0,
    "hypercorn-asgi": 200.0,
}


def plan_of(blocks=6, *, twin=False, **changes):
    variants = [
        Variant(name, name, "wsgi", "none", "parity", f"{name}.service", 2) for name in SPEEDS
    ]
    if twin:
        variants.append(replace(variants[0], id="uwsgi-wsgi-twin", twin_of="uwsgi-wsgi"))
    endpoints = factory.ENDPOINTS[:1]
    return factory.plan(variants=variants, endpoints=endpoints, blocks=blocks, **changes)


def judged(plan, *, seed=1, noise=0.02, speeds=None, factor=1.0):
    chance = np.random.default_rng(seed)
    hosts = chance.choice((1.0, 0.6), size=plan.blocks + 1)
    speeds = {**SPEEDS, "uwsgi-wsgi-twin": SPEEDS["uwsgi-wsgi"], **(speeds or {})}
    found = []
    for planned in sorted(plan.trials, key=lambda planned: planned.id):
        rps = speeds[planned.variant] * hosts[planned.block] * math.exp(chance.normal() * noise)
        trial = factory.trial(planned, plan, wrk=factory.wrk(rps, plan.load))
        scaled = replace(trial, wrk=replace(trial.wrk, rps=rps * factor))
        found.append((scaled, verdict(trial)))
    return found


def tiers(ranking):
    return {row.variant: row.tier for row in ranking.rows}


@pytest.mark.parametrize("left_out", [0.02, 0.04, 0.2])
def test_answers_that_wrk_left_out_are_later_than_all_others(left_out):
    # Its p99 looks shorter than the other's, since what took longer than the time-out is gone.
    found = []
    for trial, judgement in judged(plan_of()):
        latency, errors = replace(trial.wrk.latency_ms, p99=5000.0), trial.wrk.errors
        if trial.variant == "granian-wsgi":
            latency = replace(latency, p99=3500.0)
            errors = replace(errors, timeout=round(trial.wrk.requests * left_out))
        wrk = replace(trial.wrk, latency_ms=latency, errors=errors)
        found.append((replace(trial, wrk=wrk), judgement))
    (ranked,) = [r for r in compare(plan_of(), found).rankings if r.metric == "p99_ms"]
    (row,) = [row for row in ranked.rows if row.variant == "granian-wsgi"]
    assert row.tier == max(row.tier for row in ranked.rows) > 1
    assert row.figure.median == 10_000


def test_a_server_near_the_time_out_keeps_its_slow_blocks():
    late = [
        (replace(trial, wrk=replace(trial.wrk, errors=replace(trial.wrk.errors, timeout=count))))
        for (trial, _), count in zip(
            judged(plan_of()), itertools.cycle([0, 700, 1500]), strict=False
        )
    ]
    assert {verdict(trial).status for trial in late} == {"valid", "suspect"}


def test_who_met_only_the_slow_one_is_not_taken_for_the_fastest():
    speeds = {"uwsgi-wsgi": 100.0, "gunicorn-wsgi": 90.0, "uvicorn-asgi": 50.0, "daphne-asgi": 80.0}
    found = []
    for trial, judgement in judged(plan_of(blocks=8), speeds=speeds, noise=0.01):
        fast = trial.variant in ("uwsgi-wsgi", "gunicorn-wsgi") and trial.block <= 4
        slow = trial.variant == "daphne-asgi" and trial.block > 4
        if fast or slow or trial.variant == "uvicorn-asgi":
            found.append((trial, judgement))
    ranking = compare(plan_of(blocks=8), found).ranking("health", "rps")
    order = [row.variant for row in ranking.rows]
    assert order == ["uwsgi-wsgi", "gunicorn-wsgi", "daphne-asgi", "uvicorn-asgi"]
    assert {row.tier for row in ranking.rows[:3]} == {1}


def test_every_metric_is_ranked_the_right_way_round():
    plan = plan_of()
    comparison = compare(plan, judged(plan))
    assert [ranking.metric for ranking in comparison.rankings] == [m.name for m in METRICS]
    rps = comparison.ranking("health", "rps")
    assert {row.variant for row in rps.rows[:2]} == {"uwsgi-wsgi", "gunicorn-wsgi"}
    assert [row.variant for row in rps.rows[2:]] == list(SPEEDS)[2:]
    assert list(tiers(rps).values()) == [1, 1, 2, 3, 4, 5]
    # wrk's latency is connections / rps in these trials, and CPU time is the same for all.
    for name in ("p99_ms", "cpu_s_per_request"):
        assert tiers(comparison.ranking("health", name)) == tiers(rps)
    memory = comparison.ranking("health", "pss_peak_bytes")
    assert memory.rows[0].variant == "gunicorn-wsgi"
    assert memory.rows[-1].variant == "hypercorn-asgi"
    with pytest.raises(KeyError):
        comparison.ranking("movie", "rps")


def test_intervals_and_probabilities():
    plan = plan_of()
    rows = compare(plan, judged(plan, seed=2)).ranking("health", "rps").rows
    assert (rows[0].to_best, rows[0].alone) == (None, None)
    for row in rows[1:]:
        truth = SPEEDS[row.variant] / 1000
        assert row.to_best.low <= truth <= row.to_best.high
        assert row.to_best.low <= row.alone.low <= row.alone.ratio
        assert row.alone.high <= row.to_best.high or row.tier == 1
    assert 0.02 < rows[0].best_probability < 0.98
    assert rows[0].best_probability + rows[1].best_probability == pytest.approx(1, abs=0.01)
    assert rows[1].beats_next_probability > 0.99
    assert rows[-1].best_probability < 0.01
    assert rows[-1].beats_next_probability is None


def test_latency_has_its_own_direction():
    plan = plan_of()
    rows = compare(plan, judged(plan)).ranking("health", "p99_ms").rows
    assert rows[2].to_best.ratio == pytest.approx(1 / 0.9, rel=0.05)
    assert rows[1].beats_next_probability > 0.99
    assert rows[-1].best_probability < 0.01


def test_one_block_has_no_interval_and_says_so():
    plan = plan_of(1)
    ranking = compare(plan, judged(plan)).ranking("health", "rps")
    assert {row.tier for row in ranking.rows} == {None}
    assert {row.to_best for row in ranking.rows} == {None}
    assert [row.variant for row in ranking.rows][-1] == "hypercorn-asgi"
    assert "no interval" in ranking.note


def test_nothing_to_compare():
    plan = plan_of()
    assert compare(plan, []).ranking("health", "rps").rows == ()
    only = [pair for pair in judged(plan) if pair[0].variant == "uwsgi-wsgi"]
    ranking = compare(plan, only).ranking("health", "rps")
    assert [row.tier for row in ranking.rows] == [None]
    assert ranking.note.startswith("Only one variant")


def test_invalid_trials_enter_nothing():
    plan = plan_of()
    found = judged(plan)
    spoiled = list(found)
    for index, (trial, _) in enumerate(found):
        if trial.variant == "hypercorn-asgi" and trial.block <= 3:
            bad = factory.failed(plan, next(p for p in plan.trials if p.id == trial.trial_id))
            bad = replace(bad, wrk=factory.wrk(1e6, plan.load))
            spoiled[index] = (bad, verdict(bad))
            assert spoiled[index][1].status == "invalid"
    rows = compare(plan, spoiled).ranking("health", "rps").rows
    assert rows[-1].variant == "hypercorn-asgi"
    assert rows[-1].figure.count == 3
    assert rows[-1].tier == 5


def test_the_twin_is_no_competitor_and_sets_the_smallest_gap():
    plan = plan_of(twin=True)
    ranking = compare(plan, judged(plan, speeds={"uwsgi-wsgi-twin": 850.0})).ranking(
        "health", "rps"
    )
    assert len(ranking.rows) == 6
    (twin,) = ranking.twins
    assert (twin.twin, twin.original) == ("uwsgi-wsgi-twin", "uwsgi-wsgi")
    assert twin.gap.low < 0.85 < twin.gap.high
    assert ranking.smallest_gap == pytest.approx(1 / twin.gap.ratio - 1)
    # 900 against 1000 is closer than the twin was, so nobody may be ranked by it.
    assert tiers(ranking)["granian-wsgi"] == 1
    assert tiers(ranking)["uvicorn-asgi"] == 2
    assert ranking.closest is not None


def test_a_run_that_could_end_early_pays_for_its_looks():
    fixed = plan_of(6)
    early = plan_of({"min": 3, "max": 6}, decide={"gap": 0.05})
    found = judged(fixed)
    one, many = compare(fixed, found), compare(early, found)
    assert (one.looks, many.looks) == (1, 4)
    assert one.ranking("health", "rps").pairs != many.ranking("health", "rps").pairs
    # What the report says is what the host decided by.
    usable = [trial for trial, _ in found]
    assert many.ranking("health", "rps").pairs == decide_run(early, usable, 6)
    # Cut off before its first look: one look, whatever was planned.
    assert compare(early, [pair for pair in found if pair[0].block < 3]).looks == 1


def test_sequential_order_is_compared_as_by_hand():
    plan = plan_of(order="sequential")
    comparison = compare(plan, judged(plan))
    assert comparison.order == "sequential"
    rows = comparison.ranking("health", "rps").rows
    assert {row.best_probability for row in rows} == {None}
    assert rows[-1].to_best.low < 0.2 < rows[-1].to_best.high


def test_welch_agrees_with_scipy():
    a, b = [100.0, 104.0, 98.0, 103.0, 99.0], [90.0, 70.0, 88.0, 99.0]
    (look,) = welch_looks({"a": a, "b": b}, [("a", "b")])["a", "b"]
    expected = scipy_stats.ttest_ind(np.log(a), np.log(b), equal_var=False)
    assert look.estimate / look.error == pytest.approx(expected.statistic)
    assert look.freedom == math.floor(expected.df)
    assert welch_looks({"a": a, "b": [1.0]}, [("a", "b")]) == {("a", "b"): []}
    (same,) = welch_looks({"a": [1.0] * 3, "b": [1.0] * 3}, [("a", "b")])["a", "b"]
    assert (same.error, same.p_value()) == (0, 1)


def test_the_bootstrap_agrees_with_scipy():
    ratios = [0.05, 0.07, 0.02, 0.06, 0.03, 0.04, 0.055, 0.01, 0.08, 0.045]
    look = look_at({("a", "b"): ratios})["a", "b"]
    mean = float(np.mean(ratios))

    def student(sample, axis):
        error = np.std(sample, axis=axis, ddof=1) / math.sqrt(len(ratios))
        return (np.mean(sample, axis=axis) - mean) / error

    other = scipy_stats.bootstrap(
        (ratios,), student, n_resamples=20000, method="percentile", rng=np.random.default_rng(2)
    ).bootstrap_distribution
    boot = resample_blocks({("a", "b"): look}, {("a", "b"): range(10)}, resamples=20000, seed=1)
    t = (look.estimate - boot.column("a", "b")) / look.error
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert np.quantile(t, level) == pytest.approx(np.quantile(other, level), abs=0.08)
    assert boot.half("a", "b") >= look.interval(0.05)[1] - look.estimate - 1e-12
    assert boot.column("b", "a") == pytest.approx(-boot.column("a", "b"))
    assert boot.probability("a", "c") is None


@settings(max_examples=60)
@given(st.integers(0, 12), st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.5]))
def test_the_one_look_is_the_hosts_to_the_last_bit(blocks, seed, noise):
    chance = np.random.default_rng(seed)
    names = ["a", "b", "c", "d"]
    unknown = [None, 0.0, math.inf, 5.0]
    figures = {
        block: {
            name: chance.choice(unknown) if chance.random() < 0.2 else math.exp(x)
            for name, x in zip(names, chance.normal(size=4) * noise, strict=True)
        }
        for block in range(1, blocks + 1)
    }
    slow = Sequential(names, min_blocks=blocks, max_blocks=blocks, twins={"d": "a"})
    for block in sorted(figures):
        slow.add_block(figures[block])
    looks, held = look_once(figures, names, [*slow.pairs, ("d", "a")])
    assert (looks, held) == (slow.looks, slow.blocks)


def test_what_nobody_asks_for_is_not_resampled():
    plan = plan_of()
    comparison = compare(plan, judged(plan), resampled=("rps",))
    rps, p99 = (comparison.ranking("health", metric).rows[1] for metric in ("rps", "p99_ms"))
    assert rps.alone is not None
    assert (p99.alone, p99.best_probability) == (None, None)
    assert p99.to_best == compare(plan, judged(plan)).ranking("health", "p99_ms").rows[1].to_best


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_single_intervals_cover_what_they_promise(blocks):
    chance = np.random.default_rng(blocks)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    hits = runs = 0
    for _ in range(300):
        logs = dict(zip("abc", chance.normal(size=(3, blocks)) * 0.03, strict=True))
        looks = look_at({(a, b): (logs[a] - logs[b]).tolist() for a, b in pairs})
        boot = resample_blocks(looks, {p: range(blocks) for p in pairs}, resamples=300, seed=1)
        for pair in pairs:
            hits += abs(looks[pair].estimate) <= boot.half(*pair)
            runs += 1
    assert hits / runs >= 0.93


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1)
WINS = st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")))


@given(NAMES, WINS)
def test_a_tie_is_never_a_win_and_tiers_are_transitive(names, wins):
    found = dict(assign_tiers(names, wins))
    assert list(found) == names
    steps = list(found.values())
    assert steps[0] == 1
    assert all(after - before in {0, 1} for before, after in itertools.pairwise(steps))
    for a in names:
        for b in names:
            if found[a] < found[b]:
                assert (a, b) in wins


@given(NAMES, WINS)
def test_no_tier_could_be_cut_further(names, wins):
    found = dict(assign_tiers(names, wins))
    for cut in range(1, len(names)):
        if all((a, b) in wins for a in names[:cut] for b in names[cut:]):
            assert found[names[cut - 1]] < found[names[cut]]


def test_tiers_by_example():
    order = "abc"
    assert assign_tiers(order, {("a", "c")}) == (("a", 1), ("b", 1), ("c", 1))
    assert assign_tiers(order, {("a", "c"), ("b", "c")}) == (("a", 1), ("b", 1), ("c", 2))
    assert assign_tiers(order, {("a", "b"), ("a", "c")}) == (("a", 1), ("b", 2), ("c", 2))
    assert assign_tiers("", set()) == ()


@given(st.floats(1e-3, 1e3), st.integers(0, 5))
def test_scaling_all_figures_changes_no_tier(factor, seed):
    plan = plan_of(4)
    own, scaled = (
        compare(plan, judged(plan, seed=seed, factor=x), measures=METRICS[:1], resamples=0)
        for x in (1.0, factor)
    )
    assert tiers(own.rankings[0]) == tiers(scaled.rankings[0])


@given(st.permutations(list(SPEEDS.values())), st.integers(0, 3))
def test_permuting_the_figures_permutes_the_tiers(speeds, seed):
    plan = plan_of(4)
    by_name = dict(zip(SPEEDS, speeds, strict=True))
    swapped = judged(plan, noise=0.0, seed=seed, speeds=by_name)
    ranking = compare(plan, swapped, measures=METRICS[:1], resamples=0).rankings[0]
    levels = sorted(set(speeds), reverse=True)
    assert tiers(ranking) == {name: levels.index(by_name[name]) + 1 for name in by_name}
