"""The highest rate within a limit, on a queue whose answer is known exactly."""

import math
import statistics

import numpy as np
import pytest

from collect.checks import is_missed
from collect.model import RateErrors, RateFigures, RateLatency, SearchFigures, SearchStep
from collect.runner.search import search
from collect.stats.slo import carried

SERVED_RPS = 500.0
LEAD_IN_S, STEP_S, STEPS = 1.0, 4.0, 7


def true_rate(limit_ms):
    """Return where p99 of D/M/1 is the limit, by halving.

    Even arrivals at rate r, service exponential with rate m: the time in the system is exponential
    with rate m (1 - s), where s = exp(-(1 - s) m / r) (Kleinrock, Queueing Systems I, 1975, 6.4).
    """

    def p99_ms(rate):
        s = 0.5
        for _ in range(5000):
            s = math.exp(-(1 - s) * SERVED_RPS / rate)
        return math.log(100) / (SERVED_RPS * (1 - s)) * 1000

    low, high = 0.01 * SERVED_RPS, 0.9999 * SERVED_RPS
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if p99_ms(middle) > limit_ms else (middle, high)
    return low


def take_step(rate, limit_ms, served_rps, chance):
    """Send evenly to one server that takes exponential times (Lindley's recursion)."""
    count, first = math.ceil((LEAD_IN_S + STEP_S) * rate), math.ceil(LEAD_IN_S * rate)
    service = chance.exponential(1 / served_rps, count)
    walk = np.concatenate([[0.0], np.cumsum(service[:-1] - 1 / rate)])
    latency_s = walk - np.minimum.accumulate(walk) + service
    done_s = np.arange(count) / rate + latency_s
    achieved = float(((done_s >= LEAD_IN_S) & (done_s < LEAD_IN_S + STEP_S)).sum()) / STEP_S
    counted = np.sort(latency_s[first:]) * 1000
    p99 = float(counted[math.ceil(0.99 * len(counted)) - 1])
    figures = RateFigures(
        rate, achieved, STEP_S, len(counted), len(counted), 0, 0, 0, 0,
        RateLatency(None, None, None, p99, None, None), RateErrors(0, 0, 0, 0),
        None, None, None, None,
    )  # fmt: skip
    missed = is_missed(figures)
    over = int((counted > limit_ms).sum())
    return SearchStep(
        rate, achieved, p99, len(counted), over, missed, not missed and p99 <= limit_ms
    )


def one_run(limit_ms, seed, blocks=5):
    chance = np.random.default_rng(seed)
    searches = []
    for _ in range(blocks):
        served = SERVED_RPS * math.exp(chance.normal() * 0.03)
        searches.append(
            search(
                lambda rate, served=served: take_step(rate, limit_ms, served, chance),
                limit_p99_ms=limit_ms,
                capacity_rps=served * math.exp(chance.normal() * 0.02),
                start_rps=statistics.median(one.rate_rps for one in searches) if searches else None,
                steps=STEPS,
            )
        )
    return searches


@pytest.mark.parametrize("limit_ms", [20.0, 50.0])
def test_the_interval_holds_the_true_rate_as_often_as_it_says(limit_ms):
    truth = true_rate(limit_ms)
    found = [carried(one_run(limit_ms, seed)) for seed in range(100)]
    covered = sum(one.low_rps <= truth <= one.high_rps for one in found)
    assert covered >= 86
    assert statistics.fmean(one.rate_rps for one in found) == pytest.approx(truth, rel=0.03)
    # It is of use, too: not so wide that anything would lie inside.
    assert statistics.median(one.high_rps / one.low_rps for one in found) < 1.25


def step(rate, over, requests=1000, missed=False):
    return SearchStep(rate, rate, None, requests, over, missed, over <= requests / 100)


def steps(*found):
    return SearchFigures(200.0, 100.0, 5.0, 110.0, found[-1].rate_rps, "between", found)


def test_the_curve_only_rises_and_is_crossed_where_one_in_a_hundred_is_late():
    # 200 was lucky, 100 was not: together 1.5 %.
    one = carried([steps(step(50, 0), step(100, 30), step(200, 0), step(400, 30))])
    assert one.end == "between"
    assert (one.low_rps, one.high_rps, one.blocks) == (None, None, 1)
    left, right = math.log(50), (math.log(100) + math.log(200)) / 2
    assert one.rate_rps == pytest.approx(math.exp(left + (right - left) * 10 / 15))


def test_a_rate_that_was_missed_does_not_hold_whatever_its_latency():
    one = carried([steps(step(50, 0), step(100, 0, missed=True))])
    assert 50 < one.rate_rps < 100


def test_it_says_where_an_end_was_hit():
    above = carried([steps(step(50, 0), step(110, 2)), steps(step(108, 0))])
    assert (above.end, above.rate_rps, above.low_rps) == ("above", pytest.approx(110), None)
    below = carried([steps(step(50, 500), step(5, 200))])
    assert (below.end, below.rate_rps) == ("below", pytest.approx(5))
    assert carried([]) is None


@pytest.mark.parametrize("true", [6.0, 30.0, 60.0, 99.0])
def test_a_search_without_noise_comes_close_in_its_steps(true):
    tried = []

    def try_rate(rate):
        tried.append(rate)
        return step(rate, 0 if rate <= true else 1000)

    found = search(try_rate, limit_p99_ms=200.0, capacity_rps=100.0, start_rps=None, steps=STEPS)
    assert found.end == "between"
    assert len(tried) == STEPS == len(found.steps)
    # The widest stride is halved the fewest times.
    assert found.rate_rps == pytest.approx(true, rel=0.25)


def test_a_search_ends_at_its_bounds():
    easy = search(
        lambda rate: step(rate, 0), limit_p99_ms=1.0, capacity_rps=100.0, start_rps=90.0, steps=7
    )
    assert (easy.end, easy.rate_rps) == ("above", pytest.approx(110.0))
    assert len(easy.steps) == 2
    hard = search(
        lambda rate: step(rate, 500), limit_p99_ms=1.0, capacity_rps=100.0, start_rps=None, steps=7
    )
    assert (hard.end, hard.rate_rps) == ("below", pytest.approx(5.0))
    assert len(hard.steps) < 7
