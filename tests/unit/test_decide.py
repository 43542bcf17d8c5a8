from __future__ import annotations

import math
import random
import statistics

import factory
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from collect.decide import (
    ALPHA,
    Look,
    Sequential,
    decide,
    decide_pairs,
    decide_run,
    figures_of,
    look_at,
)
from collect.decide.look import CLIP, LONE_BLOCKS
from collect.decide.spending import crossing_probability, look_share
from collect.decide.student import t_quantile, t_two_sided
from collect.model import Variant

VARIANTS = [
    Variant(name, name, "wsgi", "none", "parity", f"{name}.service", 2) for name in factory.FIGURES
]


def blocks(*rows):
    """Return the figures of one endpoint: a row a block, variants named a, b, c, ..."""
    return {
        "health": {
            number: dict(zip("abcdef", row, strict=False)) for number, row in enumerate(rows, 1)
        }
    }


def noisy(speeds, count, seed=1, noise=0.02):
    chance = random.Random(seed)  # noqa: S311 - not a secret
    return blocks(
        *(
            [speed * host * math.exp(chance.gauss(0, noise)) for speed in speeds]
            for host in (chance.choice((1.0, 0.6)) for _ in range(count))
        )
    )


def judge(figures, *, gap=None, first=3, last=None, twins=None):
    last = last or len(figures["health"])
    return {
        (pair.a, pair.b): pair
        for pair in decide(figures, gap=gap, min_blocks=first, max_blocks=last, twins=twins)
    }


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 13, 30, 101])
def test_t_agrees_with_scipy(freedom):
    for t in (0.1, 1, 2.5, 6, 15):
        expected = 2 * scipy_stats.t.sf(t, freedom)
        assert t_two_sided(t, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-14)
    for level in (0.5, 0.05, 0.01, 1e-4, 1e-6):
        expected = scipy_stats.t.isf(level / 2, freedom)
        assert t_quantile(level, freedom) == pytest.approx(expected, rel=1e-6)


def test_t_agrees_with_the_printed_table():
    # Student's t, two-sided 5 %, as every textbook prints it.
    for freedom, t in ((1, 12.706), (2, 4.303), (5, 2.571), (10, 2.228), (30, 2.042)):
        assert t_quantile(0.05, freedom) == pytest.approx(t, abs=5e-4)


@pytest.mark.parametrize(("looks", "critical"), [(2, 2.178), (3, 2.289), (5, 2.413), (10, 2.555)])
def test_looks_agree_with_pococks_table(looks, critical):
    # Jennison and Turnbull, Group Sequential Methods, 2000, table 2.1: error rate 0.05.
    level = 2 * scipy_stats.norm.sf(critical)
    assert crossing_probability(1, looks, level) == pytest.approx(0.05, abs=2e-4)


def followed_by_gauss(first, last, level):
    """The same probability by another rule, of so many points that their number does not matter."""
    critical = scipy_stats.norm.isf(level / 2)
    at, mass, before = np.zeros(1), np.ones(1), 0
    for blocks in range(first, last + 1):
        reach, variance = critical * math.sqrt(blocks), blocks - before
        points, weights = np.polynomial.legendre.leggauss(int(60 + 4 * reach))
        x = points * reach
        moved = np.exp((x[:, None] - at) ** 2 / (-2 * variance)) @ mass
        mass = moved * weights * reach / math.sqrt(2 * math.pi * variance)
        at, before = x, blocks
    return 1 - mass.sum()


@pytest.mark.parametrize(
    ("first", "last", "pairs"), [(3, 10, 1), (3, 60, 66), (5, 100, 15), (5, 120, 15), (3, 150, 1)]
)
def test_looks_of_long_runs_agree_with_another_rule(first, last, pairs):
    level = ALPHA / pairs / (last - first + 1)
    found = crossing_probability(first, last, level)
    assert found == pytest.approx(followed_by_gauss(first, last, level), rel=2e-3)


def test_shares_of_looks_are_less_than_all_and_more_than_a_plain_division():
    assert look_share(10, 10, 0.01) == 1
    assert 1 / 8 < look_share(3, 10, 1e-4) < look_share(3, 10, 1e-3) < 1


