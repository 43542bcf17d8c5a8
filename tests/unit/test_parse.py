from __future__ import annotations

import contextlib
import io
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_parse_corpus import DATA, EXPECTED

from collect import cli
from collect.checks import verdict_of_figures
from collect.errors import DataError
from collect.model import Latency
from collect.parse import MAX_BYTES, decode_text, parse_outputs, parse_wrk
from collect.parse.command import Command, find_command

OK = (DATA / "ok-latency.txt").read_text(encoding="utf-8")


def recorded(name):
    return (DATA / f"{name}.txt").read_text(encoding="utf-8")


def errors(found):
    figures = found.figures
    return (
        figures.connect_errors,
        figures.read_errors,
        figures.write_errors,
        figures.timeouts,
        figures.status_errors,
    )


def test_a_healthy_run():
    found = parse_wrk(recorded("ok"))
    figures = found.figures
    assert (figures.threads, figures.connections) == (2, 8)
    assert found.url == "http://127.0.0.1:18975/ok"
    assert (figures.asked_s, figures.duration_s) == (2.0, 2.01)
    assert (figures.requests, figures.rps) == (360, 179.25)
    assert found.bytes == round(45.52 * 1024)
    assert figures.latency_ms == Latency(44.14, 6.87, None, None, None, None, None, 65.11)
    assert errors(found) == (0, 0, 0, 0, 0)
    assert figures.missing == ()


def test_percentiles():
    latency = parse_wrk(OK).figures.latency_ms
    assert (latency.p50, latency.p75, latency.p90, latency.p99) == (43.99, 44.31, 46.72, 49.06)
    assert latency.p999 is None


def test_no_sample_is_unknown_and_not_zero():
    for name in ("timeouts", "hangs"):
        figures = parse_wrk(recorded(name)).figures
        assert figures.latency_ms.mean is None
        assert figures.latency_is_empty


def test_minutes_and_hours_are_rounded_by_wrk_so_what_was_asked_for_is_unknown():
    figures = parse_wrk(recorded("one-minute")).figures
    assert (figures.asked_s, figures.duration_s) == (None, 60.0)
    assert figures.latency_ms.mean == pytest.approx(1340)
    with_command = "wrk -d 90 http://h/\n" + recorded("minutes")
    assert parse_wrk(with_command).figures.asked_s == 90


@pytest.mark.parametrize(
    ("latency", "mean_ms"),
    [("850.00us", 0.85), ("12.50ms", 12.5), ("1.20s", 1200.0), ("1.50m", 90_000.0)],
)
def test_units_of_time(latency, mean_ms):
    found = parse_wrk(recorded("ok").replace("44.14ms", latency))
    assert found.figures.latency_ms.mean == pytest.approx(mean_ms)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("759B", 759), ("1.00KB", 1024), ("2.00MB", 2**21), ("1.50GB", 3 * 2**29)],
)
def test_units_of_size(size, expected):
    assert parse_wrk(recorded("ok").replace("45.52KB", size)).bytes == expected


def test_an_unknown_unit_is_a_missing_figure():
    figures = parse_wrk(recorded("ok").replace("44.14ms", "44.14fs")).figures
    assert figures.latency_ms.mean is None
    assert figures.missing == ("the latency",)


def test_no_output_fails_clearly():
    for text in ("", "nothing here", "4 threads and 200 connections", "wrk -t4 http://h/"):
        assert parse_outputs(text) == []
        with pytest.raises(DataError, match="no line `Running"):
            parse_wrk(text)


def test_many_outputs_with_headings_in_between():
    text = f"# uWSGI\n{recorded('ok')}\nGranian\n-------\n{recorded('status-500')}\n{OK}"
    found = parse_outputs(text)
    assert [one.heading for one in found] == ["uWSGI", "Granian", "Granian"]
    assert [one.figures.status_errors for one in found] == [0, 360, 0]
    assert [one.line for one in found] == [2, 13, 23]


@pytest.mark.parametrize(
    "heading",
    ["## uWSGI", "uWSGI\n=====", "<h3 id=x>uWSGI</h3>", "**uWSGI**", "== uWSGI", "> ### uWSGI ##"],
)
def test_headings(heading):
    assert parse_wrk(f"{heading}\n\n{OK}").heading == "uWSGI"


