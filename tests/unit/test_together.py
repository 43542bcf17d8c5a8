"""Several hosts side by side: what holds on all of them, and what does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import factory
import pytest
from rich.cells import cell_len

from collect.model import PairDecision
from collect.report import build_report, render_markdown, render_terminal
from collect.report.together import _pair, _told
from collect.store import load_run


@pytest.fixture
def report_of(tmp_path):
    def build(*hosts):
        for plan, trials in hosts:
            run = factory.write_host(tmp_path, plan, trials)
        return build_report(load_run(run))

    return build


def host(name, figures=None, **changes):
    """Return a plan and its trials; `figures` are req/s of single variants instead of the usual."""
    plan = factory.plan(host=name, **changes)
    trials = []
    for planned, trial in zip(plan.trials, factory.noisy_trials(plan), strict=True):
        usual = factory.FIGURES[planned.variant][0]
        rps = trial.wrk.rps / usual * (figures or {}).get(planned.variant, usual)
        trials.append(replace(trial, wrk=factory.wrk(rps, plan.load)))
    return plan, trials


def table(report, endpoint="health"):
    (found,) = [part for part in report.together if part.endpoint == endpoint]
    return found


def test_one_host_has_nothing_to_stand_beside(report_of):
    report = report_of(host("a"))
    assert report.together == ()
    assert "All hosts together" not in render_terminal(report)
    assert "All hosts together" not in render_markdown(report)


def test_the_same_order_holds(report_of):
    report = report_of(host("a"), host("b"))
    found = table(report)
    assert found.hosts == ("a", "b")
    assert found.said == (
        "On health uwsgi-wsgi is fastest on each of the 2 hosts.",
        "The order holds: the hosts agree on every pair.",
    )
    assert {row.holds for row in found.rows} == {"yes"}
    assert found.rows[0].cells == ("1 (1)", "1 (1)")
    assert report.together_note == ""


def test_an_order_that_turns_round_is_named(report_of):
    report = report_of(host("a"), host("b", {"daphne-asgi": 9000.0}))
    found = table(report)
    assert (
        "the first tier is not the same on every host: a uwsgi-wsgi; b daphne-asgi" in found.said[0]
    )
    assert "uwsgi-wsgi is ahead of daphne-asgi on a and behind it on b" in found.said[1]
    assert "and 2 more pairs" in found.said[1]
    holds = {row.variant: row.holds for row in found.rows}
    assert holds["daphne-asgi"] == "no"


def test_a_pair_told_apart_on_one_host_only_holds_partly(report_of):
    # On the usual figures granian and gunicorn share a tier.
    report = report_of(host("a"), host("b", {"granian-wsgi": 5800.0}))
    found = table(report)
    assert found.said[1].startswith("No host contradicts another; 1 of 15 pairs is told apart")
    holds = {row.variant: row.holds for row in found.rows}
    assert holds["granian-wsgi"] == holds["gunicorn-wsgi"] == "partly"
    assert holds["daphne-asgi"] == "yes"


def ranking(*pairs):
    return SimpleNamespace(
        pairs=[
            PairDecision("health", a, b, ratio, ratio / 1.1, ratio * 1.1, state, None)
            for a, b, ratio, state in pairs
        ]
    )


def test_the_ends_of_a_chain_are_compared_though_they_share_a_tier():
    # a = b and b = c, but a is ahead of c here, and behind it there.
    told = {
        "h1": _told(ranking(("a", "b", 1.1, "open"), ("a", "c", 1.5, "separated"))),
        "h2": _told(ranking(("b", "a", 1.1, "open"), ("c", "a", 1.3, "separated"))),
    }
    assert _pair("a", "c", told).contradicts
    assert _pair("c", "a", told).contradicts
    assert _pair("a", "b", told).level == ("h1", "h2")


def test_a_sequential_run_proves_nothing(report_of):
    report = report_of(host("a", order="sequential"), host("b", order="sequential"))
    assert table(report).said == ("On health no two hosts can be held against each other yet.",)
    assert {row.holds for row in table(report).rows} == {"?"}


def test_what_one_host_did_not_measure_is_an_empty_cell(report_of):
    fewer = factory.variants(factory.PAIRS[:3])
    report = report_of(host("a"), host("b", variants=fewer))
    cells = {row.variant: row.cells for row in table(report).rows}
    assert cells["daphne-asgi"][1] == ""
    assert cells["granian-wsgi"][1] != ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": factory.variants(cores=4)}, "Settings (such as workers per core) were not"),
        ({"load": {"connections": 8}}, "wrk -t4 -c8 -d30s"),
    ],
)
def test_what_was_not_the_same_is_said(report_of, changes, said):
    assert said in report_of(host("a"), host("b", **changes)).together_note


@pytest.mark.parametrize("width", [60, 80, 120])
def test_many_hosts_fit_the_width(report_of, width):
    report = report_of(*(host(f"a-rather-long-host-name-{number}") for number in range(6)))
    page = render_terminal(report, width=width)
    assert max(map(cell_len, page.splitlines())) <= width
    end = page[page.index("All hosts together") :]
    for number in range(6):
        assert end.replace("\n", "").count("1 (1)") >= 12, number


def test_the_end_of_the_page_is_about_all_hosts(report_of):
    report = report_of(host("a"), host("b"))
    end = render_terminal(report).strip().splitlines()[-4:]
    assert "uwsgi-wsgi is fastest on each of the 2 hosts" in " ".join(" ".join(end).split())
    page = render_markdown(report)
    assert page.index("## All hosts together") < page.index("## a")
