"""What the report says first: who is fastest, what no figure holds, and what to run next."""

import random
from dataclasses import replace

import factory
import pytest

from collect.checks import Reason
from collect.report import build_report, render_json, render_markdown, render_terminal
from collect.report.build import TrialLine, _failed_itself
from collect.store import load_run

THREE = factory.PAIRS[:3]
"""uwsgi, granian and gunicorn by WSGI."""
DIED = "main process exited, code=killed, status=9"


@pytest.fixture
def report_of(tmp_path):
    def build(levels, blocks, *, noise=0.01, seed=1, changed=lambda _plan, _planned, one: [one]):
        """Report a made-up run of one endpoint; `changed` makes of each trial what it will."""
        plan = factory.plan(
            variants=factory.variants(THREE), blocks=blocks, endpoints=factory.ENDPOINTS[:1]
        )
        chance = random.Random(seed)  # noqa: S311 - not a secret
        trials = []
        for planned in plan.trials:
            rps = levels[planned.variant] * (1 + chance.gauss(0, noise))
            one = replace(factory.trial(planned, plan), wrk=factory.wrk(rps, plan.load))
            trials += changed(plan, planned, one)
        return build_report(load_run(factory.write_host(tmp_path, plan, trials)))

    return build


APART = {"uwsgi-wsgi": 9000, "granian-wsgi": 6000, "gunicorn-wsgi": 4000}


def failing(blocks, status, *, again):
    """Have uwsgi fail in these blocks, with a re-run that goes well or without one."""

    def change(plan, planned, one):
        if planned.variant != "uwsgi-wsgi" or planned.block not in blocks:
            return [one]
        gone = factory.failed(plan, planned, status, DIED)
        return [gone, factory.rerun(one)] if again else [gone]

    return change


@pytest.mark.parametrize("again", [True, False])
def test_the_fastest_is_not_called_so_without_how_often_it_failed(report_of, again):
    report = report_of(APART, 5, changed=failing((2, 3, 4), "server_died", again=again))
    (host,) = report.hosts
    assert host.answer.startswith("On health uwsgi-wsgi is fastest: ")
    assert (
        "uwsgi-wsgi failed on health in 3 of 5 blocks, which no figure here holds: see “Left out”."
        in host.answer
    )
    used = "5/5 x3" if again else "2/5 x3"
    for page in (render_terminal(report), render_markdown(report)):
        assert used in page
        assert "x3: in three blocks the server itself failed" in " ".join(page.split())
    assert '"blocks_failed": 3' in render_json(report)


def test_what_the_generator_did_is_not_the_servers_failure(report_of):
    report = report_of(APART, 5, changed=failing((2, 3, 4), "load_failed", again=True))
    (host,) = report.hosts
    assert "failed" not in host.answer
    assert " x3" not in render_markdown(report)


def test_a_sound_run_says_nothing_of_failures(report_of):
    report = report_of(APART, 5)
    assert "failed" not in report.hosts[0].answer
    assert "the server itself failed" not in render_markdown(report)


@pytest.mark.parametrize(
    ("code", "severity", "expected"),
    [
        ("out_of_memory", "invalid", True),
        ("little", "invalid", True),
        ("error_status", "suspect", False),
        ("clock_step", "invalid", False),
        # The host may be short of ports or file handles.
        ("connections_lost", "invalid", False),
        ("other_processes", "invalid", False),
        ("unanswered", "invalid", True),
    ],
)
def test_whose_doing_it_is(report_of, code, severity, expected):
    line = report_of(APART, 1).hosts[0].trials[0]
    reasons = (Reason(code, severity, "", ""),)
    judged = replace(line.verdict, status=severity, reasons=reasons)
    assert _failed_itself(TrialLine(line.stored, judged, ())) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("exit status 1", 3),
        ("port 9875 is taken by pid 7 (python3 -m http.server), which is not in this plan", 0),
        ("serverbench-daphne-asgi.service did not stop within 20 s", 0),
    ],
)
def test_what_stood_in_the_way_of_a_start_is_not_the_servers_failure(report_of, reason, expected):
    def change(plan, planned, one):
        if planned.variant != "uwsgi-wsgi" or planned.block > 3:
            return [one]
        return [factory.failed(plan, planned, "start_failed", reason), factory.rerun(one)]

    rows = report_of(APART, 5, changed=change).hosts[0].endpoints[0].rps.rows
    assert {row.variant.id: row.failed for row in rows}["uwsgi-wsgi"] == expected


