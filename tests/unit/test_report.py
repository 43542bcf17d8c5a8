from __future__ import annotations

import re
from dataclasses import replace

import factory
import pytest
from rich.cells import cell_len

from collect.model import Endpoint, Outcome
from collect.report import build_report, render_markdown, render_terminal, text
from collect.stats import Rank
from collect.store import load_run

ANSI = re.compile(r"\x1b\[")


@pytest.fixture
def report_of(tmp_path):
    def build(*hosts):
        """Write each (plan, trials) and read the run back, as the command line does."""
        for plan, trials in hosts:
            run = factory.write_host(tmp_path, plan, trials)
        return build_report(load_run(run))

    return build


def mixed():
    """Return a run with one of everything: a tie, closed connections, a failure, a gap."""
    plan = factory.plan()
    trials = []
    for planned in plan.trials[:-1]:
        if planned.variant == "daphne-asgi":
            trials.append(factory.failed(plan, planned, "not_ready", "no answer within 30 s"))
        elif planned.variant == "uwsgi-wsgi":
            trials.append(factory.closing(plan, planned))
        elif planned.variant == "granian-wsgi" and planned.block == 2:
            trials.append(factory.failed(plan, planned, "server_died", "main process 100 ended"))
        else:
            trials.append(factory.trial(planned, plan))
    return plan, trials


def two_profiles():
    matrix = [
        {"server": "uwsgi", "interface": "wsgi"},
        {"server": "uwsgi", "interface": "wsgi", "proxy": "caddy"},
        {"server": "granian", "interface": "wsgi"},
    ]
    variants = factory.variants(matrix, ["parity", "study"])
    return factory.plan(variants=variants, blocks=2, order="sequential")


def test_mixed_run_in_the_terminal(report_of, check_snapshot):
    check_snapshot("report/mixed.txt", render_terminal(report_of(mixed())))


def test_mixed_run_as_markdown(report_of, check_snapshot):
    check_snapshot("report/mixed.md", render_markdown(report_of(mixed())))


def test_healthy_run_on_two_hosts(report_of, check_snapshot):
    hosts = [factory.plan(host=name, blocks=5) for name in ("lab1", "lab2")]
    report = report_of(*((plan, factory.healthy_trials(plan)) for plan in hosts))
    assert [host.name for host in report.hosts] == ["lab1", "lab2"]
    check_snapshot("report/two-hosts.txt", render_terminal(report))


def test_few_blocks_proxies_and_profiles(report_of, check_snapshot):
    plan = two_profiles()
    check_snapshot(
        "report/profiles.txt", render_terminal(report_of((plan, factory.healthy_trials(plan))))
    )


def test_raw_shows_what_wrk_printed(report_of):
    report = report_of(mixed())
    page = render_terminal(report, raw=True)
    for line in report.hosts[0].trials:
        output = line.stored.wrk_text()
        assert output.rstrip() in page
        assert output.rstrip() in render_markdown(report)
    assert "wrk printed nothing." in page


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("make", [mixed, lambda: (two_profiles(), None)])
def test_no_line_is_wider_than_the_terminal(report_of, width, make):
    page = render_terminal(report_of(make()), width=width)
    assert max(map(cell_len, page.splitlines())) <= width
    assert not ANSI.search(page)


def test_numbers_are_never_cut_at_80_columns(report_of):
    page = render_terminal(report_of((two_profiles(), None)), width=80)
    assert "…" not in page


def test_colour_is_only_colour(report_of):
    report = report_of(mixed())
    coloured = render_terminal(report, colour=True)
    assert ANSI.search(coloured)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.strip().splitlines()] == (
        render_terminal(report).splitlines()
    )


def test_a_tie_is_never_shown_as_a_win(report_of):
    plan = factory.plan()
    (host,) = report_of((plan, None)).hosts
    health = next(part for part in host.endpoints if part.endpoint.name == "health")
    ranks = {row.variant.id: row.rank for row in health.rps}
    assert ranks["uwsgi-wsgi"] == Rank(1, 1)
    assert ranks["granian-wsgi"] == ranks["gunicorn-wsgi"] == Rank(2, 3)
    assert ranks["uvicorn-asgi"] == ranks["hypercorn-asgi"] == Rank(4, 5)
    page = render_terminal(report_of((plan, None)))
    assert re.search(r"^≈2.3 +granian", page, re.MULTILINE)
    assert re.search(r"^≈2.3 +gunicorn", page, re.MULTILINE)