def test_an_output_that_was_cut_off_does_not_take_the_next_ones_figures():
    top = "".join(f"{line}\n" for line in OK.splitlines()[:4])
    bottom = OK[OK.index("  906 requests") :]
    for between in ("```\n", "## Next\n", "prose\n" * 6, "$ wrk -t1 -c1 http://h/\n"):
        first, second = parse_outputs(top + between + bottom)
        assert (first.figures.rps, second.figures.rps) == (None, 450.79)
        assert second.figures.latency_ms.mean is None
    (whole,) = parse_outputs(f"{top}\nblank lines and a remark\n\n{bottom}")
    assert whole.figures.missing == ()


def test_errors_are_unknown_where_the_text_ends_before_them():
    text = recorded("timeouts")
    assert errors(parse_wrk(text[: text.index("  Socket")])) == (None,) * 5
    assert errors(parse_wrk(text[: text.index("Requests/sec")])) == (0, 0, 0, 24, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("$ wrk -t4 -c200 -d30s http://h/", Command("http://h/", 4, 200, 30.0)),
        ("wrk --threads=4 --connections 1k -d2m 'http://h/?a=1&b'", None),
        ("# /usr/bin/wrk -T 5s -H 'A: b c' -s x.lua http://h/x", Command("http://h/x", None, None, None, 5.0)),  # noqa: E501
        ("I used `wrk -t4 -c200 -d30s` for all.", Command(None, 4, 200, 30.0)),
        ("wrk2 -R2000 http://h/", Command("http://h/", is_paced=True)),
        ("wrk is nice, see https://github.com/wg/wrk", Command()),
        ("my-wrk -t4, wrk.lua -c5", Command()),
    ],
)  # fmt: skip
def test_commands(line, expected):
    found = find_command(line)
    if expected is None:
        assert found == Command("http://h/?a=1&b", 4, 1000, 120.0)
    else:
        assert (found or Command()) == expected


def test_a_command_on_many_lines_fills_what_was_cropped():
    cropped = OK[OK.index("  Thread Stats") :]
    text = f"$ wrk -t4 -c20 \\\n    -d2s \\\n    http://h/ok\n{cropped}"
    figures = parse_wrk(text).figures
    assert (figures.threads, figures.connections, figures.asked_s) == (4, 20, 2.0)
    assert figures.timeout_s == 2
    assert parse_wrk(text).url == "http://h/ok"


def test_a_command_of_another_run_is_not_believed():
    figures = parse_wrk(f"wrk -t1 -c1 -d90s -R9 http://other/\n{OK}").figures
    assert (figures.connections, figures.asked_s, figures.paced) == (20, 2.0, False)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(encoding):
    text = f"# Größe – naïve\n\n{OK}"  # noqa: RUF001 - a letter Latin-1 has not
    (found,) = parse_outputs(decode_text(text.encode(encoding), "x"))
    assert found.figures.requests == 906
    assert found.heading == "Größe – naïve"  # noqa: RUF001


def test_zeros():
    (found,) = parse_outputs(decode_text(OK.encode() + b"\0" * 512, "x"))
    assert found.figures.requests == 906
    with pytest.raises(DataError, match="core: holds zero bytes"):
        decode_text(b"\x7fELF\0\0\1\2\0\0\0\0abc" * 50, "core")


@settings(max_examples=150, deadline=2000)
@given(
    cut=st.integers(0, 700),
    junk=st.text(max_size=40),
    at=st.integers(0, 700),
    name=st.sampled_from(sorted(EXPECTED)),
)
def test_any_text_parses(cut, junk, at, name):
    text = decode_text((DATA / name).read_bytes(), name)
    for changed in (text[:cut], text[at:], text[:at] + junk + text[at:], junk):
        for found in parse_outputs(changed):
            assert verdict_of_figures(found.figures).status in ("valid", "suspect", "invalid")


@given(st.binary(max_size=400))
def test_any_bytes_parse_or_fail_clearly(data):
    try:
        parse_outputs(decode_text(data, "x"))
    except DataError as error:
        assert str(error).startswith("x: ")  # noqa: PT017 - most bytes are fine


@given(digits=st.text("0123456789.", min_size=1, max_size=6000))
@settings(max_examples=30)
def test_absurd_numbers(digits):
    for old in ("906", "450.79", "43.84", "114.44", "20 conn"):
        for found in parse_outputs(OK.replace(old, digits)):
            verdict_of_figures(found.figures)


