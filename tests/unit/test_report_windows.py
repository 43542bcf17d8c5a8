"""What the report says of a scheduled run: windows that ran, were missed, are to come."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta

import factory
import pytest

from collect.changes import compare_runs
from collect.errors import DataError
from collect.model import SCHEMA_VERSION, Decision, Window, dumps
from collect.report.build import build_report
from collect.report.data import render_json
from collect.report.runs import describe_run
from collect.report.single import find_trial
from collect.store import load_run

BEGIN = datetime.fromisoformat("2026-02-01T04:00:00+08:00")


@pytest.fixture
def plan():
    """Three windows a day apart, with a block each."""
    windows = tuple(
        Window(
            (BEGIN + timedelta(days=day)).isoformat(),
            (BEGIN + timedelta(days=day, minutes=40)).isoformat(),
            day + 1,
            day + 1,
        )
        for day in range(3)
    )
    return replace(factory.plan(blocks=3), windows=windows)


def host_of(tmp_path, plan, blocks, *, looked_at=None, missed=()):
    """Load a run of which these blocks are here; the runner last wrote at `looked_at`."""
    trials = []
    for one in factory.noisy_trials(plan):
        if one.block in blocks:
            start = BEGIN + timedelta(days=one.block - 1, seconds=one.position)
            end = start + timedelta(seconds=1)
            trials.append(replace(one, started_at=start.isoformat(), ended_at=end.isoformat()))
    run = factory.write_host(tmp_path, plan, trials)
    folder = run / plan.host
    if looked_at:
        (folder / "progress.json").write_text(json.dumps({"updated_at": looked_at.isoformat()}))
    (folder / "missed.jsonl").write_text("".join(f"{line}\n" for line in missed))
    return load_run(run)


def said(run, label):
    (host,) = build_report(run).hosts
    return next(line.said for line in host.course if line.label == label)


def test_windows_that_are_to_come_are_not_missed(tmp_path, plan):
    run = host_of(tmp_path, plan, {1})
    assert said(run, "Windows") == (
        "1 of 3 have run, in the zone of the host. Next: 2026-02-02 04:00."
    )
    assert said(run, "End").startswith("not yet: windows are still to come")
    (host,) = run.hosts
    assert {trial.block for trial in host.missing} == {2, 3}
    assert "pull.yml" in build_report(run).hosts[0].next_steps[0]


def test_a_window_that_passed_without_a_word_is_missed_for_good(tmp_path, plan):
    run = host_of(tmp_path, plan, {1, 3}, looked_at=BEGIN + timedelta(days=2, hours=1))
    assert "2 of 3 have run" in said(run, "Windows")
    assert (
        "Missed: 2026-02-02 04:00 (nothing is noted; the host was off, or the run was cut off)."
        in said(run, "Windows")
    )
    assert run.hosts[0].missing == ()
    assert not any("bench_run_id" in step for step in build_report(run).hosts[0].next_steps)


@pytest.mark.parametrize("is_decided", [False, True])
def test_a_run_that_missed_a_window_does_not_claim_to_be_whole(tmp_path, plan, is_decided):
    """Whether the report knows only the trials, or what the runner wrote after the last window."""
    run = host_of(tmp_path, plan, {1, 3}, looked_at=BEGIN + timedelta(days=2, hours=1))
    if is_decided:
        decision = Decision(SCHEMA_VERSION, plan.run_id, 3, "all_blocks", ())
        (run.folder / plan.host / "decision.json").write_text(dumps(decision))
        run = load_run(run.folder)
    assert said(run, "Trials") == "24 of 36 are here: 24 valid, 0 suspect, 0 invalid."
    assert said(run, "End") == (
        "after 2 of 3 blocks; the others belong to windows that were missed or cut off."
    )
    (host,) = run.hosts
    assert {trial.block for trial in host.missed} == {2}
    report = build_report(run)
    (data,) = json.loads(render_json(report))["hosts"]
    assert (data["blocks"], data["measured_blocks"]) == (3, 2)
    assert (describe_run(run.folder).missing, describe_run(run.folder).missed) == (0, 12)
    (changes,) = compare_runs(run, run).hosts
    assert (changes.a.blocks, changes.a.missed) == (2, 12)
    assert "A: 12 planned trials belong to windows that were missed or cut off." in changes.notes
    with pytest.raises(DataError, match="its window was missed or cut off on lab1"):
        find_trial(run, host.missed[0].id)


def test_a_block_that_a_window_left_short_is_not_measured(tmp_path, plan):
    run = host_of(tmp_path, plan, {1, 2, 3}, looked_at=BEGIN + timedelta(days=2, hours=1))
    (host,) = run.hosts
    last = next(stored for stored in host.trials if stored.trial.block == 2)
    shutil.rmtree(last.folder)
    run = load_run(run.folder)
    assert said(run, "Trials").startswith("35 of 36 are here: ")
    assert said(run, "End").startswith("after 2 of 3 blocks; ")


def test_one_measured_block_is_one_block_however_many_were_missed(tmp_path, plan):
    run = host_of(tmp_path, plan, {1}, looked_at=BEGIN + timedelta(days=2, hours=1))
    assert said(run, "End").startswith("after 1 of 3 blocks; ")
    assert any(
        warning.startswith("One block of ") for warning in build_report(run).hosts[0].warnings
    )


def test_why_a_window_was_missed_is_told_in_the_runners_words(tmp_path, plan):
    note = {"window": plan.windows[1].starts_at, "at": "x", "why": "this host is at work (run x)"}
    lines = ["{cut o", json.dumps([1]), json.dumps({"window": 1}), json.dumps(note)]
    run = host_of(
        tmp_path, plan, {1}, looked_at=BEGIN + timedelta(days=1, minutes=41), missed=lines
    )
    assert "Missed: 2026-02-02 04:00 (this host is at work (run x))." in said(run, "Windows")
    assert "Next: 2026-02-03 04:00." in said(run, "Windows")


def test_a_run_by_hand_has_no_windows(tmp_path):
    (host,) = build_report(load_run(factory.write_host(tmp_path, factory.plan(blocks=2)))).hosts
    assert "Windows" not in [line.label for line in host.course]