def test_beside_what_the_host_did_nobody_is_blamed(report_of):
    line = report_of(APART, 1).hosts[0].trials[0]
    reasons = tuple(Reason(code, "invalid", "", "") for code in ("little", "other_processes"))
    judged = replace(line.verdict, status="invalid", reasons=reasons)
    assert not _failed_itself(TrialLine(line.stored, judged, ()))


def test_who_is_behind_another_is_not_said_to_be_ahead_of_it(report_of):
    # Pairs are compared over the blocks that hold both. uwsgi died in the second half, when
    # gunicorn was slow: over all pairs granian leads, and yet where both ran uwsgi was faster.
    def change(plan, planned, one):
        late = planned.block > 20
        if planned.variant == "uwsgi-wsgi" and late:
            return [factory.failed(plan, planned, "server_died", DIED)]
        if planned.variant == "gunicorn-wsgi" and late:
            return [replace(one, wrk=factory.wrk(one.wrk.rps * 0.35, plan.load))]
        return [one]

    levels = {"uwsgi-wsgi": 6300, "granian-wsgi": 5500, "gunicorn-wsgi": 4700}
    (host,) = report_of(levels, 40, changed=change).hosts
    first = host.endpoints[0].rps.rows[0].variant.id
    (pair,) = (
        pair
        for pair in host.endpoints[0].rps.ranking.pairs
        if {pair.a, pair.b} == {"uwsgi-wsgi", "granian-wsgi"}
    )
    assert first == "granian-wsgi"
    assert (pair.state, pair.ratio > 1) == ("separated", pair.a == "uwsgi-wsgi")
    assert "has the best figures" not in host.answer
    assert "by 0." not in host.answer
    assert "share the first tier, because no clean line runs between them" in host.answer


def test_the_next_step_is_about_who_is_fastest(report_of):
    # The two that are furthest behind are equal, which nobody who deploys the first has to know.
    levels = {"uwsgi-wsgi": 6000, "granian-wsgi": 5400, "gunicorn-wsgi": 5390}
    (host,) = report_of(levels, 3, noise=0.05, seed=6).hosts
    tiers = {row.variant.id: row.tier for row in host.endpoints[0].rps.rows}
    assert tiers["uwsgi-wsgi"] == tiers["granian-wsgi"] == 1
    (step,) = host.next_steps
    assert step.startswith("To tell who is fastest on health, run: ansible-playbook bench.yml")


def test_of_equals_at_the_top_no_blocks_are_asked_for(report_of):
    levels = {"uwsgi-wsgi": 6000, "granian-wsgi": 6000, "gunicorn-wsgi": 3000}
    (host,) = report_of(levels, 3, noise=0.05, seed=1).hosts
    (step,) = host.next_steps
    assert step.startswith(
        "40 blocks would hardly tell these apart: uwsgi-wsgi and granian-wsgi on"
    )


def test_once_the_first_is_known_the_closest_pair_is_next(report_of):
    levels = {"uwsgi-wsgi": 9000, "granian-wsgi": 4100, "gunicorn-wsgi": 4000}
    (host,) = report_of(levels, 3, noise=0.02, seed=1).hosts
    assert "uwsgi-wsgi is fastest" in host.answer
    assert "closest pairs" in host.next_steps[0]
