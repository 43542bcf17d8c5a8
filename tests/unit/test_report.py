from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import factory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from collect.model import SCHEMA_VERSION, Decision, Endpoint, HostFigures, Outcome
from collect.report import build_report, render_markdown, render_terminal, terminal, text
from collect.report.charts import charts_of, draw, svg
from collect.store import HostFacts, HostRun, Run, StoredTrial, load_run
from collect.twin import add_twin

ANSI = re.compile(r"\x1b\[")


@pytest.fixture
def report_of(tmp_path):
    def build(*hosts):
        """Write each (plan, trials, decision) and read the run back, as the command line does."""
        for host in hosts:
            run = factory.write_host(tmp_path, *host)
        return build_report(load_run(run))

    return build


def flat(page):
    """Return the page as one line, as its reader takes it in."""
    return " ".join(page.split())


def mixed():
    """Return a run with one of everything: a tie, closed connections, a failure, a gap."""
    plan = factory.plan()
    noisy = {one.trial_id: one for one in factory.noisy_trials(plan)}
    trials = []
    for planned in plan.trials[:-1]:
        if planned.variant == "daphne-asgi":
            trials.append(factory.failed(plan, planned, "not_ready", "no answer within 30 s"))
        elif planned.variant == "uwsgi-wsgi":
            trials.append(factory.closing(plan, planned))
        elif planned.variant == "granian-wsgi" and planned.block == 2:
            trials.append(factory.failed(plan, planned, "server_died", "main process 100 ended"))
        else:
            trials.append(noisy[planned.id])
    return plan, trials


def two_profiles():
    matrix = [
        {"server": "uwsgi", "interface": "wsgi"},
        {"server": "uwsgi", "interface": "wsgi", "proxy": "caddy"},
        {"server": "granian", "interface": "wsgi"},
    ]
    variants = factory.variants(matrix, ["parity", "study"])
    plan = factory.plan(variants=variants, blocks=2, order="sequential")
    return plan, factory.noisy_trials(plan)


def ended_early():
    """Return a run with a twin that was decided after 4 of 10 blocks; one trial ran twice."""
    plan = factory.plan(
        variants=add_twin(factory.variants(factory.PAIRS[:5]), "granian-wsgi"),
        blocks={"min": 3, "max": 10},
        decide={"gap": "5%"},
    )
    trials = []
    for one in factory.noisy_trials(plan, 0.01):
        planned = next(planned for planned in plan.trials if planned.id == one.trial_id)
        if one.block > 4:
            continue
        if one.trial_id == "b02-uvicorn-asgi-movie":
            trials += [
                factory.failed(plan, planned, "server_died", "main process 100 ended"),
                factory.rerun(one),
            ]
        elif one.trial_id == "b03-daphne-asgi-health":
            trials.append(replace(one, host_state=HostFigures(0, 0.0, 0.09, 1.0)))
        else:
            trials.append(one)
    return plan, trials, Decision(SCHEMA_VERSION, plan.run_id, 4, "decided", ())


def test_mixed_run_in_the_terminal(report_of, check_snapshot):
    check_snapshot("report/mixed.txt", render_terminal(report_of(mixed())))


def test_mixed_run_as_markdown(report_of, check_snapshot):
    check_snapshot("report/mixed.md", render_markdown(report_of(mixed())))


def test_run_that_ended_early_with_a_twin(report_of, check_snapshot):
    report = report_of(ended_early())
    check_snapshot("report/ended-early.txt", render_terminal(report))
    check_snapshot("report/ended-early.md", render_markdown(report).split("### Every trial")[0])


def test_healthy_run_on_two_hosts(report_of, check_snapshot):
    hosts = [factory.plan(host=name) for name in ("lab1", "lab2")]
    report = report_of(*((plan, factory.noisy_trials(plan)) for plan in hosts))
    assert [host.name for host in report.hosts] == ["lab1", "lab2"]
    check_snapshot("report/two-hosts.txt", render_terminal(report))


def test_few_blocks_proxies_and_profiles(report_of, check_snapshot):
    check_snapshot("report/profiles.txt", render_terminal(report_of(two_profiles())))


def test_raw_shows_what_wrk_printed(report_of):
    report = report_of(mixed())
    page = render_terminal(report, raw=True)
    for line in report.hosts[0].trials:
        output = line.stored.wrk_text()
        assert output.rstrip() in page
        assert output.rstrip() in render_markdown(report)
    assert "wrk printed nothing." in page


