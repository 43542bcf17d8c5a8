"""`serverbench compare`: what changed between two runs, and whether they may be compared at all."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace

import factory
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collect import cli
from collect.changes import compare_runs
from collect.changes.differences import MEMORY_TOLERANCE
from collect.changes.figures import compare_figures
from collect.errors import DataError
from collect.report.changes import render_changes_markdown, render_changes_terminal
from collect.store import load_run

RUN_A, RUN_B = "20260131-0200", "20260207-0200"


# --- Figures ---------------------------------------------------------------------------------


def compare(a, b, **changes):
    """Compare lists of figures, one a block."""
    as_blocks = ({name: dict(enumerate(run)) for name, run in x.items()} for x in (a, b))
    return compare_figures(("health", "rps"), *as_blocks, higher_is_better=True, **changes)


def rows(table):
    return {row.variant: row for row in table.rows}


def welch(a, b, level=0.05):
    """Return scipy's p-value and the interval of B / A; degrees of freedom rounded down."""
    logs_a, logs_b = ([math.log(x) for x in run] for run in (a, b))
    found = stats.ttest_ind(logs_b, logs_a, equal_var=False)
    estimate = statistics.fmean(logs_b) - statistics.fmean(logs_a)
    error = estimate / found.statistic
    half = stats.t.ppf(1 - level / 2, math.floor(found.df)) * error
    return found, [math.exp(x) for x in (estimate, estimate - half, estimate + half)]


A = [5210.0, 5003.0, 5344.0, 5120.0, 4970.0]
B = [4610.0, 4820.0, 4505.0, 4702.0]


def test_one_variant_is_welchs_test_of_the_logarithms():
    (row,) = compare({"x": A}, {"x": B}).rows
    found, (ratio, low, high) = welch(A, B)
    assert (row.change.ratio, row.change.low, row.change.high) == pytest.approx((ratio, low, high))
    assert found.pvalue < 0.05
    assert row.change.state == "lower"
    assert (row.a, row.b) == pytest.approx((stats.gmean(A), stats.gmean(B)))
    assert (row.blocks_a, row.blocks_b) == (5, 4)
    assert row.relative is None


def test_several_variants_get_simultaneous_intervals():
    slightly = [x * 0.97 for x in A]
    table = rows(compare({"x": A, "y": A}, {"x": B, "y": slightly}))
    _, expected = welch(A, B, level=0.05 / 2)
    assert (table["x"].change.ratio, table["x"].change.low, table["x"].change.high) == (
        pytest.approx(expected)
    )
    assert table["x"].change.state == "lower"
    # Holm: x is told apart, so y has the whole level to itself.
    _, expected = welch(A, slightly, level=0.05)
    assert (table["y"].change.low, table["y"].change.high) == pytest.approx(expected[1:])
    assert table["y"].change.state == "not_told"


def test_holm_takes_back_what_one_of_many_tests_alone_would_claim():
    rnd = np.random.default_rng(3)
    b = [x * 0.95 for x in A]
    assert welch(A, b)[0].pvalue < 0.05
    assert compare({"x": A}, {"x": b}).rows[0].change.state == "lower"
    many = {f"v{i}": [rnd.uniform(95, 105) for _ in A] for i in range(9)}
    table = rows(compare({"x": A, **many}, {"x": b, **many}))
    assert table["x"].change.state == "not_told"
    assert table["x"].change.low < 1 < table["x"].change.high


def synthetic(seed, factors, blocks=6, host=1.0):
    """Return a run in which the host's speed changes from block to block, for all alike."""
    rnd = np.random.default_rng(seed)
    speeds = [host * rnd.lognormal(0, 0.1) for _ in range(blocks)]
    return {
        f"v{i}": [1000 * (i + 1) * factor * speed * rnd.lognormal(0, 0.01) for speed in speeds]
        for i, factor in enumerate(factors)
    }