def test_more_looks_cost_more_however_many_blocks_are_planned():
    planned = (10, 40, 120, 400, 999)
    shares = [look_share(5, last, ALPHA / 15 / (last - 4)) for last in planned]
    assert shares == sorted(shares, reverse=True)
    looks = [share * (last - 4) for share, last in zip(shares, planned, strict=True)]
    assert looks == sorted(looks)
    assert looks[0] > 1
    assert looks[-1] < 40


@pytest.mark.parametrize("most", [120, 200, 999])
def test_a_plan_of_many_blocks_tells_nothing_apart_that_is_the_same(most):
    twins = {"f": "e"}
    found = judge(noisy([100] * 6, 5, noise=0.08), gap=0.05, first=5, last=most, twins=twins)
    assert {pair.state for pair in found.values()} == {"open"}
    for pair in found.values():
        assert 0.3 < pair.ratio_low < pair.ratio < pair.ratio_high < 3


@pytest.mark.parametrize("count", [3, 4, 5, 8, 12])
def test_two_servers_that_are_the_same_are_rarely_told_apart(count):
    chance = random.Random(count)  # noqa: S311 - not a secret
    runs = 3000
    draws = ([chance.gauss(0, 0.1) for _ in range(count)] for _ in range(runs))
    wrong = sum(look_at({("a", "b"): draw})["a", "b"].p_value() < ALPHA for draw in draws)
    assert wrong / runs < 0.062


def test_one_pair_without_a_stray_block_is_the_t_test():
    ratios = [0.05, 0.07, 0.02, 0.06, 0.03, 0.04, 0.055]
    look = look_at({("a", "b"): ratios})["a", "b"]
    expected = scipy_stats.ttest_1samp(ratios, 0)
    assert look.freedom == expected.df
    assert look.p_value() == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert look.interval(0.05) == pytest.approx((interval.low, interval.high), rel=1e-6)


def test_a_block_throttled_between_two_trials_hides_nothing():
    ratios = [0.05, 0.07, 0.02, 0.06, 0.03, 0.04, 0.055, 0.045, 0.035, math.log(0.6)]
    look = look_at({("a", "b"): ratios})["a", "b"]
    assert look.estimate == pytest.approx(0.04, abs=0.01)
    assert look.p_value() < 0.01
    assert scipy_stats.ttest_1samp(ratios, 0).pvalue > 0.5


@given(
    st.lists(st.floats(-2, 2), min_size=LONE_BLOCKS, max_size=40),
    st.lists(st.floats(-0.02, 0.02), max_size=40),
)
def test_hubers_centre_is_the_one_of_the_textbook(strays, usual):
    ratios = strays + usual
    middle = statistics.median(ratios)
    scale = 1.4826 * statistics.median(abs(x - middle) for x in ratios)
    scale *= math.sqrt(len(ratios) / (len(ratios) - 1))
    assume(scale > 1e-6)
    # Round by round: the mean of what each is off, none by more than the reach.
    centre = middle
    for _ in range(30):
        centre += statistics.fmean(
            max(-CLIP * scale, min(CLIP * scale, x - centre)) for x in ratios
        )
    assert look_at({("a", "b"): ratios})["a", "b"].estimate == pytest.approx(centre, abs=1e-7)


