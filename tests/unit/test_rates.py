"""Legs at a fixed rate: what may be asked for, where they stand in a plan, what they cost."""

from dataclasses import replace

import factory
import pytest

from collect.cli.plan import _describe
from collect.errors import DataError
from collect.model import Rates
from collect.plan import estimate_disk_bytes, estimate_s
from collect.rates import check_rates
from collect.twin import add_twin

ONE = [{"server": "granian", "interface": "wsgi"}]


def plan(rates, **changes):
    return factory.plan(variants=factory.variants(ONE), rates=rates, **changes)


def ids(one, block=1):
    return [trial.id.removeprefix(f"b{block:02d}-") for trial in one.trials if trial.block == block]


@pytest.mark.parametrize(
    "nothing", [None, "", "null", "None", False, "false", {}, {"common": None}]
)
def test_nothing_asked_for_is_no_leg(nothing):
    assert check_rates(nothing, None, 10) is None
    assert len(plan(None).trials) == 6


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (True, Rates((0.25, 0.5, 0.75), common_is_auto=True)),
        ("yes", Rates((0.25, 0.5, 0.75), common_is_auto=True)),
        ({"of_capacity": ["75%", 0.5, "0.25"], "common": None}, Rates((0.25, 0.5, 0.75))),
        ({"of_capacity": "50 %"}, Rates((0.5,))),
        ({"common": "300"}, Rates(common_rps=300.0)),
        ({"common": "auto"}, Rates(common_is_auto=True)),
    ],
)
def test_what_may_be_asked_for(rates, expected):
    assert check_rates(rates, None, "10") == expected
    assert check_rates(rates, "200", 4) == replace(expected, slo_p99_ms=200.0, duration_s=4.0)


@pytest.mark.parametrize(
    ("rates", "limit", "seconds", "named"),
    [
        ("50%", None, 10, "bench_rates: got '50%'"),
        ({"share": [1]}, None, 10, "bench_rates: unknown share"),
        ({"of_capacity": ["500%"]}, None, 10, r"bench_rates.of_capacity\[0\]: got '500%'"),
        ({"of_capacity": [0.5, 0]}, None, 10, r"bench_rates.of_capacity\[1\]: got 0"),
        ({"of_capacity": [0.5, "50%"]}, None, 10, "each once"),
        ({"of_capacity": [True]}, None, 10, r"of_capacity\[0\]: got True"),
        ({"common": 0}, None, 10, "bench_rates.common: got 0"),
        ({"common": 10**9}, None, 10, "bench_rates.common: got 1000000000"),
        ({"common": float("nan")}, None, 10, "bench_rates.common: got nan"),
        (None, "soon", 10, "bench_slo_p99_ms: got 'soon'"),
        (None, -1, 10, "bench_slo_p99_ms: got -1"),
        (None, None, 0, "bench_rate_duration_s: got 0"),
        (None, None, 1.5, "bench_rate_duration_s: got 1.5"),
        (None, None, 10**6, "bench_rate_duration_s: got 1000000"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_variable(rates, limit, seconds, named):
    with pytest.raises(DataError, match=named) as error:
        check_rates(rates, limit, seconds)
    assert "accepted" in str(error.value)
    assert "\n" not in str(error.value)


def test_legs_follow_the_capacity_they_are_taken_from():
    own = plan(Rates((0.25, 0.5), common_is_auto=True, slo_p99_ms=200.0), blocks=2)
    for block in (1, 2):
        found = ids(own, block)
        # The common rate is known once the first block is whole.
        legs = ["-r25", "-r50", *(["-common"] if block > 1 else []), "-slo"]
        for endpoint in ("health", "movie"):
            first = found.index(f"granian-wsgi-{endpoint}")
            assert found[first + 1 : first + 1 + len(legs)] == [
                f"granian-wsgi-{endpoint}{leg}" for leg in legs
            ]
    assert [trial.position for trial in own.trials] == list(range(1, len(own.trials) + 1))
    assert {(t.leg, t.share) for t in own.trials} == {
        ("capacity", None), ("share", 0.25), ("share", 0.5), ("common", None), ("slo", None)
    }  # fmt: skip


def test_the_order_of_the_capacity_trials_is_the_same_with_legs_and_without():
    bare = factory.plan()
    own = factory.plan(rates=Rates((0.5,)))
    assert [t.id for t in own.trials if t.leg == "capacity"] == [t.id for t in bare.trials]


def test_twins_and_the_ladders_own_rungs_have_no_legs():
    endpoints = [*factory.ENDPOINTS, {"name": "ladder-bare", "path": "/bare", "rung": "bare"}]
    own = factory.plan(
        variants=add_twin(factory.variants(ONE), "granian-wsgi"),
        endpoints=endpoints,
        rates=Rates((0.5,)),
        blocks=1,
    )
    assert sorted(trial.id for trial in own.trials if trial.leg != "capacity") == [
        "b01-granian-wsgi-health-r50",
        "b01-granian-wsgi-movie-r50",
    ]


@pytest.mark.parametrize("changes", [{"order": "sequential"}, {"blocks": 1}])
def test_a_common_rate_that_could_never_be_known_is_refused(changes):
    with pytest.raises(DataError, match=r"bench_rates.common: got 'auto' with"):
        plan(Rates(common_is_auto=True), **changes)
    assert plan(Rates(common_rps=300.0), **changes).trials


def test_an_endpoint_that_is_called_like_a_leg_is_refused():
    endpoints = [{"name": "health", "path": "/"}, {"name": "health-r50", "path": "/x"}]
    with pytest.raises(DataError, match="health-r50"):
        plan(Rates((0.5,)), endpoints=endpoints)


def test_time_and_disk_know_of_the_legs():
    load = {"duration_s": 30, "warmup_s": 5}
    bare = plan(None, blocks=2, load=load)
    rates = Rates((0.25, 0.5), slo_p99_ms=200.0, duration_s=10.0)
    own = plan(rates, blocks=2, load=load)
    more, less = estimate_s(own), estimate_s(bare)
    # 4 cells x (2 x (10 + 1) + 7 x (4 + 1)); a leg follows a full load and has no warm-up.
    assert more.load_s - less.load_s == 4 * (22 + 35)
    assert more.warmup_s == less.warmup_s
    assert more.switching_s - less.switching_s == pytest.approx(12 * 1.5)
    assert estimate_disk_bytes(own) > 2 * estimate_disk_bytes(bare)


def test_the_plan_says_which_rates():
    own = plan(Rates((0.25, 0.5), common_is_auto=True, slo_p99_ms=200.0))
    said = " ".join(_describe(own).split())
    assert "At fixed rates, 10 s each: 25.0 % of its capacity, 50.0 % of its capacity, half" in said
    assert "highest rate with p99 up to 200 ms: 7 steps of 4 s at most" in said
    assert "20.0 req/s for all" in _describe(plan(Rates(common_rps=20.0)))
    assert "rate" not in _describe(plan(None))