def test_of_very_many_trials_a_terminal_shows_those_that_are_not_valid(report_of, monkeypatch):
    plan, trials = mixed()
    report = report_of((plan, trials))
    monkeypatch.setattr(terminal, "_MOST_TRIALS", 12)
    table = render_terminal(report).split("Every trial")[1].split("are valid and not")[0]
    assert "b01-granian-wsgi-health" not in table
    assert "b02-granian-wsgi-health" in table
    telling = sum(line.verdict.status != "valid" for line in report.hosts[0].trials)
    valid = len(trials) - telling
    said = f"{valid} of {len(trials)} trials are valid and not shown here; of the other "
    assert f"{said}{telling}, {min(telling, 12)} are." in flat(render_terminal(report))


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("make", [mixed, two_profiles, ended_early])
def test_no_line_is_wider_than_the_terminal(report_of, width, make):
    page = render_terminal(report_of(make()), width=width)
    assert max(map(cell_len, page.splitlines())) <= width
    assert not ANSI.search(page)


def test_numbers_are_never_cut_at_80_columns(report_of):
    page = render_terminal(report_of(two_profiles()), width=80)
    assert "…" not in page


@pytest.mark.parametrize("make", [mixed, two_profiles, ended_early])
def test_our_own_words_are_never_cut(report_of, make):
    assert "…" not in render_markdown(report_of(make()))


def test_colour_is_only_colour(report_of):
    report = report_of(mixed())
    coloured = render_terminal(report, colour=True)
    assert ANSI.search(coloured)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.strip().splitlines()] == (
        render_terminal(report).splitlines()
    )


def test_the_first_line_is_the_answer(report_of):
    plan = factory.plan(blocks=5)
    page = render_terminal(report_of((plan, factory.noisy_trials(plan))))
    first = flat(page.split("\n\n")[0])
    assert re.match(
        r"On health uwsgi-wsgi is fastest: 1\.\d+x \[1\.\d+, 1\.\d+\] granian-wsgi, the closest of "
        r"the 2 next\. On movie ",
        first,
    )


def test_the_answer_names_the_host_where_there_are_several(report_of):
    plans = [factory.plan(host=name) for name in ("lab1", "lab2")]
    page = render_terminal(report_of(*((plan, factory.noisy_trials(plan)) for plan in plans)))
    assert page.startswith("lab1: On health ")
    assert "\nlab2: On health " in page