def test_a_slower_host_shows_as_drift_and_not_against_the_others():
    table = compare(synthetic(1, [1] * 6), synthetic(2, [1] * 6, host=0.6))
    assert table.drift == pytest.approx(0.6, rel=0.1)
    assert all(row.change.state == "lower" for row in table.rows)
    assert all(row.relative.state == "not_told" for row in table.rows)


@pytest.mark.parametrize("variants", [3, 4, 6])
def test_one_variant_that_changed_is_named_whatever_the_host_did(variants):
    for seed in range(20):
        table = compare(
            synthetic(seed, [1] * variants),
            synthetic(seed + 100, [0.85] + [1] * (variants - 1), host=1.3),
        )
        assert table.rows[0].relative.state == "lower"
        assert table.rows[0].relative.ratio == pytest.approx(0.85, rel=0.05)


def test_unchanged_variants_are_seldom_named():
    named = 0
    for seed in range(300):
        b = synthetic(seed + 1000, [0.8, 1, 1, 1], blocks=4, host=0.9)
        table = compare(synthetic(seed, [1] * 4, blocks=4), b)
        named += any(row.relative.state != "not_told" for row in table.rows[1:])
    assert named <= 300 * 0.05


def test_against_the_others_is_the_change_over_the_median():
    table = compare(synthetic(1, [1] * 5), synthetic(2, [1.1] * 5))
    assert table.drift == pytest.approx(statistics.median(r.change.ratio for r in table.rows))
    for row in table.rows:
        assert row.relative.ratio == pytest.approx(row.change.ratio / table.drift)
        assert row.relative.low <= row.relative.ratio <= row.relative.high


def test_noise_that_all_share_does_not_widen_the_intervals_against_the_others():
    table = compare(synthetic(1, [1] * 5), synthetic(2, [1] * 5))
    for row in table.rows:
        assert row.relative.high / row.relative.low < (row.change.high / row.change.low) ** 0.5


def test_a_block_without_a_variant_does_not_shift_the_others():
    a, b = synthetic(1, [1] * 4), synthetic(2, [1] * 4)
    whole = compare(a, b)
    blocks_a, blocks_b = ({n: dict(enumerate(x)) for n, x in run.items()} for run in (a, b))
    del blocks_b["v3"][2]
    cut = compare_figures(("health", "rps"), blocks_a, blocks_b, higher_is_better=True)
    assert cut.rows[3].blocks_b == 5
    for before, after in zip(whole.rows[:3], cut.rows[:3], strict=True):
        assert after.relative.ratio == pytest.approx(before.relative.ratio, rel=0.02)
        assert after.relative.high == pytest.approx(before.relative.high, rel=0.02)


def test_two_variants_are_not_compared_with_each_other():
    table = compare(synthetic(1, [1] * 2), synthetic(2, [1] * 2))
    assert table.drift is not None
    assert all(row.relative is None for row in table.rows)


def test_one_variant_has_no_drift():
    assert compare({"x": A}, {"x": B}).drift is None


@pytest.mark.parametrize(("a", "b"), [([1000.0], B), (A, [4000.0]), ([1000.0], [4000.0])])
def test_one_block_gives_a_ratio_and_no_interval(a, b):
    (row,) = compare({"x": a}, {"x": b}).rows
    assert row.change.ratio == pytest.approx(stats.gmean(b) / stats.gmean(a))
    assert (row.change.low, row.change.high, row.change.state) == (None, None, "unknown")


def test_one_block_of_one_variant_leaves_the_others_their_intervals():
    table = rows(compare({"x": A, "y": A[:1]}, {"x": B, "y": B}))
    assert table["y"].change.state == "unknown"
    # It is not one of those that the others' intervals allow for.
    assert table["x"].change.low == pytest.approx(welch(A, B)[1][1])


