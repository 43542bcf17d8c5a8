from __future__ import annotations

from collect.stats import Summary, summarise


def test_a_summary_leaves_unknown_out():
    assert summarise([None, 2.0, 4.0, float("nan"), 3.0]) == Summary(3.0, 2.0, 4.0, 1 / 3, 3)
    assert summarise([None]) is None
    assert summarise([5]) == Summary(5.0, 5.0, 5.0, None, 1)
