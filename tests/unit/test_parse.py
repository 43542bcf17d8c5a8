from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collect.errors import DataError
from collect.model import Errors, Latency
from collect.parse import find_outputs, parse_wrk


@pytest.fixture
def recorded(data):
    # Real outputs of wrk 4.1.0 against a small server made to misbehave.
    def read(name):
        return (data / "wrk" / f"{name}.txt").read_text(encoding="utf-8")

    return read


def test_a_healthy_run(recorded):
    found = parse_wrk(recorded("ok"))
    assert (found.threads, found.connections) == (2, 8)
    assert found.url == "http://127.0.0.1:18975/ok"
    assert (found.asked_s, found.duration_s) == (2.0, 2.01)
    assert found.requests == 360
    assert found.rps == 179.25
    assert found.bytes == round(45.52 * 1024)
    assert found.latency_ms == Latency(44.14, 6.87, None, None, None, None, None, 65.11)
    assert found.errors == Errors(0, 0, 0, 0, 0)


def test_percentiles(recorded):
    latency = parse_wrk(recorded("ok-latency")).latency_ms
    assert (latency.p50, latency.p75, latency.p90, latency.p99) == (43.99, 44.31, 46.72, 49.06)
    assert latency.p999 is None


def test_closed_connections_are_read_errors(recorded):
    found = parse_wrk(recorded("closed-connections"))
    assert found.errors.read == found.requests > 0


def test_error_answers(recorded):
    found = parse_wrk(recorded("status-500"))
    assert found.errors.status == found.requests > 0


def test_timeouts_leave_no_latency_and_that_is_unknown_not_zero(recorded):
    found = parse_wrk(recorded("timeouts"))
    assert found.errors.timeout == found.requests > 0
    assert found.latency_ms.mean is None


def test_a_server_that_hangs(recorded):
    found = parse_wrk(recorded("hangs"))
    assert (found.requests, found.rps, found.bytes) == (0, 0.0, 0)
    assert found.latency_ms.mean is None


def test_minutes_and_seconds(recorded):
    found = parse_wrk(recorded("one-minute"))
    assert (found.asked_s, found.duration_s) == (60.0, 60.0)
    assert found.latency_ms.mean == pytest.approx(1340)


def test_refused_has_no_figures(recorded):
    with pytest.raises(DataError, match="no line `Running"):
        parse_wrk(recorded("refused"))


@pytest.mark.parametrize(
    ("latency", "mean_ms"),
    [("850.00us", 0.85), ("12.50ms", 12.5), ("1.20s", 1200.0), ("1.50m", 90_000.0)],
)
def test_units_of_time(recorded, latency, mean_ms):
    found = parse_wrk(recorded("ok").replace("44.14ms", latency))
    assert found.latency_ms.mean == pytest.approx(mean_ms)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("759B", 759), ("1.00KB", 1024), ("2.00MB", 2**21), ("1.50GB", 3 * 2**29)],
)
def test_units_of_size(recorded, size, expected):
    assert parse_wrk(recorded("ok").replace("45.52KB", size)).bytes == expected


def test_windows_line_ends_and_prose_around(recorded):
    prose = "I ran it:\r\n" + recorded("ok-latency").replace("\n", "\r\n") + "Nice, isn't it?"
    assert parse_wrk(prose) == parse_wrk(recorded("ok-latency"))


def test_many_outputs_in_one_text(recorded):
    text = f"# uWSGI\n{recorded('ok')}\n# Granian\n{recorded('status-500')}\n"
    assert [parse_wrk(output).errors.status for output in find_outputs(text)] == [0, 360]
    assert list(find_outputs("nothing here")) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("threads and", "threads and"),
        ("requests in", "requests in"),
        ("Requests/sec", "Requests/sec"),
    ],
)
def test_a_text_that_is_cut_off_names_the_missing_line(recorded, line, named):
    kept = "\n".join(row for row in recorded("ok").splitlines() if line not in row)
    with pytest.raises(DataError, match=named):
        parse_wrk(kept)


def test_an_unknown_unit_is_named(recorded):
    with pytest.raises(DataError, match=r"'44\.14fs'"):
        parse_wrk(recorded("ok").replace("44.14ms", "44.14fs"))


@settings(max_examples=60)
@given(cut=st.integers(0, 700), junk=st.text(max_size=20), at=st.integers(0, 700))
def test_any_text_parses_or_fails_clearly(data_text, cut, junk, at):
    for text in (data_text[:cut], data_text[:at] + junk + data_text[at:], junk):
        with contextlib.suppress(DataError):
            parse_wrk(text)


@pytest.fixture(scope="module")
def data_text():

    return (Path(__file__).parents[1] / "data" / "wrk" / "ok-latency.txt").read_text(
        encoding="utf-8"
    )


@given(digits=st.text("0123456789", min_size=1, max_size=6000))
@settings(max_examples=20)
def test_absurd_numbers_fail_clearly(data_text, digits):
    for text in (
        data_text.replace("906 requests", f"{digits} requests"),
        data_text.replace("450.79", digits),
        data_text.replace("43.84ms", f"{digits}ms"),
    ):
        with contextlib.suppress(DataError):
            parse_wrk(text)