def test_a_figure_that_is_not_there_is_not_made_up():
    table = rows(compare({"x": A, "y": []}, {"x": B, "y": B}))
    assert (table["y"].a, table["y"].change) == (None, None)
    assert table["y"].b == pytest.approx(stats.gmean(B))
    assert compare({"x": [0.0, *A]}, {"x": B}).rows[0].blocks_a == 5


figures = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=6)
runs = st.lists(figures, min_size=1, max_size=5)


def named(run):
    return {f"v{i}": x for i, x in enumerate(run)}


@given(runs)
def test_a_run_against_itself_has_not_changed(run):
    table = compare(named(run), named(run))
    for row in table.rows:
        for change in (row.change, row.relative):
            if change is not None:
                assert change.ratio == 1
                assert change.state == ("not_told" if row.blocks_a > 1 else "unknown")
                assert change.low is None or change.low <= 1 <= change.high
    assert table.drift in (None, 1)


@given(st.lists(st.tuples(figures, figures), min_size=1, max_size=5))
def test_a_to_b_is_the_inverse_of_b_to_a(pairs):
    a, b = (named([pair[i] for pair in pairs]) for i in (0, 1))
    there, back = compare(a, b), compare(b, a)
    mirror = {"lower": "higher", "higher": "lower"}
    if there.drift is not None:
        assert there.drift == pytest.approx(1 / back.drift)
    for one, other in zip(there.rows, back.rows, strict=True):
        for x, y in ((one.change, other.change), (one.relative, other.relative)):
            assert (x is None) == (y is None)
            if x is None:
                continue
            assert x.ratio == pytest.approx(1 / y.ratio)
            assert x.state == mirror.get(y.state, y.state)
            if x.low is not None and 1e-300 < x.low < 1e300:
                assert math.log(x.low) == pytest.approx(-math.log(y.high), rel=1e-6, abs=1e-9)


@given(runs, st.floats(0.01, 100))
def test_the_unit_does_not_matter(run, unit):
    b = [list(reversed([x * (i + 1) for i, x in enumerate(figure)])) for figure in run]
    plain = compare(named(run), named(b))
    scaled = compare(*(named([[x * unit for x in figure] for figure in x]) for x in (run, b)))
    for one, other in zip(plain.rows, scaled.rows, strict=True):
        assert one.change.ratio == pytest.approx(other.change.ratio)


# --- Runs ------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    """Write a run with noise; `factors` are what its variants do in it, by id."""

    def call(run_id, factors=None, hosts=("lab1",), facts=None, trials=None, **changes):
        for host in hosts:
            plan = factory.plan(**{"run_id": run_id, "host": host, "seed": 1, **changes})
            made = (trials or noisy)(plan, factors or {})
            folder = factory.write_host(tmp_path / "results", plan, made)
            path = folder / host / "host.json"
            data = {**json.loads(path.read_text()), **FACTS, **(facts or {})}
            path.write_text(json.dumps(data))
        return folder

    return call


FACTS = {
    "architecture": "x86_64",
    "virtualisation": "kvm",
    "cpu_model": "AMD EPYC",
    "versions": {"wrk": "4.1.0", "systemd": "257", "redis": None},
    "packages": {"django": "6.1.3", "granian": "2.8.7", "h2": "4.4.1"},
}


def noisy(plan, factors):
    rnd = np.random.default_rng(list((plan.run_id + plan.host).encode()))
    trials = []
    for planned in plan.trials:
        trial = factory.trial(planned, plan)
        rps = trial.wrk.rps * rnd.lognormal(0, 0.02) * factors.get(planned.variant, 1)
        pss = round(trial.memory.pss_peak_bytes * rnd.lognormal(0, 0.01))
        trials.append(
            replace(
                trial,
                wrk=factory.wrk(rps, plan.load),
                memory=replace(trial.memory, pss_peak_bytes=pss),
            )
        )
    return trials


def load(*folders):
    return compare_runs(*map(load_run, folders))


