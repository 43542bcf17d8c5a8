from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collect.stats import Rank, Summary, rank, summarise


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
