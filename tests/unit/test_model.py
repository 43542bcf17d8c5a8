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


@pytest.mark.parametrize(
    ("timeouts", "p50", "p90", "p99", "highest"),
    [
        (0, 1.0, 2.0, 3.0, 4.0),
        (5, 1.0, 2.0, 3.0, 10_000),
        (40, 1.0, 2.0, 10_000, 10_000),
        (80, None, None, 10_000, 10_000),
        (200, None, 10_000, 10_000, 10_000),
        (1000, 10_000, 10_000, 10_000, 10_000),
    ],
)
def test_a_percentile_among_what_wrk_left_out_is_the_time_out(timeouts, p50, p90, p99, highest):
    plan = factory.plan(load=Load(timeout_s=10.0))
    one = factory.trial(plan.trials[0], plan)
    latency = Latency(1.5, 0.5, 1.0, 1.5, 2.0, 3.0, 3.5, 4.0)
    errors = replace(one.wrk.errors, timeout=timeouts)
    wrk = replace(one.wrk, requests=1000, latency_ms=latency, errors=errors)
    found = replace(one, wrk=wrk).whole_latency_ms
    assert (found.p50, found.p90, found.p99, found.max) == (p50, p90, p99, highest)
    assert (found.mean is None) == (timeouts > 50)
    assert replace(one, wrk=None).whole_latency_ms is None


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