def table_of(changes, endpoint="health", metric="rps"):
    (found,) = (
        table
        for table in changes.hosts[0].tables
        if (table.endpoint, table.metric) == (endpoint, metric)
    )
    return found


def test_every_metric_of_every_endpoint_is_compared(write):
    changes = load(write(RUN_A, blocks=5), write(RUN_B, {"granian-wsgi": 0.8}, blocks=5))
    assert [(table.endpoint, table.metric) for table in changes.hosts[0].tables] == [
        (endpoint, metric)
        for endpoint in ("health", "movie")
        for metric in ("rps", "p99_ms", "pss_peak_bytes", "cpu_s_per_request")
    ]
    assert changes.differences == ()
    rps, p99 = table_of(changes), table_of(changes, metric="p99_ms")
    assert rows(rps)["granian-wsgi"].change.state == "lower"
    assert rows(p99)["granian-wsgi"].change.state == "higher"
    assert [row.variant for row in rps.rows if row.relative.state != "not_told"] == ["granian-wsgi"]
    memory = rows(table_of(changes, metric="pss_peak_bytes"))["granian-wsgi"]
    assert memory.change.state == "not_told"


def test_a_run_on_disk_against_itself(write):
    folder = write(RUN_A)
    changes = load(folder, folder)
    assert changes.differences == ()
    for table in changes.hosts[0].tables:
        assert table.drift == 1
        assert {row.change.state for row in table.rows} == {"not_told"}
        assert {row.change.ratio for row in table.rows} == {1}


def test_invalid_trials_never_enter(write):
    def with_a_bad_one(plan, factors):
        first, *rest = noisy(plan, factors)
        bad = replace(first, wrk=factory.wrk(999_999.0, errors=factory.Errors(0, 0, 0, 0, 10**6)))
        return [bad, *rest]

    a, good = write(RUN_A), write(RUN_B)
    before = load(a, good)
    bad = write(RUN_B, trials=with_a_bad_one)
    after = load(a, bad)
    first = load_run(bad).hosts[0].plan.trials[0]
    one = rows(table_of(after, first.endpoint))[first.variant]
    assert (one.blocks_a, one.blocks_b) == (3, 2)
    assert one.b < 1e5
    assert "B: 1 of 36 trials are invalid and left out." in after.hosts[0].notes
    assert before.hosts[0].notes == ()


def test_a_second_attempt_stands_in_for_an_invalid_one(write):
    def with_a_rerun(plan, factors):
        first, *rest = noisy(plan, factors)
        again = replace(first, trial_id=f"{first.trial_id}--2", attempt=2)
        return [factory.failed(plan, plan.trials[0]), again, *rest]

    changes = load(write(RUN_A), write(RUN_B, trials=with_a_rerun))
    assert {row.blocks_b for table in changes.hosts[0].tables for row in table.rows} == {3}
    assert changes.hosts[0].notes == ()


def test_runs_without_a_valid_trial_in_common(write):
    def none(plan, _):
        return [factory.failed(plan, planned) for planned in plan.trials]

    with pytest.raises(DataError, match="no variant has a valid trial in both runs"):
        load(write(RUN_A), write(RUN_B, trials=none))


def test_hosts_are_paired_by_name(write):
    a = write(RUN_A, hosts=("vm1", "vm2", "vm3"))
    b = write(RUN_B, hosts=("vm2", "vm3", "vm4"))
    changes = load(a, b)
    assert [host.name for host in changes.hosts] == ["vm2", "vm3"]
    assert changes.notes == ("Only in A: host vm1.", "Only in B: host vm4.")


def test_the_only_hosts_are_paired_whatever_their_names(write):
    changes = load(write(RUN_A, hosts=("old",)), write(RUN_B, hosts=("new",)))
    assert [host.name for host in changes.hosts] == ["old -> new"]
    (note,) = changes.notes
    assert "The only host of A, old, is compared with the only host of B, new" in note


