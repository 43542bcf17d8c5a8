"""Latency at fixed rates in every format; and no ranking, chart or decision that knows of it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import factory
import jsonschema
import pytest
from rich.console import Console

from collect.changes import compare_runs
from collect.checks import verdict
from collect.decide import decide_run
from collect.lang import speaking
from collect.model import HostFigures, Outcome, RateErrors, Rates
from collect.report import build_report, render_markdown, render_terminal
from collect.report.charts import charts_of, svg
from collect.report.data import render_csv, render_json
from collect.report.html import render_html
from collect.report.rates import rates_of, tables
from collect.report.runs import describe_run
from collect.report.single import find_trial, single_parts
from collect.store import load_run

SCHEMA = Path(__file__).parents[2] / "docs/report.schema.json"
UNKNOWN_AT_A_RATE = ("n/a", "", "", "", "not carried", "", "n/a")
RATES = Rates((0.25, 0.5, 0.75), 150.0, slo_p99_ms=200.0)


def make(rates=RATES, blocks=3, **changes):
    plan = factory.plan(rates=rates, blocks=blocks)
    return plan, [replace(one, **changes) if changes else one for one in trials_of(plan)]


def trials_of(plan):
    return factory.noisy_trials(plan)


def legs(trials):
    return [one for one in trials if one.leg != "capacity"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    plan, trials = make()
    return load_run(factory.write_host(tmp_path_factory.mktemp("results"), plan, trials))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    plan, trials = make(rates=None)
    return load_run(factory.write_host(tmp_path_factory.mktemp("results"), plan, trials))


def test_nothing_that_ranks_knows_of_the_legs(run, bare):
    (with_legs,), (without,) = build_report(run).hosts, build_report(bare).hosts
    assert len(with_legs.legs) == 6 * 2 * 5 * 3
    assert with_legs.endpoints == without.endpoints
    assert with_legs.proxies == without.proxies
    assert with_legs.ladders == without.ladders
    assert with_legs.answer == without.answer
    assert with_legs.notes == without.notes
    assert [line.trial.trial_id for line in with_legs.trials] == [
        line.trial.trial_id for line in without.trials
    ]
    names = {chart.name for chart in charts_of(with_legs)}
    new = names - {chart.name for chart in charts_of(without)}
    assert new == {f"{kind}-{name}" for kind in ("rates", "common") for name in ("health", "movie")}
    drawn = {chart.name: chart.spec for chart in charts_of(with_legs)}
    # Legs take time, so what is drawn over time has other moments.
    alike = [chart for chart in charts_of(without) if "temporal" not in json.dumps(chart.spec)]
    assert len(alike) > 4
    assert all(drawn[chart.name] == chart.spec for chart in alike)


def test_a_decision_rests_on_full_load_alone():
    plan, trials = make(blocks=5)
    full = [one for one in trials if one.leg == "capacity"]
    assert decide_run(plan, trials, 5) == decide_run(plan, full, 5)
    # Also where the leg would come first, and its figure into an empty cell.
    legs_first = sorted(trials, key=lambda one: one.leg == "capacity")
    assert decide_run(plan, legs_first, 5) == decide_run(plan, full, 5)


def test_two_runs_are_compared_by_full_load_alone(run, bare):
    changes = compare_runs(run, bare)
    assert changes.hosts[0].a.trials == changes.hosts[0].b.trials == 36
    assert not changes.hosts[0].a.missing


def test_a_missing_leg_is_missing(tmp_path):
    plan, trials = make()
    run = load_run(factory.write_host(tmp_path, plan, [t for t in trials if t.share != 0.5]))
    (host,) = run.hosts
    assert {planned.share for planned in host.missing} == {0.5}
    assert len(host.missing) == 36
    line = describe_run(run.folder)
    assert (line.trials, line.missing) == (len(trials) - 36, 36)


def test_figures_are_medians_over_blocks_with_an_interval(run):
    (host,) = build_report(run).hosts
    health = host.rates[0]
    assert health.endpoint == "health"
    row = next(r for r in health.own if (r.variant, r.share) == ("granian-wsgi", 0.5))
    assert (row.blocks, row.missed, row.lost) == (3, 0, 0)
    # Speeds of the blocks are 1, 0.96, 1.05: the medians are those of the first.
    assert row.rate_rps == pytest.approx(5310 * 0.5)
    mean = (1 * 0.96 * 1.05) ** (1 / 3)
    assert row.p99_ms == pytest.approx(4 * 1000 / 5310 / 0.5 / mean)
    assert row.p99_low_ms < row.p99_ms < row.p99_high_ms
    assert row.p50_ms < row.p90_ms < row.p99_ms < row.p999_ms


def test_a_rate_that_was_not_kept_has_no_latency(run):
    (host,) = build_report(run).hosts
    movie = host.rates[1]
    slow = {"daphne-asgi", "uvicorn-asgi", "hypercorn-asgi"}
    assert {row.variant for row in movie.common if not row.is_carried} == slow
    assert "Not carried by" in movie.said[0]
    lost = [line for line in host.legs if line.trial.variant in slow and line.trial.leg == "common"]
    lost = [line for line in lost if line.trial.endpoint == "movie"]
    assert {reason.code for line in lost for reason in line.verdict.reasons} == {"rate_missed"}
    common = next(table for table in tables(movie) if "one rate" in table.title)
    cells = next(row for row in common.rows if row[0] == "daphne-asgi")
    assert cells[3:8] == ("", "", "", "not carried", "")


def test_one_sentence_says_who_answers_soonest_and_whether_that_is_told(run):
    (host,) = build_report(run).hosts
    assert (
        host.rates[0]
        .said[0]
        .startswith("At 150 req/s for all on health, uwsgi-wsgi has the lowest p99, 0.649 ms [")
    )
    assert "The highest is that of daphne-asgi" in host.rates[0].said[0]
    # With one block nothing is told apart.
    plan, trials = make(blocks=1)
    alone = rates_of(plan, legs(trials))[0]
    assert "cannot be told from it" in alone.said[0]
    assert "[" not in alone.said[0]


def test_the_rate_within_a_limit_is_said_with_its_interval(run):
    (host,) = build_report(run).hosts
    said = [one for one in host.rates[0].said if one.startswith("granian-wsgi carries")]
    assert len(said) == 1
    assert said[0].endswith("] on health with p99 up to 200 ms.")
    row = next(row for row in host.rates[0].slo if row.variant == "granian-wsgi")
    assert row.found.low_rps < 0.8 * 5310 < row.found.high_rps


@pytest.mark.parametrize(("over", "words"), [(0, "more than"), (400, "does not even carry")])
def test_an_end_that_was_hit_is_said(over, words):
    plan, trials = make(blocks=2)
    found = []
    for one in legs(trials):
        if one.search is not None:
            steps = tuple(replace(step, over=over) for step in one.search.steps)
            found.append(replace(one, search=replace(one.search, steps=steps)))
    part = rates_of(plan, found)[0]
    assert all(words in said for said in part.said)
    assert all(row.found.low_rps is None for row in part.slo)


@pytest.mark.parametrize("failed", [1, 2, 3, 5])
def test_searches_in_which_the_server_died_are_not_left_out_in_silence(tmp_path, failed):
    plan, trials = make(blocks=5)
    died = Outcome("server_died", "main process 10 was replaced by 20")
    spoilt = [
        replace(one, outcome=died, rate=None, search=None)
        if one.leg == "slo" and one.variant == "granian-wsgi" and one.block <= failed
        else one
        for one in trials
    ]
    (host,) = build_report(load_run(factory.write_host(tmp_path, plan, spoilt))).hosts
    (row,) = (row for row in host.rates[0].slo if row.variant == "granian-wsgi")
    (said,) = (one for one in host.rates[0].said if one.startswith("granian-wsgi"))
    cells = next(row for row in tables(host.rates[0])[-1].rows if row[0] == "granian-wsgi")
    assert f"{failed} of 5 searches" in said
    assert cells[-1] == f"{failed} of 5 failed"
    if failed < 3:
        assert said.startswith("granian-wsgi carries ")
        assert row.found.blocks == 5 - failed
    else:
        assert row.found is None
        assert "nobody can say what it carries" in said
        assert host.rates[0].slo[-1] is row
        assert json.loads(render_json(build_report(load_run(tmp_path / plan.run_id))))


def test_a_block_that_missed_the_rate_is_later_than_all_others():
    plan, trials = make(Rates((0.5,)), blocks=5)
    own = [one for one in legs(trials) if one.endpoint == "health"]
    own = [one for one in own if one.variant == "granian-wsgi"]

    def miss(count):
        found = [
            replace(one, rate=replace(one.rate, achieved_rps=1.0)) if one.block <= count else one
            for one in own
        ]
        return rates_of(plan, found)[0].own[0]

    kept = sorted(one.rate.latency_ms.p99 for one in own[2:])
    two = miss(2)
    assert (two.missed, two.is_carried) == (2, True)
    assert two.p99_ms == max(kept)
    assert two.p99_low_ms is None
    three = miss(3)
    assert (three.is_carried, three.p99_ms) == (False, None)


@pytest.mark.parametrize("status", ["server_died", "not_ready"])
def test_a_server_that_failed_at_a_rate_did_not_keep_it(tmp_path, status):
    plan, trials = make(blocks=5)
    spoilt = [
        replace(one, outcome=Outcome(status, "main process 10 was replaced by 20"), rate=None)
        if (one.variant, one.endpoint, one.leg) == ("uwsgi-wsgi", "health", "common")
        and one.block in (2, 4)
        else one
        for one in trials
    ]
    (host,) = build_report(load_run(factory.write_host(tmp_path, plan, spoilt))).hosts
    row = next(one for one in host.rates[0].common if one.variant == "uwsgi-wsgi")
    assert (row.blocks, row.missed, row.p99_low_ms) == (5, 2, None)
    said = host.rates[0].said[0]
    # The blocks that are left are its good ones: nothing is told from them.
    assert "cannot be told from it" in said
    assert "uwsgi-wsgi did not keep it in 2 of 5 blocks." in said
    common = next(one for one in tables(host.rates[0]) if "one rate" in one.title)
    assert next(cells for cells in common.rows if cells[0] == "uwsgi-wsgi")[6] == "2 of 5 not kept"


@pytest.mark.parametrize("what", [{"restarts": 1}, {"oom_kills": 1}])
def test_a_server_that_was_started_anew_at_a_rate_did_not_keep_it(tmp_path, what):
    # The requests that were answered have figures all the same: of the part that it lived through.
    plan, trials = make(blocks=5)
    spoilt = [
        replace(one, service=replace(one.service, **what))
        if (one.variant, one.endpoint, one.leg) == ("uwsgi-wsgi", "health", "common")
        and one.block in (2, 4)
        else one
        for one in trials
    ]
    (host,) = report_of(tmp_path, plan, spoilt).hosts
    row = next(one for one in host.rates[0].common if one.variant == "uwsgi-wsgi")
    assert (row.blocks, row.missed) == (5, 2)
    assert "uwsgi-wsgi did not keep it in 2 of 5 blocks." in host.rates[0].said[0]


def died_at(trials, rates, is_hit):
    """Let the server die at the legs in question, before the generator could note a rate."""
    died = Outcome("server_died", "main process 10 was replaced by 20")
    return [
        replace(one, outcome=died, rate=None, search=None)
        if one.leg in rates and is_hit(one)
        else one
        for one in trials
    ]


def is_uwsgi_on_health(one):
    return (one.variant, one.endpoint) == ("uwsgi-wsgi", "health")


def report_of(tmp_path, plan, trials):
    return build_report(load_run(factory.write_host(tmp_path, plan, trials)))


def test_a_server_that_died_in_every_block_is_in_every_format(tmp_path):
    plan, trials = make(Rates((0.5,), 150.0), blocks=5)
    report = report_of(tmp_path, plan, died_at(trials, ("common", "share"), is_uwsgi_on_health))
    (host,) = report.hosts
    health = host.rates[0]
    own, common = (
        next(row for row in rows if row.variant == "uwsgi-wsgi")
        for rows in (health.own, health.common)
    )
    # Nobody noted what half of its capacity was; the rate for all stands in the plan.
    assert (own.rate_rps, own.share, common.rate_rps) == (None, 0.5, 150)
    for row in (own, common):
        assert (row.blocks, row.missed, row.is_carried) == (5, 5, False)
        assert (row.achieved_rps, row.p50_ms, row.p99_ms, row.lag_p99_ms) == (None,) * 4
    assert health.common[-1] is common
    assert health.said[0].endswith("Not carried by uwsgi-wsgi.")
    shares, at_one = tables(health)
    assert next(row for row in shares.rows if row[0] == "uwsgi-wsgi")[1:4] == ("50 %", "n/a", "n/a")
    assert at_one.rows[-1] == ("uwsgi-wsgi", "150", *UNKNOWN_AT_A_RATE)
    for render in (render_markdown, render_terminal, render_html):
        shown = render(report)
        assert "Not carried by uwsgi-wsgi" in " ".join(shown.replace("\\", "").split())
        assert shown.count("not carried") >= 2
    data = json.loads(render_json(report))
    jsonschema.validate(data, json.loads(SCHEMA.read_text()))
    rows = [row for row in data["hosts"][0]["rates"][0]["own"] if row["variant"] == "uwsgi-wsgi"]
    assert [(row["rate_rps"], row["blocks"], row["missed"]) for row in rows] == [(None, 5, 5)]
    csv_rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    one = next(row for row in csv_rows if row["trial_id"] == "b01-uwsgi-wsgi-health-common")
    assert (one["outcome.status"], one["rate.rate_rps"]) == ("server_died", "")
    for chart in charts_of(host):
        assert "<svg" in svg(chart)


def test_a_rate_that_was_to_be_found_is_that_of_the_others(tmp_path):
    plan, trials = make(Rates((), common_is_auto=True), blocks=5)
    (host,) = report_of(tmp_path, plan, died_at(trials, ("common",), is_uwsgi_on_health)).hosts
    *others, last = host.rates[0].common
    assert (last.variant, last.blocks) == ("uwsgi-wsgi", 4)
    assert {row.rate_rps for row in others} == {last.rate_rps}


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        (Rates((), 150.0), "At 150 req/s for all on health, no p99 is known."),
        (
            Rates((), common_is_auto=True),
            "The one rate for all on health is not known, and no p99 at it.",
        ),
    ],
)
def test_where_all_died_no_p99_is_known(tmp_path, rates, words):
    plan, trials = make(rates, blocks=3)
    report = report_of(
        tmp_path, plan, died_at(trials, ("common",), lambda one: one.endpoint == "health")
    )
    (said,) = report.hosts[0].rates[0].said
    assert said.startswith(f"{words} Not carried by uwsgi-wsgi, ")
    for render in (render_markdown, render_terminal, render_html, render_json):
        assert render(report)


def test_none_is_called_the_highest_beside_one_that_is_later_than_what_was_measured(tmp_path):
    def lose(one):
        figures = one.rate
        if figures is None or (one.variant, one.leg) != ("daphne-asgi", "common"):
            return one
        lost = round(figures.requests * 0.015)
        latency = replace(figures.latency_ms, p99=None, p999=None, max=None, mean=None)
        return replace(
            one,
            rate=replace(
                figures,
                answered=figures.requests - lost,
                errors=RateErrors(0, 0, lost, 0),
                latency_ms=latency,
            ),
        )

    plan, trials = make(Rates((), 150.0), blocks=5)
    (host,) = report_of(tmp_path, plan, list(map(lose, trials))).hosts
    health = host.rates[0]
    row = health.common[-1]
    assert (row.variant, row.is_carried, row.p99_ms) == ("daphne-asgi", True, None)
    assert "The highest" not in health.said[0]
    assert health.said[0].endswith(
        "Later than what was measured, and so not known, is that of daphne-asgi."
    )


def test_a_reason_that_legs_share_stands_among_the_notes(tmp_path):
    plan, trials = make(blocks=3)
    late = [
        replace(one, rate=replace(one.rate, own_lag_p99_ms=300.0)) if one.rate else one
        for one in trials
    ]
    report = build_report(load_run(factory.write_host(tmp_path, plan, late)))
    assert "generator_late" in {note.reason.code for note in report.hosts[0].notes}
    for render in (render_markdown, render_terminal, render_html):
        assert "more than 300 ms after they were due" in " ".join(render(report).split())


def test_of_few_requests_no_percentile_of_a_thousand_is_shown():
    plan, trials = make(Rates((0.5,)), blocks=3)
    few = [replace(one, rate=replace(one.rate, requests=900, answered=900)) for one in legs(trials)]
    assert {row.p999_ms for part in rates_of(plan, few) for row in part.own} == {None}


def test_requests_without_an_answer_are_never_fast():
    plan, trials = make(Rates((0.5,)), blocks=2)
    lost = []
    for one in legs(trials):
        latency = replace(one.rate.latency_ms, p99=None, p999=None, max=None, mean=None)
        answered = one.rate.requests - one.rate.requests // 50
        figures = replace(one.rate, latency_ms=latency, answered=answered)
        lost.append(replace(one, rate=replace(figures, errors=RateErrors(0, 0, 1, 0))))
    row = rates_of(plan, lost)[0].own[0]
    assert (row.p99_ms, row.p99_low_ms) == (None, None)
    assert row.p50_ms is not None
    assert [r.code for r in verdict(lost[0]).reasons] == ["unanswered"]
    assert verdict(lost[0]).status == "invalid"


def codes(**changes):
    _plan, trials = make(Rates((0.5,)), blocks=1)
    one = legs(trials)[0]
    return verdict(replace(one, **changes)), one


def test_verdicts_of_a_leg():
    sound, one = codes()
    assert sound.status == "valid"
    missed = replace(one.rate, achieved_rps=one.rate.rate_rps * 0.97)
    assert [r.code for r in codes(rate=missed)[0].reasons] == ["rate_missed"]
    assert codes(rate=missed)[0].status == "suspect"
    # Three of 150 requests that came a moment later are no queue.
    few = replace(one.rate, rate_rps=15.0, achieved_rps=14.6)
    assert codes(rate=few)[0].status == "valid"
    late = replace(one.rate, own_lag_p99_ms=40.0)
    assert [r.code for r in codes(rate=late)[0].reasons] == ["generator_late"]
    busy = replace(one.cpu, loadgen_s=11 * 2 * 0.2)
    assert [r.code for r in codes(cpu=busy)[0].reasons] == ["generator_busy"]
    assert [r.code for r in codes(rate=None)[0].reasons] == ["no_figures"]
    # Little's law, which knows of full connections only, has no say here; the host still has.
    assert [r.code for r in codes(host_state=HostFigures(7, 0.0, 0.05, 1.0))[0].reasons] == [
        "listen_overflows"
    ]


def test_every_format_has_the_section_and_a_bare_run_has_none(run, bare):
    title = "Latency at a fixed rate"
    full, none = build_report(run), build_report(bare)
    for render in (render_markdown, render_terminal, render_html):
        assert title in render(full)
        assert title not in render(none)
    shown = render_terminal(full, width=80)
    assert max(map(len, shown.splitlines())) <= 80
    with speaking("zh"):
        assert "固定速率下的延迟" in render_markdown(full)


def test_data_formats_hold_the_legs_apart(run):
    report = build_report(run)
    (host,) = json.loads(render_json(report))["hosts"]
    assert len(host["trials"]) == 36
    assert len(host["legs"]) == 180
    assert host["rates"][0]["common"][0]["rate_rps"] == 150
    assert host["rates"][0]["slo"][0]["found"]["end"] == "between"
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert [row["leg"] for row in rows].count("capacity") == 36
    one = next(row for row in rows if row["trial_id"] == "b01-granian-wsgi-health-r50")
    assert (one["wrk.rps"], one["rate.rate_rps"]) == ("", "2655.0")


def test_charts_are_drawn(run):
    (host,) = build_report(run).hosts
    drawn = [chart for chart in charts_of(host) if chart.name in ("rates-health", "common-movie")]
    assert len(drawn) == 2
    for chart in drawn:
        assert "<svg" in svg(chart)


@pytest.mark.parametrize(
    ("trial_id", "words"),
    [
        ("b02-granian-wsgi-movie-r75", "75% of its own capacity"),
        ("b01-daphne-asgi-movie-common", "rate_missed"),
        ("b01-granian-wsgi-health-slo", "does not hold"),
    ],
)
def test_one_leg_is_shown_by_its_id(run, trial_id, words):
    console = Console(file=io.StringIO(), width=200)
    for part in single_parts(find_trial(run, trial_id)[0]):
        console.print(part)
    shown = console.file.getvalue()
    assert words in shown
    assert "What wrk printed" not in shown