HOSTILE = [
    "Running 1s test @ http://h/ ",
    "9" * 15 + " ",
    "9",
    "Latency 1.0ms ",
    "wrk -t1 ",
    "wrk ",
    "1 threads and ",
    "<h1",
    "<h1>",
    "**a",
    "&#",
    "\x1b[",
    "\x1b]",
    " ",
    "> ",
    "```",
    "99% 1ms Latency ",
    "Requests/sec: 1 ",
    "unable to connect to ",
    "-",
    "\\\n",
    "wrk -t1 \\\n",
    "\n",
    "Socket errors: connect 1, ",
    "'a",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_grows_with_the_text_and_no_faster(piece):
    def spent(size):
        text = piece * (size // len(piece))
        start = time.process_time()
        with contextlib.suppress(DataError):
            parse_outputs(text)
        return time.process_time() - start

    # 1 MiB in a second or two; a square would take hours.
    small, large = spent(2**17), spent(2**20)
    assert large < 40 * small + 1


@given(
    threads=st.integers(1, 64),
    per_thread=st.integers(1, 50),
    seconds=st.integers(1, 50),
    requests=st.integers(1, 10**7),
    mean_us=st.integers(1, 10**6),
    counted=st.tuples(*[st.integers(0, 10**6)] * 5),
)
def test_what_wrk_prints_comes_back(threads, per_thread, seconds, requests, mean_us, counted):
    connections = threads * per_thread
    text = (
        f"Running {seconds}s test @ http://h/\n"
        f"  {threads} threads and {connections} connections\n"
        "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
        f"    Latency   {mean_us}.00us    1.00us    2.00s     71.00%\n"
        f"  {requests} requests in {seconds}.00s, 1.00MB read\n"
        "  Socket errors: connect {}, read {}, write {}, timeout {}\n"
        "  Non-2xx or 3xx responses: {}\n"
        "Requests/sec: {:9.2f}\n"
    ).format(*counted, requests / seconds)
    (found,) = parse_outputs(text)
    figures = found.figures
    assert (figures.threads, figures.connections) == (threads, connections)
    assert (figures.requests, figures.duration_s) == (requests, seconds)
    assert figures.latency_ms.mean == pytest.approx(mean_us / 1000)
    assert errors(found) == counted
    assert "rate_mismatch" not in [r.code for r in verdict_of_figures(figures).reasons]
    assert figures.little_ratio == pytest.approx(
        connections * seconds / requests / (mean_us / 1e6), rel=0.02, abs=1e-9
    ) or requests / seconds < 1  # fmt: skip


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = cli.main(["parse", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


KEYS = [
    "label", "connections", "threads", "requests", "duration_s", "rps", "latency_mean_ms",
    "errors", "little_ratio", "verdict", "reasons",
]  # fmt: skip


def test_json(run):
    status, out, err = run(DATA / "study-post.md", DATA / "cut-top.txt", "--format", "json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [list(one) for one in found] == [KEYS] * 8
    assert list(found[0]["errors"]) == ["connect", "read", "write", "timeout", "status"]
    assert found[0]["verdict"] == "invalid"
    assert set(found[0]["reasons"][0]) == {"code", "severity", "seen", "remedy"}
    assert found[-1]["label"] == str(DATA / "cut-top.txt")
    assert found[-1]["connections"] is found[-1]["little_ratio"] is None


def test_labels(run):
    _, out, _ = run(DATA / "heading-only.md", DATA / "ok.txt", "--format", "json")
    labels = [one["label"] for one in json.loads(out)]
    assert labels == ["Gunicorn", "uWSGI", "http://127.0.0.1:18975/ok"]


def test_the_table_fits_80_columns_and_names_each_reason(run, check_snapshot):
    status, out, _ = run(DATA / "study-post.md")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    check_snapshot("report/parsed.txt", out.replace(str(DATA), "DATA"))


def test_stdin(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(OK.encode("utf-16"))))
    status, out, _ = run("-", "--format", "json")
    assert status == 0
    assert json.loads(out)[0]["requests"] == 906


def test_a_file_without_an_output_is_status_1_and_named(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no figures")
    (tmp_path / "large.txt").write_bytes(b"x" * (MAX_BYTES + 1))
    for name in ("notes.txt", "large.txt", "missing.txt", "."):
        status, out, err = run(tmp_path / name)
        assert (status, out) == (1, "")
        assert str(tmp_path / name) in err
        assert err.count("\n") == 1
    (tmp_path / "endless.txt").write_text("Running 1s test @ http://h/\n" * 10_001)
    status, _, err = run(tmp_path / "endless.txt")
    assert status == 1
    assert "endless.txt: more than 10,000 outputs" in err
    # What the other files hold is shown all the same.
    status, out, err = run(tmp_path / "notes.txt", DATA / "ok.txt", "--format", "json")
    assert status == 1
    assert len(json.loads(out)) == 1
    assert "notes.txt" in err