def test_no_host_in_common(write):
    with pytest.raises(DataError, match=r"no host is in both runs; .* has vm1, vm2, .* has vm3"):
        load(write(RUN_A, hosts=("vm1", "vm2")), write(RUN_B, hosts=("vm3",)))


def some_variants(*places):
    return factory.variants([factory.PAIRS[place] for place in places])


def test_no_variant_in_common(write):
    a, b = write(RUN_A, variants=some_variants(0, 1)), write(RUN_B, variants=some_variants(2))
    with pytest.raises(DataError, match=r"no variant of lab1 is in both .* B has granian-wsgi"):
        load(a, b)


def test_no_endpoint_in_common(write):
    a, b = (write(run, endpoints=[factory.ENDPOINTS[i]]) for i, run in enumerate((RUN_A, RUN_B)))
    with pytest.raises(DataError, match=r"no endpoint of lab1 .* A has health; B has movie"):
        load(a, b)


def test_what_only_one_run_has_is_named_and_is_no_difference(write):
    a = write(RUN_A, variants=some_variants(0, 1, 2), endpoints=factory.ENDPOINTS[:1])
    b = write(RUN_B, variants=some_variants(1, 2, 3))
    changes = load(a, b)
    assert changes.differences == ()
    assert changes.hosts[0].notes == (
        "Only in A: variant uwsgi-wsgi.",
        "Only in B: variant uvicorn-asgi.",
        "Only in B: endpoint movie.",
    )
    assert [row.variant for row in table_of(changes).rows] == ["gunicorn-wsgi", "granian-wsgi"]


def test_twins_are_left_out(write):
    granian = some_variants(2)[0]
    twin = replace(granian, id="granian-wsgi-twin", unit="twin.service", twin_of=granian.id)
    changes = load(*(write(run, variants=(granian, twin)) for run in (RUN_A, RUN_B)))
    assert [row.variant for row in table_of(changes).rows] == ["granian-wsgi"]
    assert "Twins are left out: granian-wsgi-twin." in changes.hosts[0].notes


def test_in_sequential_order_no_variant_is_compared_with_the_others(write):
    changes = load(*(write(run, order="sequential") for run in (RUN_A, RUN_B)))
    assert all(row.relative is None for row in table_of(changes).rows)
    assert any("In sequential order" in note for note in changes.hosts[0].notes)


# --- What must be the same -------------------------------------------------------------------


def differences(a, b):
    return [str(one) for one in load(a, b).differences]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"kernel": "6.1.0"}, "lab1: kernel: 6.12.48 in A, 6.1.0 in B"),
        ({"os": "X"}, "lab1: operating system: Debian GNU/Linux 13 (trixie) in A, X in B"),
        ({"cpu_model": "Xeon"}, "lab1: CPU model: AMD EPYC in A, Xeon in B"),
        ({"cores": 4}, "lab1: cores: 2 in A, 4 in B"),
        ({"python": "3.12.1"}, "lab1: Python: 3.13.5 in A, 3.12.1 in B"),
        ({"virtualisation": "xen"}, "lab1: virtualisation: kvm in A, xen in B"),
        ({"memory_limit_bytes": None}, "lab1: memory: 2,048 MiB in A, 8,192 MiB in B"),
        (
            {"versions": {**FACTS["versions"], "wrk": "4.2.0"}},
            "lab1: version of wrk: 4.1.0 in A, 4.2.0 in B",
        ),
        (
            {"packages": {**FACTS["packages"], "granian": "2.9.0"}},
            "lab1: package granian: 2.8.7 in A, 2.9.0 in B",
        ),
        (
            {"packages": {"django": "6.1.3", "granian": "2.8.7"}},
            "lab1: package h2: 4.4.1 in A, not installed in B",
        ),
    ],
)
def test_another_host_is_a_difference(write, facts, line):
    assert differences(write(RUN_A), write(RUN_B, facts=facts)) == [line]