def in_memory(plan, trials):
    stored = tuple(StoredTrial(Path("nowhere"), one) for one in trials)
    host = HostRun(plan.host, Path("nowhere"), plan, HostFacts(), (), None, stored, ())
    return build_report(Run(plan.run_id, Path("nowhere"), (host,)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tie_is_never_shown_as_a_win(data):
    order = data.draw(st.sampled_from(["interleaved", "interleaved", "sequential"]))
    plan = factory.plan(
        variants=factory.variants(factory.PAIRS[:4]),
        endpoints=factory.ENDPOINTS[:1],
        blocks=data.draw(st.integers(1, 5)),
        order=order,
    )
    means = {v.id: data.draw(st.sampled_from([1000, 1010, 1100, 2000])) for v in plan.variants}
    noise = st.floats(-0.1, 0.1)
    trials = [
        replace(
            one := factory.trial(planned, plan),
            wrk=factory.wrk(means[one.variant] * math.exp(data.draw(noise)), plan.load),
        )
        for planned in plan.trials
    ]
    report = in_memory(plan, trials)
    (host,) = report.hosts
    (endpoint,) = host.endpoints
    for table in (endpoint.rps, endpoint.memory, endpoint.p99, endpoint.cpu):
        states = {frozenset((pair.a, pair.b)): pair.state for pair in table.ranking.pairs}
        for above in table.rows:
            for below in table.rows:
                if above.tier and below.tier and above.tier < below.tier:
                    pair = frozenset((above.variant.id, below.variant.id))
                    assert states[pair] == "separated"
            peers = [row for row in table.rows if row.tier == above.tier is not None]
            assert above.is_shared == (len(peers) > 1)
            assert text.tier(above, "interleaved").endswith("=") == above.is_shared
    winners = [row for row in endpoint.rps.rows if row.tier == 1]
    assert ("is fastest" in host.answer) == (order == "interleaved" and len(winners) == 1)
    if order == "sequential":
        assert all(text.tier(row, order).endswith("?") for row in endpoint.rps.rows)
    for page in (render_terminal(report), render_markdown(report)):
        assert "nan" not in page
        assert "inf" not in page


def test_one_block_gives_no_interval_and_says_so(report_of):
    plan = factory.plan(blocks=1)
    report = report_of((plan, factory.noisy_trials(plan)))
    (host,) = report.hosts
    for endpoint in host.endpoints:
        for table in (endpoint.rps, endpoint.memory, endpoint.p99, endpoint.cpu):
            assert {(row.tier, row.behind) for row in table.rows} == {(None, None)}
    page = flat(render_terminal(report))
    assert page.startswith("Nobody can be called fastest yet.")
    assert "One block of 30 s trials: there is no interval" in page
    assert "-e bench_blocks=5" in page
    assert re.search(r"\? uwsgi wsgi 6,\d+ n/a", page)


def test_the_twin_is_no_competitor_and_its_gap_is_shown(report_of):
    report = report_of(ended_early())
    (host,) = report.hosts
    for endpoint in host.endpoints:
        for table in (endpoint.rps, endpoint.memory, endpoint.p99, endpoint.cpu):
            assert "granian-wsgi-twin" not in {row.variant.id for row in table.rows}
        assert endpoint.rps.ranking.smallest_gap > 0
    assert "twin" not in {
        name for variant, _ in host.settings.rows for name in variant.id.split("-")
    }
    page = flat(render_terminal(report))
    assert "Twin: granian-wsgi was deployed twice" in page
    gap = text.percent(host.endpoints[0].rps.ranking.smallest_gap)
    assert "the smallest difference to believe today; closer pairs share a tier." in page
    assert f"health: req/s {gap} (" in page
    assert "twin" not in host.answer


def test_settings_stay_readable_at_80_columns_whatever_an_entry_point_is_called(report_of):
    entry_point = "config.asgi_shared_thread:application"
    knobs = {"application": entry_point, "preload": True, "loop": "uvloop", "backpressure": 64}
    lines = [{**pair, "label": "tuned", "knobs": knobs} for pair in factory.PAIRS]
    plan = factory.plan(variants=factory.variants([*factory.PAIRS, *lines]), blocks=1)
    report = report_of((plan, factory.noisy_trials(plan, 0.01), None))
    for page in (render_terminal(report), render_markdown(report)):
        shown = flat(page.split("Settings")[1].split("Every trial")[0].replace("\\", ""))
        assert shown.count(f"(a) {entry_point}.") == shown.count(entry_point) == 1
    shown = render_terminal(report).split("Settings")[1].split("Every trial")[0].splitlines()
    assert max(map(len, shown)) <= 80
    for variant in plan.variants:
        rows = [line for line in shown if line.split()[:1] == [variant.id]]
        assert len(rows) == 2, "one line in each part of the table"


def test_a_run_that_ended_early_says_why_and_misses_nothing(report_of):
    report = report_of(ended_early())
    (host,) = report.hosts
    page = flat(render_terminal(report))
    assert (
        "End: decided after 4 of 10 blocks: every pair is told apart by req/s, or known to" in page
    )
    assert "lie within 5.00 %" in page
    assert "not here yet" not in page
    assert {row.planned for row in host.endpoints[0].rps.rows} == {4}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("time_budget", "the time budget of 10 min was used up after 2 of 3 blocks."),
        ("going_on", "not yet: 2 of 3 blocks are whole."),
    ],
)
def test_why_a_run_ended(report_of, reason, said):
    plan = factory.plan(time_budget_s=600)
    trials = [one for one in factory.noisy_trials(plan) if one.block < 3]
    decision = Decision(SCHEMA_VERSION, plan.run_id, 2, reason, ())
    report = report_of((plan, trials, decision))
    assert f"End: {said}" in flat(render_terminal(report))
    assert f"- End: {said}" in render_markdown(report)
    assert report.hosts[0].answer.startswith("So far: ") == (reason == "going_on")


def test_how_many_more_blocks_would_separate_the_closest_pair(report_of):
    plan = factory.plan()
    report = report_of((plan, factory.noisy_trials(plan, 0.05)))
    page = flat(render_terminal(report))
    for endpoint in report.hosts[0].endpoints:
        pair = endpoint.rps.ranking.closest
        assert {pair.a, pair.b} & {"granian-wsgi", "hypercorn-asgi"}
        assert f"on {endpoint.endpoint.name} {pair.a}" in page or f"{pair.b} and {pair.a}" in page
        if pair.blocks_needed:
            assert f"about {text.number(pair.blocks_needed, 'more block')} would decide it" in page


def test_a_sequential_run_crowns_nobody(report_of):
    plan = factory.plan(order="sequential", blocks=5)
    report = report_of((plan, factory.noisy_trials(plan)))
    page = flat(render_terminal(report))
    assert "is fastest" not in page
    assert page.startswith("Nobody can be called fastest: the trials ran in sequential order")
    assert "may be the hour's and not the server's" in page
    assert "On health the highest figure is uwsgi-wsgi's." in page
    assert re.search(r"1\? +uwsgi", page)
    assert "-e bench_order=interleaved" in page
    assert "Closest:" not in page