def test_what_failed_enters_no_figure_and_does_not_disappear(report_of):
    plan, trials = mixed()
    (host,) = report_of((plan, trials)).hosts
    for endpoint in host.endpoints:
        for rows in (endpoint.rps, endpoint.memory):
            assert {row.variant.id for row in rows} == set(factory.FIGURES)
            assert rows[-1].variant.id == "daphne-asgi"
            assert rows[-1].figure is None
        granian = next(row for row in endpoint.rps if row.variant.id == "granian-wsgi")
        assert (granian.figure.count, granian.used, granian.planned) == (2, 2, 3)
        assert granian.rank is None
    left_out = {line.trial.trial_id for line in host.left_out}
    assert left_out == {one.trial_id for one in trials if one.outcome.status != "ok"}
    page = render_terminal(report_of((plan, trials)))
    assert "no valid trial" in page
    assert "no answer within 30 s" in " ".join(page.split())
    assert host.missing == (plan.trials[-1].id,)
    assert "1 of 36 trials are not here yet" in " ".join(page.split())


def test_memory_that_was_not_measured_is_said_so(report_of):
    plan = factory.plan(variants=factory.variants(factory.PAIRS[:1]))
    trials = [replace(one, memory=None) for one in factory.healthy_trials(plan)]
    assert "not measured" in render_terminal(report_of((plan, trials)))


def test_a_run_without_any_trial_can_be_shown(report_of):
    report = report_of((factory.plan(), []))
    assert "No trial is here yet." in render_terminal(report)
    assert "no valid trial" in render_markdown(report)


def test_text_from_a_host_is_only_text(report_of):
    evil = (
        "\x1b[31m[red]x[/red] | <script>alert(1)</script> ](http://evil) `code` **b** @all "
        "\u202ereversed\n# head\n```\n</details>"
    )
    plan = factory.plan(blocks=1, variants=factory.variants(factory.PAIRS[:1]))
    trials = [
        replace(factory.failed(plan, planned), outcome=Outcome("start_failed", evil))
        for planned in plan.trials
    ]
    report = report_of((plan, trials))
    for stored in report.hosts[0].trials:
        (stored.stored.folder / "wrk.txt").write_text(evil, encoding="utf-8")
    for page in (
        render_terminal(report),
        render_terminal(report, raw=True),
        render_terminal(report, colour=True),
        render_markdown(report),
    ):
        assert "\x1b[31m[red]" not in page
        assert "\u202e" not in page
    assert "[red]x[/red]" in render_terminal(report)
    page = render_markdown(report)
    outside = re.sub(r"^````text\n.*?^````$", "", page, flags=re.MULTILINE | re.DOTALL)
    assert "````text" not in outside
    for markup in ("<script", "](http", "://evil", " @all", "**b**", "\n# head", "| <"):
        assert markup not in outside
    assert outside.count("</details>") == len(plan.trials)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "n/a"), (0, "0"), (9_999, "9,999"), (12_345, "12.3k"), (568_294, "568k")],
)
def test_narrow_counts(value, shown):
    assert text.compact(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "n/a"),
        (float("nan"), "n/a"),
        (0, "0"),
        (9438.4, "9,440"),
        (999.9, "1,000"),
        (99.95, "100"),
        (12.345, "12.3"),
        (0.01234, "0.0123"),
        (1_234_567, "1,230,000"),
    ],
)
def test_three_significant_digits(value, shown):
    assert text.figure(value) == shown


def test_durations_read_like_speech():
    assert [text.seconds(s) for s in (45, 119.6, 720, 7500)] == [
        "45 s",
        "2 min",
        "12 min",
        "2 h 05 min",
    ]


def test_a_path_with_markup_stays_a_path(report_of):
    endpoints = [{"name": "x", "path": "/a|b/[c](d)"}]
    plan = factory.plan(endpoints=endpoints, blocks=1)
    assert plan.endpoints == (Endpoint("x", "/a|b/[c](d)"),)
    assert r"/a\|b/\[c\]\(d\)" in render_markdown(report_of((plan, None)))