def test_a_host_that_is_the_same_is_none(write):
    nearly = round(2 * 2**30 * (1 - MEMORY_TOLERANCE / 2))
    other = {"hostname": "x", "memory_limit_bytes": nearly, "venv": "/elsewhere"}
    assert differences(write(RUN_A), write(RUN_B, facts=other)) == []


def test_the_unknown_differs_from_nothing_and_is_named(write):
    lacking = {"kernel": None, "packages": None, "versions": {"redis": "8"}}
    changes = load(write(RUN_A), write(RUN_B, facts=lacking))
    assert changes.differences == ()
    assert changes.hosts[0].notes == (
        (
            "Not known, so not compared: kernel (in B), version of redis (in A), "
            "version of systemd (in B), version of wrk (in B), packages (in B)."
        ),
    )


def test_runs_without_any_facts_can_be_compared(write):
    folders = [write(RUN_A), write(RUN_B)]
    for folder in folders:
        (folder / "lab1" / "host.json").unlink()
    changes = load(*folders)
    assert changes.differences == ()
    assert "kernel (in A and B)" in changes.hosts[0].notes[0]


def test_a_host_that_changed_within_a_run_is_a_difference(write):
    a, b = write(RUN_A), write(RUN_B)
    host = b / "lab1" / "host.json"
    later = {**json.loads(host.read_text()), "kernel": "6.13"}
    (b / "lab1" / "host.2.json").write_text(json.dumps(later))
    assert differences(a, b) == ["lab1: kernel: 6.12.48 in A, 6.12.48, then 6.13 in B"]
    assert differences(b, b) == []
    (b / "lab1" / "host.2.json").write_text("{")
    with pytest.raises(DataError, match=r"host\.2\.json: not JSON"):
        load(a, b)


def test_another_load_or_order_is_a_difference(write):
    b = write(RUN_B, load={"connections": 50, "duration_s": 10}, order="sequential")
    assert differences(write(RUN_A), b) == [
        "lab1: order: interleaved in A, sequential in B",
        "lab1: load connections: 200 in A, 50 in B",
        "lab1: load duration_s: 30.0 in A, 10.0 in B",
    ]


def test_other_seeds_and_numbers_of_blocks_are_none(write):
    assert differences(write(RUN_A), write(RUN_B, seed=7, blocks=5)) == []


def test_another_knob_is_a_difference(write):
    granian = some_variants(2)[0]
    other = replace(
        granian,
        workers=4,
        knobs={**granian.knobs, "threads": 8, "socket": True, "environment": {"TOKEN": "hush"}},
    )
    assert "socket" in granian.not_honoured
    found = differences(write(RUN_A, variants=[granian]), write(RUN_B, variants=[other]))
    assert found == [
        "lab1: granian-wsgi workers: 2 in A, 4 in B",
        "lab1: granian-wsgi environment TOKEN: not set in A, set in B",
        "lab1: granian-wsgi threads: 1 in A, 8 in B",
    ]


def test_a_knob_without_effect_in_both_is_no_difference(write):
    granian = some_variants(2)[0]
    unset = replace(granian, knobs={**granian.knobs, "preload": None})
    ignored = replace(
        granian,
        knobs={**granian.knobs, "preload": True},
        not_honoured=(*granian.not_honoured, "preload"),
    )
    a, b = write(RUN_A, variants=[unset]), write(RUN_B, variants=[ignored])
    assert differences(a, b) == []
    c = write("c", variants=[replace(unset, knobs=ignored.knobs)])
    assert differences(b, c) == ["lab1: granian-wsgi preload: n/a in A, true in B"]


