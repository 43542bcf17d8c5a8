from __future__ import annotations

import json
from dataclasses import replace

import factory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collect.decode import decode, encode
from collect.errors import DataError
from collect.model import Latency, Load, Plan, Trial, dumps, load_plan, load_trial


def test_a_plan_and_a_trial_survive_the_way_to_a_file_and_back(tmp_path):
    plan = factory.plan()
    path = tmp_path / "plan.json"
    path.write_text(dumps(plan), encoding="utf-8")
    assert load_plan(path) == plan
    for one in (factory.trial(), factory.failed(plan, plan.trials[0])):
        path.write_text(dumps(one), encoding="utf-8")
        assert load_trial(path) == one


KEPT = Latency(1.5, 0.5, 1.0, 1.5, 2.0, 3.0, 3.5, 4.0)


def with_late(timeouts, latency=KEPT):
    """A trial of 1000 answers, of which so many were later than 10 s."""
    plan = factory.plan(load=Load(timeout_s=10.0))
    one = factory.trial(plan.trials[0], plan)
    errors = replace(one.wrk.errors, timeout=timeouts)
    return replace(one, wrk=replace(one.wrk, requests=1000, latency_ms=latency, errors=errors))


@pytest.mark.parametrize(
    ("timeouts", "p50", "p90", "p99", "highest"),
    [
        (0, 1.0, 2.0, 3.0, 4.0),
        # 990 of 995 that were kept lie where 995 in 1000 do: half way from the 99th to the 99.9th.
        (5, 1.005, 2.05, 3.276, 10_000),
        (40, 1.042, 2.417, 10_000, 10_000),
        (80, 1.087, 2.87, 10_000, 10_000),
        (200, 1.25, 10_000, 10_000, 10_000),
        (500, 4.0, 10_000, 10_000, 10_000),
        (501, 10_000, 10_000, 10_000, 10_000),
        (1000, 10_000, 10_000, 10_000, 10_000),
    ],
)
def test_late_answers_that_wrk_left_out_count_in_the_latency(timeouts, p50, p90, p99, highest):
    found = with_late(timeouts).whole_latency_ms
    assert (found.p50, found.p90, found.p99, found.max) == pytest.approx(
        (p50, p90, p99, highest), rel=1e-3
    )
    assert found.mean == pytest.approx(((1000 - timeouts) * 1.5 + timeouts * 10_000) / 1000)
    assert (found.stdev is None) == (timeouts > 0)
    assert replace(with_late(1), wrk=None).whole_latency_ms is None


def test_a_percentile_is_no_better_for_what_wrk_left_out():
    # Nine in 1000 come after the time-out and five shortly before: 99 of 100 took up to 8 s.
    kept = Latency(60.0, 400.0, 50.0, 51.0, 53.0, 56.0, 8_500.0, 9_000.0)
    assert with_late(9, kept).whole_latency_ms.p99 > 7_000
    # With no figure above it that is known, it is as late as can be.
    assert with_late(9, replace(kept, p999=None, max=None)).whole_latency_ms.p99 > 7_000
    nothing = Latency(None, None, None, None, None, None, None, None)
    assert with_late(1000, nothing).whole_latency_ms == Latency(None, None, *[10_000.0] * 6)


@given(
    kept=st.lists(st.floats(0.1, 9_999), min_size=6, max_size=6).map(sorted),
    late=st.integers(0, 1000),
)
def test_whatever_came_late_percentiles_rise_and_none_falls(kept, late):
    raw = Latency(kept[0], 0.0, *kept)
    found = with_late(late, raw).whole_latency_ms
    names = ("p50", "p75", "p90", "p99", "p999", "max")
    values = [getattr(found, name) for name in names]
    assert values == sorted(values)
    assert all(
        now >= getattr(raw, name) * (1 - 1e-9) for name, now in zip(names, values, strict=True)
    )


def test_a_plan_finds_its_parts_and_names_what_it_has_not():
    plan = factory.plan()
    assert plan.variant("uwsgi-wsgi").server == "uwsgi"
    assert plan.endpoint("movie").path == "/movie?page=1"
    with pytest.raises(DataError, match="no variant 'x'"):
        plan.variant("x")
    with pytest.raises(DataError, match="no endpoint 'x'"):
        plan.endpoint("x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"load": None}, "trial.json.load: got nothing; accepted: a mapping"),
        ({"block": "1"}, "trial.json.block: got '1' (str); accepted: int"),
        ({"block": True}, "trial.json.block: got True (bool); accepted: int"),
        ({"proxy": "squid"}, "trial.json.proxy: got 'squid'; accepted: none, caddy, nginx"),
        ({"wrk": {"requests": 1}}, "trial.json.wrk: duration_s is missing"),
        ({"extra": 1}, "trial.json: unknown extra"),
        ({"outcome": {"status": "fine"}}, "trial.json.outcome.status: got 'fine'"),
        ({"schema_version": 99}, "schema_version is 99; this serverbench reads 3"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, words):
    path = tmp_path / "trial.json"
    path.write_text(json.dumps({**encode(factory.trial()), **change}), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_trial(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"NaN", b"[" * 100_000]
)
def test_files_that_hold_something_else_are_named(tmp_path, content):
    path = tmp_path / "trial.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"trial\.json"):
        load_trial(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_trial(tmp_path / "none.json")


def test_whole_numbers_do_for_floats_and_unions_take_none():
    assert decode(Load, {"duration_s": 5}, "load").duration_s == 5.0
    with pytest.raises(DataError, match=r"load.duration_s: got nothing|got None"):
        decode(Load, {"duration_s": None}, "load")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=60)
@given(field=st.sampled_from(list(Trial.__slots__)), value=JSON)
def test_any_value_in_any_field_decodes_or_is_a_data_error(field, value):
    try:
        decode(Trial, {**encode(factory.trial(PLANNED, PLAN)), field: value}, "trial.json")
    except DataError as error:
        assert field in str(error)  # noqa: PT017


PLAN: Plan = factory.plan()
PLANNED = PLAN.trials[0]