def test_holm_on_a_published_example():
    # Four p-values: 0.005 <= a/4 and 0.01 <= a/3 are rejected, 0.03 > a/2 ends it.
    values = {("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.03, ("a", "d"): 0.005}
    looks = {
        pair: [Look(t_quantile(p, 10), 1.0, 10, 1.0, (0.0,) * 11)] for pair, p in values.items()
    }
    found = decide_pairs("health", values, looks, gap=None, floor=0.0)
    assert {(p.a, p.b) for p in found if p.state == "separated"} == {("a", "b"), ("a", "d")}
    for pair in found:
        # Both were told apart, one of them by Holm's method only: its interval ends at 1.
        assert (pair.ratio_low >= 1) == (pair.state == "separated")


def test_states():
    figures = noisy([100, 80, 80], 8)
    found = judge(figures, gap=0.1, last=10)
    assert found["a", "b"].state == found["a", "c"].state == "separated"
    assert found["a", "b"].ratio == pytest.approx(1.25, abs=0.05)
    assert found["b", "c"].state == "within_gap"
    assert found["b", "c"].blocks_needed == 0
    found = judge(figures, gap=0.015, last=10)
    assert found["b", "c"].state == "open"
    assert found["b", "c"].blocks_needed > 5
    assert judge(figures, gap=1e-6, last=10)["b", "c"].blocks_needed is None
    assert judge(figures)["b", "c"].state == "open"


def test_too_few_blocks_decide_nothing():
    for count in (0, 1):
        for pair in judge(noisy([100, 50], count), gap=0.1, last=10).values():
            assert (pair.ratio, pair.state, pair.blocks_needed) == (None, "open", None)
    # A stopping rule does not look before its first look.
    assert judge(noisy([100, 50], 4), gap=0.1, first=5, last=10)["a", "b"].ratio is None


def test_needed_blocks_are_about_right():
    def after(count):
        pattern = (0.07, -0.01, 0.05, 0.01)
        rows = [[100 * math.exp(pattern[k % 4]), 100.0] for k in range(count)]
        return judge(blocks(*rows))["a", "b"]

    needed = after(4).blocks_needed
    assert after(4 + needed - 2).state == "open"
    assert after(4 + needed + 2).state == "separated"


def test_no_pair_closer_than_the_twin_is_told_apart():
    rows = [[100.0, 97.0 + k % 2 / 10, 60.0, 104.0 + k % 3 / 10] for k in range(8)]
    assert judge(blocks(*[row[:3] for row in rows]))["a", "b"].state == "separated"
    found = judge(blocks(*rows), twins={"d": "a"})
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found["a", "b"].state == "open"
    assert found["a", "c"].state == "separated"


def test_equal_figures_need_no_noise():
    found = judge(blocks(*[[100, 100, 50]] * 3), gap=0.05)
    assert found["a", "b"].state == "within_gap"
    assert found["a", "c"].state == "separated"


def test_looking_more_often_costs_something_and_deciding_stays_decided():
    figures = noisy([100, 80, 80], 6)["health"]
    seen = set()
    for last in range(1, 7):
        part = {"health": {block: figures[block] for block in range(1, last + 1)}}
        separated = {
            names
            for names, pair in judge(part, gap=0.1, last=10).items()
            if pair.state == "separated"
        }
        assert seen <= separated
        seen = separated
    one, many = judge(noisy([100, 99], 6)), judge(noisy([100, 99], 6), gap=0.1, last=20)
    assert one["a", "b"].ratio_low > many["a", "b"].ratio_low


FIGURE = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(1e-300, 1e300),
    st.floats(90, 110),
    st.integers(-1, 1),
)


@given(st.lists(st.lists(FIGURE, min_size=3, max_size=3), max_size=6))
@example([[None, None, None], [2.4e16, 1e-224, None], [1.3e152, 1e-224, None]])
def test_whatever_the_figures_nothing_breaks(rows):
    for pair in judge(blocks(*rows), gap=0.05, last=6, twins={"c": "a"}).values():
        if pair.ratio is not None:
            assert 0 <= pair.ratio_low <= pair.ratio_high
            assert not math.isnan(pair.ratio_low + pair.ratio_high)


SOUND = st.lists(st.lists(st.floats(50, 200), min_size=4, max_size=4), min_size=2, max_size=8)


@given(SOUND, st.floats(1e-3, 1e3), st.data())
def test_a_faster_host_changes_nothing(rows, factor, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    scaled = [[x * factor for x in row] if index == at else row for index, row in enumerate(rows)]
    for own, other in zip(
        judge(blocks(*rows)).values(), judge(blocks(*scaled)).values(), strict=True
    ):
        assert own.ratio == pytest.approx(other.ratio)
        assert own.ratio_low == pytest.approx(other.ratio_low, rel=1e-4)


@given(SOUND, st.permutations("abcd"))
def test_names_do_not_matter(rows, names):
    figures = blocks(*rows)
    renamed = {
        "health": {
            number: {dict(zip("abcd", names, strict=True))[name]: x for name, x in cells.items()}
            for number, cells in figures["health"].items()
        }
    }
    other = judge(renamed)
    to = dict(zip("abcd", names, strict=True))
    for (a, b), pair in judge(figures).items():
        twin = other[to[a], to[b]]
        assert (twin.state, twin.ratio) == (pair.state, pytest.approx(pair.ratio))


@given(
    st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=8).filter(lambda x: max(x) - min(x) > 1e-3)
)
def test_more_of_the_same_narrows_the_interval(ratios):
    once = look_at({("a", "b"): ratios})["a", "b"]
    twice = look_at({("a", "b"): ratios * 2})["a", "b"]
    assert twice.interval(ALPHA)[1] - twice.estimate < once.interval(ALPHA)[1] - once.estimate


def test_more_blocks_never_widen_the_expected_interval():
    chance = random.Random(1)  # noqa: S311 - not a secret
    widths = dict.fromkeys(range(2, 13), 0.0)
    for _ in range(300):
        ratios = [chance.gauss(0, 0.03) for _ in range(12)]
        for count in widths:
            low, high = look_at({("a", "b"): ratios[:count]})["a", "b"].interval(ALPHA)
            widths[count] += high - low
    means = [widths[count] for count in sorted(widths)]
    assert means == sorted(means, reverse=True)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_figures_that_are_the_same_never_win(seed):
    chance = random.Random(seed)  # noqa: S311 - not a secret
    rows = [[x, x, chance.uniform(50, 200)] for x in (chance.uniform(50, 200) for _ in range(3))]
    assert judge(blocks(*rows), gap=0.01)["a", "b"].state != "separated"


@pytest.mark.parametrize("spread", [(1, 1, 1, 1), (3, 3, 1, 1)])
@pytest.mark.parametrize(("first", "last"), [(3, 3), (3, 10)])
def test_the_promised_error_rate_holds_under_looks_and_unequal_noise(spread, first, last):
    chance, runs, wrong = random.Random(5), 400, 0  # noqa: S311 - not a secret
    for _ in range(runs):
        looks = Sequential("abcd", min_blocks=first, max_blocks=last)
        for _ in range(last):
            looks.add_block(
                {
                    n: math.exp(chance.gauss(0, 0.03 * s))
                    for n, s in zip("abcd", spread, strict=True)
                }
            )
        wrong += any(pair.state == "separated" for pair in looks.decide("health", 0.05))
    # 5 % promised; three standard errors of 400 runs are 3.3 %.
    assert wrong / runs <= 0.083


def test_a_run_is_decided_from_its_trials():
    plan = factory.plan(variants=VARIANTS, blocks={"min": 3, "max": 5}, decide={"gap": 0.05})
    trials = factory.healthy_trials(plan)
    found = decide_run(plan, trials, 4)
    assert len(found) == 2 * 15
    by_names = {(pair.endpoint, pair.a, pair.b): pair for pair in found}
    assert by_names["health", "uwsgi-wsgi", "gunicorn-wsgi"].state == "separated"
    assert all(pair.ratio is None for pair in decide_run(plan, trials, 2))
    assert all(pair.ratio is None for pair in decide_run(plan, [], 5))


def test_of_two_attempts_the_earlier_usable_one_counts():
    plan = factory.plan(variants=VARIANTS, blocks=1)
    first = factory.trial(plan.trials[0], plan)
    again = factory.trial(plan.trials[0], plan, attempt=2, wrk=factory.wrk(1.0))
    for trials in ([first, again], [again, first]):
        cells = figures_of(plan, trials, [1], lambda trial: trial.wrk.rps)
        assert cells[first.endpoint][1][first.variant] == first.wrk.rps
    assert figures_of(plan, [first], [], lambda trial: trial.wrk.rps)[first.endpoint] == {}
