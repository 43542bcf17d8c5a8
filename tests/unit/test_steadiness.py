"""“Was the host steady?” in every format: the sentences, the answer at the top, the charts."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime

import factory
import pytest

from collect.detective import (
    Bucket,
    Estimate,
    Finding,
    Hours,
    OrderPair,
    Signs,
    Steadiness,
    TimeOfDay,
)
from collect.report import build_report
from collect.report.charts import charts_of, svg
from collect.report.data import render_json
from collect.report.html import render_html
from collect.report.markdown import render_markdown
from collect.report.steadiness import headline, said
from collect.report.terminal import render_terminal
from collect.simulate.traces import Truth, block_s, run_trace, trace_plan
from collect.stats import Interval
from collect.store import load_run

NOON_S = datetime.fromisoformat("2026-01-05T12:00:00+00:00").timestamp()
SLOW = Finding(
    "host_slow",
    NOON_S,
    NOON_S + 1800,
    "sure",
    12,
    ratio=Interval(0.5, 0.45, 0.56),
    signs=Signs(steal=0.01, steal_else=0.01, canary=1.02),
)
HOURS = Hours(
    zone="Asia/Shanghai",
    windows=(
        TimeOfDay("04:00", 240, 300, 5, 10, 1.3, 0.01),
        TimeOfDay("15:00", 900, 960, 5, 10, 0.8, 0.18),
    ),
    fastest="04:00",
    slowest="15:00",
    ratio=Interval(1.6, 1.4, 1.9),
    days=5,
    is_told=True,
    reversed=(),
    same=15,
    undecided=0,
)


@pytest.fixture
def report_of(tmp_path):
    """Return the report of a synthetic run, after it was on disk."""

    def build(truth, sessions=(0.0,), blocks=8):
        plan = trace_plan(variants=4, blocks=blocks, endpoints=1, duration_s=10.0)
        trace = run_trace(plan, truth, 11, sessions)
        run = factory.write_host(tmp_path, plan, list(trace.trials))
        return build_report(load_run(run))

    return build


def slow_truth():
    plan = trace_plan(variants=4, blocks=8, endpoints=1, duration_s=10.0)
    return Truth("host_slow", 2 * block_s(plan), 5 * block_s(plan), factor=0.4)


def test_every_format_tells_of_a_slow_host(report_of):
    report = report_of(slow_truth())
    (host,) = report.hosts
    (finding,) = host.steady.findings
    assert "the host had 0." in host.answer
    for page in (
        " ".join(render_terminal(report).split()),
        render_markdown(report),
        render_html(report),
    ):
        assert "Was the host steady?" in page
        assert "of its usual speed" in page
        assert "do not show it" in page
    for line in render_terminal(report).splitlines():
        assert len(line) <= 80
    told = json.loads(render_json(report))["hosts"][0]["steadiness"]
    assert [one["kind"] for one in told["findings"]] == ["host_slow"]
    assert told["findings"][0]["ratio"]["ratio"] == pytest.approx(finding.ratio.ratio)
    assert told["hours"] is None


def test_a_steady_host_takes_one_line(report_of):
    report = report_of(Truth())
    (host,) = report.hosts
    (line,) = said(host.steady)
    assert line.startswith("No sign that the host was throttled")
    assert headline(host.steady) == ""


def test_the_speed_is_drawn_along_the_run_and_by_hour(report_of):
    sessions = [day * 86_400.0 + hour * 3600.0 for day in range(4) for hour in (0, 11)]
    (host,) = report_of(slow_truth(), sessions, blocks=16).hosts
    charts = {chart.name: chart for chart in charts_of(host)}
    for name in ("speed", "hours"):
        drawing = ET.fromstring(svg(charts[name]))  # noqa: S314 - our own
        assert drawing.tag.endswith("svg")
    dots = charts["speed"].spec["layer"][-2]["data"]["values"]
    assert len(dots) == len(host.steady.moments) == 64
    hours = {int(dot["hour"]) for dot in charts["hours"].spec["layer"][0]["data"]["values"]}
    assert hours == {4, 15}


def test_what_was_found_is_shaded(report_of):
    (host,) = report_of(slow_truth()).hosts
    chart = next(chart for chart in charts_of(host) if chart.name == "speed")
    (shade,) = chart.spec["layer"][0]["data"]["values"]
    (finding,) = host.steady.findings
    assert (shade["start_ms"], shade["end_ms"]) == (
        finding.starts_s * 1000,
        finding.ends_s * 1000,
    )


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (
            SLOW,
            [
                "From 12:00:00 to 12:30:00 (30 min) the host had 0.500x [0.450, 0.560] of its",
                "do not show it (steal 1.00 % against 1.00 %, canary 1.02x as long)",
            ],
        ),
        (
            replace(SLOW, signs=Signs(steal=0.18, steal_else=0.01, canary=1.02)),
            ["The host's own counters show it: steal 18.0 % against 1.00 %."],
        ),
        (
            replace(SLOW, signs=Signs(pressure=0.6, pressure_else=0.2, canary=1.7)),
            ["show it: CPU pressure 60.0 % against 20.0 %, canary 1.70x as long."],
        ),
        (replace(SLOW, confidence="likely"), ["That is likely, not certain."]),
        (replace(SLOW, kind="burst"), ["a burst of its neighbours'", "It fell on 12 trials"]),
        (
            replace(SLOW, kind="burst", confidence="maybe"),
            ["one start of one server, which may have stumbled by itself"],
        ),
        (
            replace(
                SLOW,
                kind="credit",
                bucket=Bucket(Estimate(1200, 1000, 1400), Estimate(0.4, 0.36, 0.44), 2),
            ),
            [
                "Until 12:00:00 the host was fast",
                (
                    "about 1,200 [1,000, 1,400] core-seconds above its refill, which is "
                    "20.0 % [18.0, 22.0] of 2 cores"
                ),
                "A throttle that began then looks the same.",
            ],
        ),
        (
            replace(SLOW, kind="credit", sessions=3),
            ["In 3 sessions the host was fast at first", "CPU credit that runs dry"],
        ),
        (
            replace(SLOW, kind="decay", variants=("daphne-asgi",), per_hour=0.7, memory_ratio=2.5),
            [
                "daphne-asgi alone got slower along the run: at its end it had 0.500x",
                "a factor of 0.700 an hour",
                "grew to 2.50 times the first: look for a leak",
            ],
        ),
        (
            replace(SLOW, kind="decay", variants=("daphne-asgi",)),
            ["Its memory did not grow"],
        ),
        (
            replace(SLOW, kind="loadgen", variants=("granian-wsgi", "uwsgi-wsgi"), ratio=None),
            ["wrk, not the server, was the limit in 12 trials of granian-wsgi and uwsgi-wsgi."],
        ),
    ],
)
def test_each_kind_is_told_in_its_own_words(finding, words):
    told = said(Steadiness((finding,), trials=40, blocks=5, seen_fall=0.3))[0]
    for word in words:
        assert word in told


def test_the_gravest_comes_to_the_top_and_the_rest_is_counted():
    decay = replace(SLOW, kind="decay", variants=("daphne-asgi",))
    steady = Steadiness((SLOW, decay), trials=40, blocks=5, seen_fall=0.3)
    assert headline(steady).startswith("daphne-asgi alone got slower")
    assert headline(steady).endswith("“Was the host steady?” tells of 1 more.")
    unsure = Steadiness((replace(SLOW, confidence="maybe"),), trials=40, blocks=5, seen_fall=0.3)
    assert headline(unsure) == ""


def test_the_advice_on_hours_is_one_sentence():
    steady = Steadiness(hours=HOURS, trials=40, blocks=20, seen_fall=0.3, seen_decay=0.3)
    advice = said(steady)[-1]
    assert advice == (
        "04:00 (Asia/Shanghai) was 1.60x [1.40, 1.90] as fast as 15:00; steal 18.0 % against "
        "1.00 %. Bench between 04:00 and 05:00, or rank by ratios: the order of the servers is the "
        "same in each of the 2 windows."
    )
    assert "as fast as 15:00" in headline(steady)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"undecided": 3, "same": 12}, "no pair changes places; 12 of 15 pairs are told apart"),
        ({"is_told": False}, "No time of day is told apart: 04:00 (Asia/Shanghai) was 1.60x"),
        ({"ratio": None, "is_told": False}, "one day of each is no comparison"),
        (
            {"reversed": (OrderPair("health", "uwsgi-wsgi", "granian-wsgi", "04:00", "15:00"),)},
            (
                "The order of the servers does not hold: on health uwsgi-wsgi is ahead of "
                "granian-wsgi at 04:00 and behind it at 15:00. Rank for the hours in which your "
                "site is busy."
            ),
        ),
    ],
)
def test_hours_are_told_with_what_is_known(changes, words):
    steady = Steadiness(hours=replace(HOURS, **changes), trials=40, blocks=20, seen_fall=0.3)
    assert words in said(steady)[-1]


@pytest.mark.parametrize(
    ("blind", "words"),
    [
        ("few", "that takes six trials in two blocks, and 3 trials in 1 block are here"),
        ("clock", "somebody set the host's clock"),
        ("order", "a slow hour of the host looks like a slow server"),
    ],
)
def test_why_nobody_can_say(blind, words):
    (line,) = said(Steadiness(trials=3, blocks=1, blind=blind))
    assert words in line
