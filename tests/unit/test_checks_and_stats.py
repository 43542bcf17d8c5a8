from __future__ import annotations

from dataclasses import replace

import factory
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collect.checks import little_ratio, verdict
from collect.model import Errors, HostFigures, Load
from collect.stats import Rank, Summary, rank, summarise

HEALTHY = factory.trial()


def with_wrk(**changes):
    return replace(HEALTHY, wrk=replace(HEALTHY.wrk, **changes))


def with_latency(factor):
    mean = HEALTHY.wrk.latency_ms.mean * factor
    return with_wrk(latency_ms=replace(HEALTHY.wrk.latency_ms, mean=mean))


def with_service(**changes):
    return replace(HEALTHY, service=replace(HEALTHY.service, **changes))


@pytest.mark.parametrize(
    ("trial", "status", "codes"),
    [
        (HEALTHY, "valid", []),
        (factory.failed(factory.plan(), factory.plan().trials[0]), "invalid", ["start_failed"]),
        (replace(HEALTHY, wrk=None), "invalid", ["no_figures"]),
        (with_wrk(requests=0, rps=0.0), "invalid", ["no_requests"]),
        (with_wrk(errors=Errors(0, 0, 0, 0, 5)), "suspect", ["error_status"]),
        (with_wrk(errors=Errors(0, 0, 0, 0, 10**6)), "invalid", ["error_status"]),
        (with_wrk(errors=Errors(0, 0, 0, 5, 0)), "suspect", ["timeouts"]),
        (with_wrk(errors=Errors(0, 0, 0, 10**6, 0)), "invalid", ["timeouts"]),
        (
            with_wrk(errors=Errors(0, HEALTHY.wrk.requests, 0, 0, 0)),
            "suspect",
            ["closed_connections"],
        ),
        (with_latency(1.2), "valid", []),
        (with_latency(1.4), "suspect", ["little"]),
        (with_latency(3), "invalid", ["little"]),
        (with_latency(0.85), "valid", []),
        (with_latency(0.7), "suspect", ["little"]),
        (with_latency(0.01), "invalid", ["little"]),
        (
            with_wrk(latency_ms=replace(HEALTHY.wrk.latency_ms, mean=None)),
            "suspect",
            ["no_latency"],
        ),
        (with_service(workers_seen=1), "suspect", ["workers"]),
        (with_service(workers_seen=None), "valid", []),
        (with_service(restarts=1), "invalid", ["restarted"]),
        (with_service(oom_kills=2), "invalid", ["out_of_memory"]),
        (
            replace(HEALTHY, host_state=HostFigures(7, 0.0, None, None)),
            "suspect",
            ["listen_overflows"],
        ),
        (
            replace(HEALTHY, memory=replace(HEALTHY.memory, coverage_ratio=0.3)),
            "suspect",
            ["memory_coverage"],
        ),
        (replace(HEALTHY, memory=None, cpu=None, service=None, host_state=None), "valid", []),
    ],
)
def test_verdicts(trial, status, codes):
    found = verdict(trial)
    assert found.status == status
    assert [reason.code for reason in found.reasons] == codes
    for reason in found.reasons:
        assert reason.seen.endswith(".")
        assert reason.remedy.endswith(".")


def test_a_short_trial_of_a_slow_server_is_no_starvation():
    # 200 connections, 1.05 s an answer, 3 s: two answers each, and the third counts nowhere.
    figures = factory.wrk(400 / 3, Load(duration_s=3.0), requests=400)
    figures = replace(figures, latency_ms=replace(figures.latency_ms, mean=1050.0))
    trial = replace(HEALTHY, wrk=figures, load=Load(duration_s=3.0))
    assert little_ratio(200, figures.rps, 1050.0) == pytest.approx(1.43, abs=0.01)
    assert verdict(trial).status == "valid"


def test_a_summary_leaves_unknown_out():
    assert summarise([None, 2.0, 4.0, float("nan"), 3.0]) == Summary(3.0, 2.0, 4.0, 1 / 3, 3)
    assert summarise([None]) is None
    assert summarise([5]) == Summary(5.0, 5.0, 5.0, None, 1)
    assert not summarise([1, 2]).has_spread


def summary(low, high, count=3):
    return Summary((low + high) / 2, low, high, None, count)


def test_ranges_that_touch_share_their_places():
    ranges = [summary(90, 100), summary(70, 80), summary(75, 85), summary(10, 20)]
    assert rank(ranges, largest_first=True) == (Rank(1, 1), Rank(2, 3), Rank(2, 3), Rank(4, 4))
    assert rank(ranges, largest_first=False) == (Rank(4, 4), Rank(2, 3), Rank(2, 3), Rank(1, 1))


def test_too_few_blocks_tell_nothing_apart():
    ranges = [summary(90, 100), summary(10, 20, count=2)]
    assert rank(ranges, largest_first=True) == (Rank(1, 2), None)


RANGES = st.lists(
    st.tuples(st.floats(1, 1e6), st.floats(0, 1e6)).map(lambda p: summary(p[0], p[0] + p[1])),
    min_size=1,
    max_size=8,
)


@given(RANGES, st.booleans())
def test_nobody_is_ranked_before_one_it_cannot_be_told_from(ranges, largest_first):
    ranks = rank(ranges, largest_first=largest_first)
    for own, place in zip(ranges, ranks, strict=True):
        assert 1 <= place.best <= place.worst <= len(ranges)
        for other, its in zip(ranges, ranks, strict=True):
            if own.low <= other.high and other.low <= own.high:
                assert its.worst >= place.best
