"""What a host writes is shown as text: it acts on no terminal, no page and no spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields, is_dataclass
from typing import get_type_hints

import pytest
import rich_run
from rich.console import Console

from collect import cli
from collect.cli.terminal import print_to_text
from collect.cli.view import RunView
from collect.foreign import clean, is_unsafe, json_text, one_line
from collect.model import Decision, PairDecision, Plan, Progress, Trial, dumps
from collect.report import (
    build_report,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    render_terminal,
)
from collect.report.runs import describe_run, runs_table
from collect.report.single import find_trial, single_parts
from collect.store import load_run

# A window's title, a cleared screen, a C1 control, text from right to left, and a spreadsheet's
# formula; then what would be markup.
TERMINAL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\r\x08"
HOSTILE = f"{TERMINAL}{rich_run.HOSTILE}=cmd|' /C calc'!A0`|[x](javascript:1)"
PROGRESS = Progress(
    3, "20260131-0200", "running", 1, 10, 1, 2, "b01-x", "load", 60.0, "x 1 req/s", "why", "now"
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run with hostile text in every field, and the names of the fields."""
    run = rich_run.write(tmp_path_factory.mktemp("results"), hosts=2, blocks=2)
    for host in run.iterdir():
        pair = PairDecision("health", "granian-wsgi", "uwsgi-wsgi", 1.1, 1.0, 1.2, "open", 4)
        (host / "decision.json").write_text(dumps(Decision(3, run.name, 2, "all_blocks", (pair,))))
        (host / "progress.json").write_text(dumps(PROGRESS))
        for folder in (host / "trials").iterdir():
            (folder / "journal.txt").write_text("started\n")
    return run, rich_run.plant(run, HOSTILE)


@pytest.fixture(scope="module")
def report(planted):
    return build_report(load_run(planted[0]))


def texts_of(kind, file, seen=()):
    """Yield the names of the text fields of a dataclass and those below it."""
    for field in fields(kind):
        hint = get_type_hints(kind)[field.name]
        if hint in (str, str | None):
            yield f"{file}:{field.name}"
        for inner in (hint, *getattr(hint, "__args__", ())):
            if is_dataclass(inner) and inner not in seen:
                yield from texts_of(inner, file, (*seen, kind))


def test_no_field_is_left_out(planted):
    _, names = planted
    wanted = {
        name
        for kind, file in (
            (Trial, "trial.json"),
            (Decision, "decision.json"),
            (Plan, "plan.json"),
            (Progress, "progress.json"),
        )
        for name in texts_of(kind, file)
    }
    free = {name for name in wanted if name.partition(":")[2] not in rich_run.BOUND}
    # Fields that no variant and endpoint of this run has, and a word out of a few.
    absent = {"plan.json:label", "plan.json:body", "plan.json:regex", "plan.json:host"}
    assert free - absent <= names
    assert {"host.json", "effective.json", "wrk.txt", "journal.txt"} <= names
    assert "trial.json:others" in names


def unsafe(text):
    return sorted({char for char in text if char != "\n" and is_unsafe(char)})


def test_a_terminal_gets_no_control_character(report):
    assert unsafe(render_terminal(report)) == []
    assert unsafe(render_terminal(report, raw=True)) == []
    coloured = render_terminal(report, colour=True)
    assert unsafe(re.sub(r"\x1b\[[0-9;]*m", "", coloured)) == []


def test_markdown_gets_no_control_character_and_no_markup(report):
    page = render_markdown(report)
    assert unsafe(page) == []
    outside = re.sub(r"(?s)^(`{3,})text\n.*?\n\1$", "", page, flags=re.MULTILINE)
    assert "<script" not in outside
    assert "<img" not in outside
    assert "](javascript" not in outside.replace("\\]", "")


def test_json_is_the_same_data_without_a_control_character(report):
    page = render_json(report)
    assert unsafe(page) == []
    reasons = [one["trial"]["outcome"]["reason"] for one in json.loads(page)["hosts"][0]["trials"]]
    assert any(HOSTILE in reason for reason in reasons if reason)


def test_no_cell_of_csv_is_a_formula(report):
    page = render_csv(report)
    assert unsafe(page) == []
    cells = [cell for row in csv.reader(io.StringIO(page)) for cell in row]
    assert any("calc" in cell for cell in cells)
    for cell in cells:
        if cell.lstrip()[:1] in {"=", "+", "@", "-"}:
            float(cell)  # A negative figure, and nothing else.


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t@", "\r+"])
def test_a_text_that_begins_as_a_formula_is_quoted(start, tmp_path):
    run = rich_run.write(tmp_path, hosts=1, blocks=1)
    for path in (*run.rglob("trial.json"), *run.rglob("plan.json")):
        data = json.loads(path.read_text())
        for named in data.get("variants", [data]):
            named["profile"] = f"{start}1+1"
        path.write_text(json.dumps(data))
    rows = list(csv.DictReader(io.StringIO(render_csv(build_report(load_run(run))))))
    assert {row["profile"][0] for row in rows} <= {"'", "�"}
    assert any(
        float(row["host_state.clock_step_s"]) == 0 for row in rows if row["verdict"] != "invalid"
    )


def test_the_page_has_it_as_text(report):
    page = render_html(report)
    assert set(unsafe(page)) <= OF_THE_LIBRARY
    assert rich_run.HOSTILE not in page
    assert "<img src=x" not in page


# The drawing library's own, in its source.
OF_THE_LIBRARY = {"\t", "\xa0", "\u200b", "\ufeff", "\xad", "\u2028", "\u2029", "\u200e", "\u200f"}


def test_list_show_and_the_commands_print_text(planted, report, capsys, monkeypatch):
    run, _ = planted
    monkeypatch.chdir(run.parents[0])
    said = [print_to_text(runs_table([describe_run(run)]))]
    found = load_run(run)
    for trial in (report.hosts[0].trials[0], report.hosts[0].trials[7]):
        singles = find_trial(found, trial.trial.trial_id)
        said += [print_to_text(*single_parts(single)) for single in singles]
    for arguments in (["verify", str(run)], ["compare", str(run), str(run), "--format", "json"]):
        cli.main(arguments)
    captured = capsys.readouterr()
    for text in (*said, captured.out, captured.err):
        assert unsafe(text) == []


def test_the_view_of_a_run_shows_text(tmp_path):
    data = json.loads(dumps(PROGRESS))
    for name in ("phase", "last", "message", "trial_id", "updated_at"):
        data[name] = HOSTILE
    for state in ("running", "done", "failed"):
        (tmp_path / "web1.json").write_text(json.dumps({**data, "state": state}))
        view = RunView(tmp_path)
        view.take({"event": "playbook_on_play_start", "event_data": {"name": HOSTILE}})
        event = {"host": "web1", "task": HOSTILE, "task_action": "follow_run"}
        view.take({"event": "runner_on_start", "event_data": event})
        console = Console(file=io.StringIO(), width=80, force_terminal=False)
        console.print(view.show(80, 24))
        assert unsafe(console.file.getvalue()) == []


def test_the_pieces():
    assert clean("a\r\nb\tc\x1b[1m\ud800") == "a\nb\tc�[1m�"
    assert one_line("x" * 1000).endswith("…")
    assert len(one_line("x" * 1000)) == 300
    original = {"a": "\x9b\u202e\ud83d\U000e0001 größe\n"}
    escaped = json_text(json.dumps(original, ensure_ascii=False))
    assert unsafe(escaped) == []
    assert json.loads(escaped) == original