def test_an_invalid_trial_and_its_rerun_are_both_counted(report_of):
    report = report_of(ended_early())
    (host,) = report.hosts
    page = flat(render_terminal(report))
    assert "Trials: 48 of 48 and 1 re-run are here: 47 valid, 1 suspect, 1 invalid." in page
    assert "Left out of every figure: 1 of 49 trials; a re-run stands in for 1" in page
    assert "Mend what is listed" not in page
    uvicorn = next(row for row in host.endpoints[1].rps.rows if row.variant.id == "uvicorn-asgi")
    assert (uvicorn.used, uvicorn.planned) == (4, 4)


def test_a_canary_flags_its_trial(report_of):
    page = flat(render_terminal(report_of(ended_early())))
    assert "a canary: daphne-asgi, 1 trial. A fixed piece of work" in page
    assert "Compare this trial with those of its own block only" in page


def test_knobs_without_a_setting_are_shown_as_such(report_of):
    plan = factory.plan(blocks=1)
    page = render_terminal(report_of((plan, None)))
    (uvicorn,) = re.findall(r"^uvicorn-asgi .*2 .*", page, re.MULTILINE)
    assert "n/a" in uvicorn
    assert "n/a: the server has no setting for it" in page
    # Nobody set a loop, so nobody misses one.
    assert not re.search(r"^variant .*loop", page, re.MULTILINE)


def test_environment_and_arguments_are_counted_and_not_shown(report_of):
    variants = factory.variants(factory.PAIRS[:1])
    knobs = {**variants[0].knobs, "environment": {"TOKEN": "hush"}, "extra_arguments": ["--x=hush"]}
    plan = factory.plan(blocks=1, variants=[replace(variants[0], knobs=knobs)])
    report = report_of((plan, None))
    for page in (render_terminal(report), render_markdown(report)):
        assert "1 set" in page
        assert "hush" not in page


def test_one_variant_alone_gets_its_figures(report_of):
    plan = factory.plan(variants=factory.variants(factory.PAIRS[:1]))
    (host,) = report_of((plan, None)).hosts
    assert host.answer == (
        "uwsgi-wsgi: 6,290 req/s on health, 1,260 req/s on movie; nothing to compare it with."
    )
    assert host.warnings == ()
    assert [step.split()[0] for step in host.next_steps] == ["Keep"]


def chain(factors):
    """Build a run in which each variant's figures scatter by its own factor from block to block."""
    plan = factory.plan(
        variants=factory.variants(factory.PAIRS[: len(factors)]),
        endpoints=factory.ENDPOINTS[:1],
        blocks=5,
    )
    speeds = dict(zip((v.id for v in plan.variants), factors, strict=True))
    waves = (0, 1, -1, 0.5, -0.5)
    trials = []
    for planned in plan.trials:
        speed, spread, turn = speeds[planned.variant]
        wave = waves[(planned.block - 1 + turn) % len(waves)]
        rps = speed * math.exp(spread * wave)
        trials.append(replace(factory.trial(planned, plan), wrk=factory.wrk(rps, plan.load)))
    return in_memory(plan, trials).hosts[0]


def test_the_best_of_a_chain_is_named_with_who_is_slower_for_sure():
    # granian scatters so much that it is told apart from nobody.
    host = chain([(1000, 0.01, 0), (500, 0.02, 2), (800, 0.8, 1), (990, 0.02, 3), (985, 0.02, 4)])
    assert {row.tier for row in host.endpoints[0].rps.rows} == {1}
    assert host.answer.startswith(
        "On health uwsgi-wsgi has the best figures: of the other 4 it is faster than "
        "gunicorn-wsgi, by 2.00x ["
    )
    assert "; the rest may be its equals." in host.answer


def test_of_several_that_are_slower_the_closest_is_named():
    host = chain([(1000, 0.01, 0), (500, 0.02, 2), (800, 0.8, 1), (700, 0.02, 3), (985, 0.02, 4)])
    assert "it is faster than 2 of the other 4, than uvicorn-asgi as the closest" in host.answer


