"""Runs of older versions: read as if written today, or refused with a clear message."""

from __future__ import annotations

import copy
import json
import shutil

import factory
import pytest

from collect.decode import encode
from collect.errors import DataError
from collect.model import SCHEMA_VERSION, load_decision, load_plan, load_trial
from collect.report import build_report, render_markdown
from collect.store import load_run
from collect.upgrade import upgrade
from collect.verify import verify_run


def test_a_recorded_run_of_version_1_is_read_and_reported(data):
    (host,) = load_run(data / "run-v1").hosts
    assert host.plan.schema_version == SCHEMA_VERSION
    assert (host.plan.stopping.min_blocks, host.plan.stopping.gap) == (1, None)
    assert host.plan.stopping.reruns_per_block == 0
    assert (host.decision, host.blocks, host.missing) == (None, 1, ())
    for stored in host.trials:
        assert (stored.trial.schema_version, stored.trial.attempt) == (SCHEMA_VERSION, 1)
        assert (stored.trial.cpu.runner_s, stored.trial.cpu.others) == (None, None)
        assert stored.trial.host_state.trend_ratio is None
        assert stored.trial.cpu.server_s > 0
    page = render_markdown(build_report(load_run(data / "run-v1")))
    assert "granian" in page


def test_a_recorded_run_of_version_1_still_fits_its_checksums(data):
    found = verify_run(data / "run-v1")
    assert (found.problems, found.trials) == ((), 2)
    assert any("older serverbench" in note for note in found.notes)


def test_the_raw_files_stay_as_they_are(data, tmp_path):
    shutil.copytree(data / "run-v1", tmp_path / "run")
    path = tmp_path / "run" / "lab1" / "plan.json"
    before = path.read_bytes()
    load_plan(path)
    assert path.read_bytes() == before
    assert json.loads(before)["schema_version"] == 1


def test_a_trial_without_figures_is_upgraded_too():
    plan = factory.plan()
    old = encode(factory.failed(plan, plan.trials[0]))
    del old["attempt"]
    old["schema_version"] = 1
    before = copy.deepcopy(old)
    new = upgrade(old, "trial", 2, "trial.json")
    assert (new["cpu"], new["host_state"], new["attempt"]) == (None, None, 1)
    assert old == before


@pytest.mark.parametrize("load", [load_plan, load_trial, load_decision])
def test_a_newer_version_is_refused_with_what_to_do(tmp_path, load):
    path = tmp_path / "file.json"
    path.write_text('{"schema_version": 99}')
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    newest = f"this serverbench reads {SCHEMA_VERSION} and older."
    assert message.startswith(f"{path}: schema_version is 99; {newest}")
    assert "git pull" in message


@pytest.mark.parametrize("version", [None, 0, -1, "2", 2.0, True, []])
def test_what_is_no_version_is_refused(tmp_path, version):
    path = tmp_path / "trial.json"
    path.write_text(json.dumps({"schema_version": version}))
    with pytest.raises(DataError, match=rf"schema_version is .*; accepted: 1 to {SCHEMA_VERSION}"):
        load_trial(path)


@pytest.mark.parametrize("part", [None, 3, [], "x"])
def test_a_part_of_the_wrong_type_is_named_by_the_decoder(tmp_path, part):
    old = {**encode(factory.trial()), "schema_version": 1, "cpu": part}
    del old["attempt"]
    path = tmp_path / "trial.json"
    path.write_text(json.dumps(old))
    if part is None:
        load_trial(path)
    else:
        with pytest.raises(DataError, match="cpu"):
            load_trial(path)