def test_another_endpoint_is_a_difference_and_headers_stay_secret(write):
    changed = [
        {
            "name": "health",
            "path": "/health2",
            "headers": {"Authorization": "hush"},
            "expect": {"status": 204},
        },
        factory.ENDPOINTS[1],
    ]
    was = [{**factory.ENDPOINTS[0], "headers": {"Authorization": "hush-hush"}}]
    a, b = write(RUN_A, endpoints=[*was, factory.ENDPOINTS[1]]), write(RUN_B, endpoints=changed)
    assert differences(a, b) == [
        "lab1: endpoint health path: /health in A, /health2 in B",
        "lab1: endpoint health expect status: 200 in A, 204 in B",
        'lab1: endpoint health expect json_subset: {"status": "ok"} in A, not set in B',
        (
            "lab1: endpoint health header Authorization: one value in A, another value (neither is "
            "shown: it may be a secret) in B"
        ),
    ]


# --- Pages and the command -------------------------------------------------------------------


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = cli.main(["compare", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def flat(page):
    return " ".join(page.split())


def test_the_command(write, run, tmp_path, monkeypatch):
    write(RUN_A, blocks=5)
    write(RUN_B, {"granian-wsgi": 0.8}, blocks=5)
    monkeypatch.chdir(tmp_path)
    status, page, error = run(RUN_A, RUN_B)
    assert (status, error) == (0, "")
    assert page.startswith(f"From run A, {RUN_A}, to run B, {RUN_B}\n")
    assert "health: requests per second, req/s; higher is better" in page
    assert "Lower, so worse: granian-wsgi; no change can be told: the other 5." in flat(page)
    assert "Against the others: lower, so worse: granian-wsgi" in flat(page)
    assert "host's own drift" in page
    assert "cannot be told from a change of a server, unless it shows in all" in flat(page)


def test_a_table_says_what_the_figures_say(write, run):
    a = write(RUN_A, trials=lambda plan, _: factory.healthy_trials(plan))
    _, page, _ = run(a, a)
    line = next(line for line in page.splitlines() if line.startswith("granian-wsgi"))
    assert line.split()[:4] == ["granian-wsgi", "5,320", "5,320", "1.00"]
    assert "No change can be told." in page


def test_pages_fit_80_columns(write):
    long_names = [
        replace(variant, id=f"{variant.id}-caddy-a-profile-with-a-long-name")
        for variant in some_variants(0, 1, 2)
    ]
    facts = {"packages": {**FACTS["packages"], "granian": "9" * 90}}
    a, b = write(RUN_A, variants=long_names), write(RUN_B, variants=long_names, facts=facts)
    page = render_changes_terminal(load(a, b))
    assert max(map(len, page.splitlines())) <= 80
    assert "\nuwsgi-wsgi-caddy-a-profile-with-a-long-name\n" in page
    two_blocks = [write(f"{i}", blocks=2, variants=some_variants(0, 1, 2)) for i in (1, 2)]
    assert max(map(len, render_changes_terminal(load(*two_blocks)).splitlines())) <= 80


def test_runs_that_differ_are_refused_and_every_difference_named(write, run):
    a, b = write(RUN_A), write(RUN_B, facts={"kernel": "6.1.0", "python": "3.12.1"})
    assert run(a, b) == (
        1,
        "",
        (
            "serverbench: the runs differ in 2 things; --allow-different compares them all the "
            "same\n"
            "  lab1: kernel: 6.12.48 in A, 6.1.0 in B\n"
            "  lab1: Python: 3.13.5 in A, 3.12.1 in B\n"
        ),
    )
    assert run(a, b, "--format", "json")[:2] == (1, "")
    status, page, error = run(a, b, "--allow-different")
    assert (status, error) == (0, "")
    assert "! lab1: kernel: 6.12.48 in A, 6.1.0 in B\n" in page
    assert "! A change may come from those as well as from a server." in page
    assert "requests per second" in page


def test_json_holds_it_all(write, run):
    a, b = write(RUN_A), write(RUN_B, facts={"kernel": "6.1.0"})
    status, page, _ = run(a, b, "--allow-different", "--format", "json")
    data = json.loads(page)
    assert status == 0
    assert (data["run_a"], data["run_b"]) == (RUN_A, RUN_B)
    assert data["differences"] == [{"host": "lab1", "what": "kernel", "a": "6.12.48", "b": "6.1.0"}]
    row = data["hosts"][0]["tables"][0]["rows"][0]
    assert row["change"]["low"] < row["change"]["ratio"] < row["change"]["high"]


def test_json_does_not_act_on_a_terminal(write, run):
    kernel = "6.1\x9b31m\u202e"
    a, b = write(RUN_A), write(RUN_B, facts={"kernel": kernel})
    _, page, _ = run(a, b, "--allow-different", "--format", "json")
    assert not {"\x9b", "\u202e"} & {*page}
    assert json.loads(page)["differences"][0]["b"] == kernel


def test_markdown_cannot_be_written_by_a_host(write, run):
    nasty = "<script>|x|](http://evil)\x1b[31m\n# Title"
    a, b = write(RUN_A), write(RUN_B, facts={"kernel": nasty})
    for arguments in ([], ["--format", "markdown"]):
        _, page, _ = run(a, b, "--allow-different", *arguments)
        assert "\x1b" not in page
        assert "\n# Title" not in page
    assert "<script>" not in page
    assert "| granian-wsgi |" in page
    assert "no change can be told" in page
    columns = {line.count(" |") for line in page.splitlines() if line.startswith("| ")}
    assert columns == {9}


def test_nothing_long_is_cut_off(write):
    value = "word " * 50
    facts = {"packages": {f"package-with-a-long-name-{i}": None for i in range(20)}}
    changes = load(
        write(RUN_A, facts={**facts, "kernel": f"{value}a"}),
        write(RUN_B, facts={"packages": {}, "kernel": f"{value}b"}),
    )
    for page in (render_changes_terminal(changes), render_changes_markdown(changes)):
        assert "…" not in page
        assert "word a in A" in flat(page)
        assert "word b in B" in flat(page)
        assert "as two variants of one run." in flat(page)
        assert "package-with-a-long-name-19 (" in flat(page).replace("\\", "")


def test_one_block_is_said_to_give_no_interval(write, run):
    a, b = write(RUN_A, blocks=1), write(RUN_B)
    status, page, _ = run(a, b)
    assert status == 0
    assert "No interval, as a run has only one block of it: uwsgi-wsgi" in page
    assert "One block gives no interval" in page
    assert "o change to speak of" not in page
    assert "Intervals hold" not in page


def test_few_variants_are_said_not_to_show_the_hosts_own_drift(write, run):
    _, page, _ = run(*(write(run, variants=some_variants(0, 1)) for run in (RUN_A, RUN_B)))
    assert "With fewer than 3 variants in both runs nobody can say" in flat(page)
    assert "Against the others" not in page


def test_a_metric_that_was_not_measured_is_no_number(write):
    def without_memory(plan, factors):
        return [replace(trial, memory=None) for trial in noisy(plan, factors)]

    changes = load(write(RUN_A), write(RUN_B, trials=without_memory))
    assert all(row.change is None for row in table_of(changes, metric="pss_peak_bytes").rows)
    assert "No figure in one of the runs: uwsgi-wsgi" in render_changes_terminal(changes)
    assert "| n/a |" in render_changes_markdown(changes)


def test_nothing_to_pair_is_one_line(write, run):
    a, b = write(RUN_A, variants=some_variants(0)), write(RUN_B, variants=some_variants(1))
    status, page, error = run(a, b)
    assert (status, page) == (1, "")
    assert error.startswith("serverbench: nothing to pair: no variant of lab1 is in both runs")
    assert error.count("\n") == 1


def test_a_run_that_is_not_there(run, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, error = run("none", "latest")
    assert status == 1
    assert "none: no such run" in error
