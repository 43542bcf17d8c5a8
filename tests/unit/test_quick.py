"""The quick way into a dataclass says what the long way says, or nothing."""

from __future__ import annotations

import json

import factory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collect.decode import decode, encode
from collect.errors import DataError
from collect.model import Plan, Rates, Trial
from collect.quick import QuickReader

PLAN = factory.plan()
TRIAL = encode(factory.trial(PLAN.trials[0], PLAN))
READERS = {kind: QuickReader(kind) for kind in (Plan, Trial)}


def places(data, path=()):
    """Return the way to each value, and to a key that is not there yet in each mapping."""
    keys = [*data, "new"] if isinstance(data, dict) else []
    if isinstance(data, list):
        keys = [*range(len(data))]
    found = [(*path, key) for key in keys]
    for key in keys:
        if key != "new":
            found += places(data[key], (*path, key))
    return found


def changed(data, path, value):
    copy = json.loads(json.dumps(data))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


def agree(kind, text):
    quick = READERS[kind].read(text.encode("utf-8", "surrogatepass"))
    if quick is None:
        return
    # Their words tell 1 from 1.0 and from True, too.
    assert repr(quick) == repr(decode(kind, json.loads(text), "file"))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**62, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 1e30, 3.0, 0.1, -0.0]),
    st.floats(),
    st.text(st.characters(), max_size=5),
    st.sampled_from(["asgi", "wsgi", "ok", "capacity", "none", "\ud800"]),
    st.just({}),
    st.just([]),
    st.dictionaries(st.text(max_size=3), st.floats(), max_size=2),
    st.lists(st.floats() | st.integers(), max_size=2),
)


@settings(max_examples=400)
@given(st.sampled_from(places(TRIAL)), VALUES, st.booleans())
def test_a_trial_is_read_alike_or_not_at_all(path, value, is_ascii):
    agree(Trial, json.dumps(changed(TRIAL, path, value), ensure_ascii=is_ascii))


@settings(max_examples=200)
@given(st.sampled_from(places(encode(PLAN))), VALUES)
def test_a_plan_is_read_alike_or_not_at_all(path, value):
    agree(Plan, json.dumps(changed(encode(PLAN), path, value)))


def test_what_the_kit_writes_is_read_the_quick_way():
    rates = factory.plan(rates=Rates(of_capacity=(0.5,), slo_p99_ms=100.0))
    trials = [factory.trial(one, rates) for one in rates.trials]
    assert {one.leg for one in trials} > {"capacity"}
    for kind, value in ((Plan, PLAN), (Plan, rates), *((Trial, one) for one in trials)):
        assert READERS[kind].read(json.dumps(encode(value)).encode()) == value


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"NaN", b"[" * 100_000, b"\xef\xbb\xbf{}"]
)
def test_what_is_no_trial_is_not_read(content):
    assert READERS[Trial].read(content) is None


def test_a_key_that_is_missing_or_unknown_is_for_the_long_way():
    for data in ({**TRIAL, "extra": 1}, {k: v for k, v in TRIAL.items() if k != "block"}):
        assert READERS[Trial].read(json.dumps(data).encode()) is None
        with pytest.raises(DataError, match=r"extra|block"):
            decode(Trial, data, "trial.json")
