"""JSON after its schema, CSV with a row a trial, charts that Vega-Lite accepts."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import factory
import jsonschema
import pytest
import rich_run

from collect.cli import main
from collect.report import (
    build_report,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    report_schema,
)
from collect.report.charts import charts_of, image_names, svg
from collect.report.html.packing import pack_rows, pack_spec
from collect.store import load_run

SCHEMA = Path(__file__).parents[2] / "docs/report.schema.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rich_run.write(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def report(run):
    return build_report(load_run(run))


def test_the_published_schema_is_current(request):
    text = json.dumps(report_schema(), indent=2) + "\n"
    if request.config.getoption("--update-snapshots"):
        SCHEMA.write_text(text)
    assert SCHEMA.read_text() == text, "pytest --update-snapshots writes it anew"


def test_json_is_what_the_schema_says(report):
    data = json.loads(render_json(report), parse_constant=pytest.fail)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    one = data["hosts"][0]
    assert [trial["trial"]["trial_id"] for trial in one["trials"]] == [
        line.trial.trial_id for line in report.hosts[0].trials
    ]
    assert {trial["verdict"] for trial in one["trials"]} == {"valid", "suspect", "invalid"}
    (rps,) = (r for r in one["rankings"] if (r["endpoint"], r["metric"]) == ("health", "rps"))
    assert rps["rows"][0]["behind_best"] is None
    assert rps["rows"][1]["behind_best"].keys() == {"ratio", "low", "high"}
    del data["hosts"][0]["answer"]
    with pytest.raises(jsonschema.ValidationError, match="'answer' is a required property"):
        jsonschema.validate(data, schema)


def test_csv_has_a_row_for_each_trial_with_units_in_its_heads(report):
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    lines = [line for host in report.hosts for line in host.trials]
    assert [row["trial_id"] for row in rows] == [line.trial.trial_id for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert row["verdict"] == line.verdict.status
        wrk = line.trial.wrk
        # Unknown is empty, and never 0.
        assert row["wrk.rps"] == ("" if wrk is None else str(wrk.rps))
        assert row["used"] == ("no" if line.verdict.status == "invalid" else "yes")
    assert {"memory.pss_peak_bytes", "cpu.steal_ratio", "wrk.latency_ms.p99"} <= set(rows[0])


def test_every_chart_is_one_that_vega_lite_draws(report):
    charts = charts_of(report.hosts[0])
    assert len({chart.name for chart in charts}) == len(charts)
    kinds = {chart.name.partition("-")[0] for chart in charts}
    assert kinds == {
        "rps", "behind", "memory", "efficiency", "latency", "cpu", "profiles", "proxies", "ladder",
        "time", "steal", "canary",
    }  # fmt: skip
    for chart in charts:
        drawing = ET.fromstring(svg(chart))  # noqa: S314 - our own
        marks = drawing.findall(".//{http://www.w3.org/2000/svg}path")
        drawn = [mark for mark in marks if mark.get("aria-roledescription")]
        assert drawn, chart.name
        assert "NaN" not in svg(chart), chart.name


def test_an_interval_stands_where_the_ranking_says(report):
    host = report.hosts[0]
    part = next(part for part in host.endpoints if part.endpoint.name == "health")
    (chart,) = (chart for chart in charts_of(host) if chart.name == "behind-health")
    points = {point["variant"]: point for point in chart.spec["data"]["values"]}
    for row in part.rps.rows:
        point = points[row.variant.id]
        if row.is_first:
            assert (point["low"], point["ratio"], point["high"]) == (1, 1, 1)
        else:
            own = row.behind
            assert (point["low"], point["ratio"], point["high"]) == (own.low, own.ratio, own.high)


def test_a_tie_bears_its_sign_on_the_axis(report):
    (chart,) = (c for c in charts_of(report.hosts[0]) if c.name == "rps-health")
    part = next(p for p in report.hosts[0].endpoints if p.endpoint.name == "health")
    names = chart.spec["encoding"]["y"]["sort"]
    for row, name in zip(part.rps.rows, names, strict=True):
        assert name == f"{row.tier}{'=' if row.is_shared else ''} {row.variant.id}"


def test_shares_of_the_cores_add_up_to_all_of_them(report):
    (chart,) = (c for c in charts_of(report.hosts[0]) if c.name == "cpu-health")
    shares = {}
    for bar in chart.spec["data"]["values"]:
        shares[bar["variant"]] = shares.get(bar["variant"], 0) + bar["share"]
    assert shares
    assert all(total == pytest.approx(1) for total in shares.values())


def drawn(tmp_path, line, **parts):
    """Draw the charts of a variant whose trials have these figures; return them by name."""
    plan = factory.plan(variants=factory.variants([line]), blocks=2)
    trials = [without(one, **parts) for one in factory.healthy_trials(plan)]
    (host,) = build_report(load_run(factory.write_host(tmp_path, plan, trials))).hosts
    return {chart.name: chart for chart in charts_of(host)}


DIRECT = {"server": "granian", "interface": "wsgi"}


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("redis-server", "databases"),
        ("mysqld", "databases"),
        ("memcached", "databases"),
        ("postgres (ended)", "databases"),
        ("cron (ended)", "others"),
    ],
)
def test_what_the_checks_take_for_a_database_is_drawn_as_one(tmp_path, name, who):
    cpu = {"others": {name: 6.0}, "runner_s": 0.0, "busy_s": 49.0}
    chart = drawn(tmp_path, DIRECT, cpu=cpu)["cpu-health"]
    drawn_as = {bar["who"]: bar["share"] for bar in chart.spec["data"]["values"]}
    assert drawn_as[who] == pytest.approx(6 / 60)
    assert not {"databases", "others"} - {who} & {*drawn_as}


MIB = 2**20
OWN = {"rss_peak_bytes": 50 * MIB, "cgroup_peak_bytes": 70 * MIB}


@pytest.mark.parametrize(
    ("proxy", "beside", "rss_and_cgroup"),
    [
        ("none", None, (50, 70)),
        ("nginx", {"rss_peak_bytes": 20 * MIB}, (70, None)),
        ("nginx", {"rss_peak_bytes": None}, (None, None)),
    ],
)
def test_memory_behind_a_proxy_is_of_both_whatever_counts_it(
    tmp_path, proxy, beside, rss_and_cgroup
):
    parts = {"memory": OWN} if beside is None else {"memory": OWN, "proxy_figures": beside}
    chart = drawn(tmp_path, {**DIRECT, "proxy": proxy}, **parts)["memory-health"]
    sizes = {point["kind"]: point["value"] for point in chart.spec["data"]["values"]}
    assert (sizes.get("RSS peak"), sizes.get("cgroup peak")) == rss_and_cgroup


def without(one, **parts):
    """The trial with these parts of its figures unknown."""
    return replace(one, **{name: replace(getattr(one, name), **to) for name, to in parts.items()})


@pytest.mark.parametrize(
    "unknown",
    [
        {"cpu": {"server_s": None}},
        {"cpu": {"loadgen_s": None}},
        {"cpu": {"busy_s": None}},
        {"cpu": {"steal_ratio": None}},
        {"proxy_figures": {"cpu_s": None}},
    ],
    ids=str,
)
def test_a_trial_with_an_unknown_share_is_in_no_bar(tmp_path, unknown):
    line = {"server": "granian", "interface": "wsgi", "proxy": "nginx"}
    plan = factory.plan(variants=factory.variants([line]), blocks=2)
    first, *rest = factory.noisy_trials(plan)
    of = [first.endpoint == one.endpoint for one in rest]
    known = build_report(load_run(factory.write_host(tmp_path / "a", plan, [first, *rest])))
    trials = [without(first, **unknown), *rest]
    report = build_report(load_run(factory.write_host(tmp_path / "b", plan, trials)))
    none = [without(one, **unknown) for one in [first, *rest]]
    nothing = build_report(load_run(factory.write_host(tmp_path / "c", plan, none)))
    name = f"cpu-{first.endpoint}"
    assert any(of)
    assert [c.name for c in charts_of(known.hosts[0])].count(name) == 1
    (chart,) = (c for c in charts_of(report.hosts[0]) if c.name == name)
    assert sum(bar["share"] for bar in chart.spec["data"]["values"]) == pytest.approx(1)
    assert name not in [c.name for c in charts_of(nothing.hosts[0])]


@pytest.mark.parametrize("processes", [5, "all", {"a": 1}, [1, None], None])
def test_commands_that_a_host_made_up_are_none(tmp_path, processes):
    plan = factory.plan(blocks=1)
    run = factory.write_host(tmp_path, plan)
    for trial in (run / plan.host / "trials").iterdir():
        (trial / "effective.json").write_text(json.dumps({"processes": processes, "load_argv": 7}))
    (host,) = load_run(run).hosts
    assert {(*one.commands().server, *one.commands().load) for one in host.trials} == {()}


def test_the_page_is_small_enough_to_be_mailed_however_large_the_run(tmp_path):
    run = rich_run.write(tmp_path, hosts=1, blocks=12)
    report = build_report(load_run(run))
    assert len(report.hosts[0].trials) > 900
    page = render_html(report)
    assert len(page.encode()) < 3_000_000


def test_markdown_names_images_that_are_there(run, tmp_path, capsys):
    page = tmp_path / "page.md"
    # An image of a chart that an earlier report had is none of this one's.
    (tmp_path / "page-charts").mkdir()
    (tmp_path / "page-charts/9-gone.svg").touch()
    (tmp_path / "page-charts/My drawing.svg").touch()
    assert main(["report", str(run), "--format", "markdown", "--output", str(page)]) == 0
    assert capsys.readouterr().out == ""
    text = page.read_text()
    images = {
        line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")
    }
    there = {f"page-charts/{path.name}" for path in (tmp_path / "page-charts").iterdir()}
    # What has no name of ours is somebody's.
    there.remove("page-charts/My drawing.svg")
    assert images == there
    assert {f"page-charts/{name}" for name in image_names(build_report(load_run(run)))} == there
    assert "![" not in render_markdown(build_report(load_run(run)))


def test_html_goes_to_the_runs_folder_unless_told_otherwise(run, tmp_path, capsys):
    assert main(["report", str(run), "--format", "html"]) == 0
    assert capsys.readouterr().out.startswith(str(run / "report.html"))
    elsewhere = tmp_path / "mine.html"
    assert main(["report", str(run), "--format", "html", "--output", str(elsewhere)]) == 0
    assert elsewhere.read_text() == (run / "report.html").read_text()


def test_rows_that_are_packed_lose_nothing_but_digits():
    rows = [
        {"name": "granian-wsgi", "value": 1.23456789, "gone": None},
        {"name": "granian-wsgi", "value": 2.0, "gone": None},
        {"name": "uvicorn-asgi", "value": None},
    ]
    packed = pack_rows(rows)
    assert packed["value"] == [[1.23457, 2, None]]
    distinct, places = packed["name"]
    assert [distinct[place] for place in places] == ["granian-wsgi"] * 2 + ["uvicorn-asgi"]


def test_values_that_an_axis_names_are_no_rows():
    spec = {"data": {"values": [{"hour": 1.0}]}, "axis": {"values": [0, 3, 6]}}
    packed = pack_spec(spec)
    assert packed == {"data": {"values": {"hour": [[1]]}}, "axis": {"values": [0, 3, 6]}}