def test_what_failed_enters_no_figure_and_does_not_disappear(report_of):
    plan, trials = mixed()
    (host,) = report_of((plan, trials)).hosts
    for endpoint in host.endpoints:
        for rows in (endpoint.rps.rows, endpoint.memory.rows):
            assert {row.variant.id for row in rows} == set(factory.FIGURES)
            assert rows[-1].variant.id == "daphne-asgi"
            assert rows[-1].median is None
        granian = next(row for row in endpoint.rps.rows if row.variant.id == "granian-wsgi")
        assert (granian.used, granian.planned) == (2, 3)
    left_out = {line.trial.trial_id for line in host.left_out}
    assert left_out == {one.trial_id for one in trials if one.outcome.status != "ok"}
    page = flat(render_terminal(report_of((plan, trials))))
    assert "no valid trial" in page
    assert "no answer within 30 s" in page
    assert "1 of 36 trials are not here yet" in page
    assert "Not compared everywhere: daphne-asgi." in page


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
    [(1.6143, "1.61"), (0.0123, "0.0123"), (1e-9, "<0.01"), (1e300, ">999"), (998.7, "999")],
)
def test_ratios_keep_their_proportion(value, shown):
    assert text.times(value) == shown


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


def test_the_winners_marks_are_read_first(report_of):
    (host,) = report_of(mixed()).hosts
    assert host.answer.count("Read marks a, b first.") == 1


def test_a_sequential_tie_names_nobody(report_of):
    (host,) = report_of(two_profiles()).hosts
    assert "On health the best figures tie even so." in host.answer
    assert not any(variant.id in host.answer for variant in host.plan.variants)


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_equal_within_the_gap_is_said_and_ends_the_advice(report_of, noise):
    plan = factory.plan(
        variants=factory.variants(factory.PAIRS[1:3]),
        endpoints=factory.ENDPOINTS[:1],
        blocks=5,
        decide={"gap": "10%"},
    )
    trials = [
        replace(one, wrk=factory.wrk(1000 * (1 + noise * math.sin(one.position)), plan.load))
        for one in factory.healthy_trials(plan)
    ]
    (host,) = report_of((plan, trials)).hosts
    assert host.answer.startswith("On health all 2 variants lie within 10.0 % of each other.")
    assert [step.split()[0] for step in host.next_steps] == ["Keep"]


def test_two_variations_of_a_pair_bear_different_names(report_of):
    matrix = [
        {"server": "gunicorn", "interface": "wsgi"},
        {"server": "gunicorn", "interface": "wsgi", "label": "sync", "knobs": {"threads": 1}},
    ]
    plan = factory.plan(variants=factory.variants(matrix))
    report = report_of((plan, factory.noisy_trials(plan)))
    assert "gunicorn-wsgi-sync" in render_terminal(report, width=80)
    assert "variation" in render_terminal(report, width=140)
    assert "| gunicorn | wsgi | sync |" in render_markdown(report)


def test_the_library_of_the_charts_is_put_together_once(tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "_BUILD", tmp_path / "build")
    monkeypatch.setattr(draw.vl_convert, "javascript_bundle", lambda *_a, **_k: "</script>\u2028")
    make = draw.javascript.__wrapped__
    assert make() == "<\\/script>\u2028"
    monkeypatch.setattr(draw.vl_convert, "javascript_bundle", None)
    assert make() == "<\\/script>\u2028"
    # Another version of it is another library.
    monkeypatch.setattr(draw, "version", lambda _name: "0")
    with pytest.raises(TypeError):
        make()


def test_a_disk_that_is_full_is_left_without_half_a_library(tmp_path, monkeypatch):
    def write(path, text, _encoding):
        path.write_bytes(text[:1].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(draw, "_BUILD", tmp_path / "build")
    monkeypatch.setattr(draw.vl_convert, "javascript_bundle", lambda *_a, **_k: "xyz")
    monkeypatch.setattr(Path, "write_text", write)
    assert draw.javascript.__wrapped__() == "xyz"
    assert [*(tmp_path / "build").iterdir()] == []


def test_a_library_that_cannot_be_kept_is_made_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "build").write_text("no folder")
    monkeypatch.setattr(draw, "_BUILD", tmp_path / "build")
    monkeypatch.setattr(draw.vl_convert, "javascript_bundle", lambda *_a, **_k: "x")
    assert draw.javascript.__wrapped__() == "x"


def test_no_decade_of_the_chart_stands_empty(report_of):
    (host,) = report_of(mixed()).hosts
    found = [chart for chart in charts_of(host) if chart.name.startswith("behind-")]
    assert found
    for chart in found:
        points = chart.spec["data"]["values"]
        low, high = min(one["low"] for one in points), max(one["high"] for one in points)
        assert chart.spec["layer"][1]["encoding"]["x"]["scale"]["domain"] == [
            pytest.approx(low * 0.9),
            pytest.approx(high * 1.1),
        ]
        # Drawn at all, with the words of its axis.
        assert "times slower than the best" in svg(chart)
