"""`serverbench verify`: one flipped byte, one missing file, one too many: each by its name."""

from __future__ import annotations

import os
import shutil

import factory
import pytest

from collect import cli
from collect.errors import DataError
from collect.files import PART_BYTES
from collect.model import Decision, dumps
from collect.report import build_report, render_markdown
from collect.report.charts import image_names
from collect.runner.trial_folder import write_run_sums
from collect.store import TRIAL, load_run
from collect.sums import SUMS, digest, folder_problems, is_as_listed
from collect.verify import verify_run


@pytest.fixture
def plan():
    return factory.plan(blocks=1, variants=factory.variants(factory.PAIRS[:2]))


@pytest.fixture
def run(tmp_path, plan):
    """Write a run as the runner leaves it, pulled and reported."""
    folder = factory.write_host(tmp_path / "results", plan)
    host = folder / plan.host
    (host / "decision.json").write_text(dumps(Decision(2, plan.run_id, 1, "all_blocks", ())))
    (host / "progress.json").write_text("{}")
    write_run_sums(host)
    (folder / "report.md").write_text(render_markdown(build_report(load_run(folder))))
    return folder


def test_a_run_as_it_was_written(run, plan):
    found = verify_run(run)
    assert (found.problems, found.notes) == ((), ())
    assert (found.run_id, found.trials) == (plan.run_id, len(plan.trials))


def every_file(run):
    return [
        path.relative_to(run)
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name != "progress.json"
    ]


def test_a_flipped_byte_anywhere_is_named(run):
    for name in every_file(run):
        path = run / name
        content = path.read_bytes()
        for position in (0, len(content) // 2, len(content) - 2):
            flipped = bytearray(content)
            flipped[position] ^= 0x04
            path.write_bytes(flipped)
            problems = verify_run(run).problems
            # A list of checksums that was changed names what it no longer fits.
            words = str(name) if name.name != "SHA256SUMS" else str(name.parent)
            assert any(words in problem for problem in problems), (name, position, problems)
        path.write_bytes(content)
    assert verify_run(run).problems == ()


def test_a_missing_file_anywhere_is_named(run):
    for name in every_file(run):
        path = run / name
        if name.name == "report.md":
            continue
        aside = path.rename(run.parent / "aside")
        found = verify_run(run)
        assert any(str(name) in words or str(name.parent) in words for words in found.problems), (
            name,
            found,
        )
        aside.rename(path)


def test_a_trial_that_was_changed_with_its_own_list_is_named_by_the_hosts(run, plan):
    folder = run / plan.host / "trials" / plan.trials[0].id
    (folder / "wrk.txt").write_text("nicer figures")
    _listed(folder, *(path.name for path in folder.iterdir() if path.name != SUMS))
    named = f"{plan.host}/trials/{folder.name}/{SUMS}: differs from its checksum in {SUMS}"
    problems = verify_run(run).problems
    assert problems[0] == named
    assert all(problem.startswith("report.md: differs") for problem in problems[1:])


def test_a_missing_trial_is_named(run, plan):
    gone = plan.trials[0].id
    shutil.rmtree(run / plan.host / "trials" / gone)
    problems = verify_run(run).problems
    assert f"{plan.host}/trials/{gone}/SHA256SUMS: listed in SHA256SUMS but missing" in problems
    assert any(problem.startswith("report.md: differs") for problem in problems)


def test_all_that_is_wrong_is_named_not_only_the_first(run, plan):
    host = run / plan.host
    first, second = (host / "trials" / planned.id for planned in plan.trials[:2])
    (first / "wrk.txt").write_text("nicer figures")
    (second / "wrk.txt").unlink()
    (second / "notes.txt").write_text("mine")
    (host / "host.2.json").write_text("{}")
    (host / "notes.txt").write_text("mine")
    (host / "host.json").write_text("{}")
    problems = verify_run(run).problems
    for words in (
        f"{first.name}/wrk.txt: differs from its checksum",
        f"{second.name}/wrk.txt: listed in SHA256SUMS but missing",
        f"{second.name}/notes.txt: not listed",
        "host.2.json: not listed",
        "lab1/notes.txt: not listed",
        "lab1/host.json: differs from its checksum",
    ):
        assert any(words in problem for problem in problems), words


def test_processes_find_the_same_in_the_same_order(run, plan, monkeypatch):
    host = run / plan.host
    for trial in plan.trials:
        with (host / "trials" / trial.id / "wrk.txt").open("a") as file:
            file.write("nicer figures")
        (host / "trials" / f"{trial.id}-x").write_text("no folder")
    (host / "host.json").write_text("{}")
    here = verify_run(run)
    monkeypatch.setattr("collect.verify._AT_ONCE", 2)
    monkeypatch.setattr("collect.beside._WORTH_IT", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("collect.beside.can_be_apart", lambda: True)
    fork, forks = os.fork, []
    monkeypatch.setattr("os.fork", lambda: forks.append(1) or fork())
    monkeypatch.setattr("collect.beside.islice", None)
    assert verify_run(run) == here
    assert forks
    assert len(here.problems) >= 2 * len(plan.trials) + 1


def test_a_trial_that_came_from_elsewhere_is_named(run, plan):
    trials = run / plan.host / "trials"
    shutil.copytree(trials / plan.trials[0].id, trials / "b09-x")
    problems = verify_run(run).problems
    assert any("trials/b09-x: the whole trial is not listed" in problem for problem in problems)
    assert any("report.md: cannot be rebuilt" in problem for problem in problems)


def test_a_report_that_says_something_else_is_named(run):
    path = run / "report.md"
    path.write_text(path.read_text().replace("uwsgi", "granian"))
    (problem,) = verify_run(run).problems
    assert problem.startswith("report.md: differs")


@pytest.mark.parametrize("decision", ["going_on", None, "at work"])
def test_what_cannot_be_checked_is_said_and_is_no_problem(run, plan, decision):
    (run / "report.md").unlink()
    host = run / plan.host
    (host / "SHA256SUMS").unlink()
    # As it was stopped, and as an older serverbench left it.
    if decision is None:
        (host / "decision.json").unlink()
    elif decision == "at work":
        # One that had ended and is gone on with; or its service is being put back.
        (host / "progress.json").write_text('{"state": "running"}')
    else:
        (host / "decision.json").write_text(dumps(Decision(2, plan.run_id, 0, decision, ())))
    shutil.rmtree(host / "trials" / plan.trials[0].id)
    found = verify_run(run)
    assert found.problems == ()
    assert len(found.notes) == 2


def test_a_run_that_ended_has_a_list_and_the_trials_of_its_plan(run, plan):
    gone = plan.trials[0].id
    host = run / plan.host
    (run / "report.md").unlink()
    (host / SUMS).unlink()
    shutil.rmtree(host / "trials" / gone)
    trial, own_list = verify_run(run).problems
    assert trial.startswith(f"{plan.host}/trials/{gone}: missing, and plan.json has it")
    assert own_list.startswith(f"{plan.host}/{SUMS}: missing, and decision.json says")


def test_a_trial_that_the_list_forgot_as_well_is_named(run, plan):
    gone = plan.trials[0].id
    shutil.rmtree(run / plan.host / "trials" / gone)
    write_run_sums(run / plan.host)
    trial, report = verify_run(run).problems
    assert trial.startswith(f"{plan.host}/trials/{gone}: missing")
    assert report.startswith("report.md: differs")


def test_of_many_missing_trials_the_count_is_told(run, plan, monkeypatch):
    monkeypatch.setattr("collect.verify._MOST_NAMED", 2)
    shutil.rmtree(run / plan.host / "trials")
    write_run_sums(run / plan.host)
    first, second, count, *_ = verify_run(run).problems
    assert [plan.trials[0].id in first, plan.trials[1].id in second] == [True, True]
    assert count == f"{plan.host}/trials: {len(plan.trials)} such trials are missing in all"


def test_blocks_that_a_run_did_without_are_not_missing(tmp_path):
    plan = factory.plan(blocks=2, variants=factory.variants(factory.PAIRS[:2]))
    trials = [one for one in factory.healthy_trials(plan) if one.block == 1]
    decision = Decision(2, plan.run_id, 1, "decided", ())
    folder = factory.write_host(tmp_path, plan, trials, decision)
    write_run_sums(folder / plan.host)
    assert verify_run(folder).problems == ()


@pytest.mark.parametrize("has_list", [True, False])
def test_a_folder_that_no_run_has_is_named(run, plan, has_list):
    host = run / plan.host
    (host / "more").mkdir()
    (host / "other").symlink_to(host / "trials")
    (host / ".incoming-x").mkdir()
    if not has_list:
        (host / SUMS).unlink()
    problems = verify_run(run).problems
    named = [f"{plan.host}/{name}: no folder that a run has" for name in ("more", "other")]
    assert [problem for problem in problems if SUMS not in problem] == named


def test_a_link_that_leads_nowhere_is_named(run, plan):
    (run / plan.host / "notes.txt").symlink_to("nowhere")
    (problem,) = verify_run(run).problems
    assert problem.startswith(f"{plan.host}/notes.txt: not listed")


@pytest.fixture
def with_charts(run):
    """The run as `bench.yml` leaves it; nobody looks into the images."""
    report = build_report(load_run(run))
    (run / "report-charts").mkdir()
    for name in image_names(report):
        (run / "report-charts" / name).touch()
    (run / "report.md").write_text(render_markdown(report, "report-charts"))
    (run / "report.html").touch()
    return run


def test_that_charts_are_not_compared_is_said_once(with_charts):
    found = verify_run(with_charts)
    assert found.problems == ()
    (note,) = found.notes
    assert note.startswith("report-charts and report.html: not compared")


def test_charts_that_went_missing_or_were_added_are_named(with_charts):
    folder = with_charts / "report-charts"
    first, second, *_ = sorted(path.name for path in folder.iterdir())
    (folder / first).unlink()
    (folder / second).unlink()
    (folder / second).symlink_to("elsewhere.svg")
    (folder / "9-mine.svg").touch()
    assert verify_run(with_charts).problems == (
        f"report-charts/{first}: missing, and the run's report shows it",
        f"report-charts/{second}: missing, and the run's report shows it",
        "report-charts/9-mine.svg: no chart that the run's report shows",
    )


@pytest.mark.parametrize("line", ["x", f"{'0' * 64}  ../plan.json", f"{'0' * 64}  /etc/passwd"])
def test_a_list_that_leads_elsewhere_is_named(run, plan, line):
    path = run / plan.host / "SHA256SUMS"
    path.write_text(path.read_text() + line + "\n")
    assert any("accepted: <sha256>" in problem for problem in verify_run(run).problems)


def _listed(folder, *names):
    lines = [f"{digest(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _folder: None,
        lambda folder: (folder / "wrk.txt").write_text("other"),
        lambda folder: (folder / "wrk.txt").unlink(),
        lambda folder: (folder / "more.txt").touch(),
        lambda folder: (folder / "more").mkdir(),
        lambda folder: (
            (folder / "wrk.txt").rename(folder.parent / "wrk.txt")
            and (folder / "wrk.txt").symlink_to(folder.parent / "wrk.txt")
        ),
        lambda folder: (
            (folder / SUMS).rename(folder / "list") and (folder / SUMS).symlink_to(folder / "list")
        ),
        lambda folder: (folder / SUMS).unlink(),
        lambda folder: (folder / SUMS).write_text(""),
        lambda folder: (folder / SUMS).write_bytes(b"\xff"),
        lambda folder: (folder / SUMS).write_text("no list\n" + (folder / SUMS).read_text()),
        lambda folder: (folder / SUMS).write_text((folder / SUMS).read_text().upper()),
        lambda folder: _listed(folder, TRIAL),
        lambda folder: _listed(folder, "wrk.txt"),
        lambda folder: _listed(folder, TRIAL, "wrk.txt", f"../{folder.name}/wrk.txt"),
        lambda folder: _listed(folder, TRIAL, TRIAL),
        lambda folder: _listed(folder, TRIAL, "wrk.txt", SUMS),
        lambda folder: (folder / TRIAL).unlink() or _listed(folder, "wrk.txt"),
        shutil.rmtree,
        lambda folder: shutil.rmtree(folder) or folder.touch(),
    ],
)
def test_what_is_told_at_once_is_what_the_long_way_finds(tmp_path, spoil):
    folder = tmp_path / "trial"
    folder.mkdir()
    for name in (TRIAL, "wrk.txt"):
        (folder / name).write_text(name)
    _listed(folder, TRIAL, "wrk.txt")
    spoil(folder)
    problems = [*folder_problems(folder, "trial", (TRIAL,))]
    assert is_as_listed(str(folder), TRIAL) is (problems == [])


def test_of_a_large_file_the_long_way_tells(tmp_path):
    (tmp_path / TRIAL).write_bytes(bytes(PART_BYTES))
    _listed(tmp_path, TRIAL)
    assert not is_as_listed(str(tmp_path), TRIAL)
    assert [*folder_problems(tmp_path, "trial", (TRIAL,))] == []


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(DataError, match="no such run"):
        verify_run(tmp_path / "none")
    with pytest.raises(DataError, match="was the run pulled"):
        verify_run(tmp_path)


def test_what_a_list_is_spammed_with_is_cut(run, plan, capsys):
    sums = run / plan.host / SUMS
    sums.write_text(f"{sums.read_text()}{'x' * 10_000_000}\n" + "spam\n" * 100_000)
    assert cli.main(["verify", str(run)]) == 1
    out = capsys.readouterr().out
    assert len(out) < 200_000
    assert "and 99,001 more\n" in out
    assert out.splitlines()[-1] == f"{plan.run_id}: 100001 problems"


def test_the_command(run, plan, capsys, monkeypatch):
    monkeypatch.chdir(run.parent.parent)
    assert cli.main(["verify", plan.run_id]) == 0
    assert capsys.readouterr().out == f"{plan.run_id}: all as it was written\n"
    (run / plan.host / "plan.json").write_text("{}")
    assert cli.main(["verify", str(run)]) == 1
    out = capsys.readouterr().out
    assert "lab1/plan.json: differs from its checksum in SHA256SUMS\n" in out
    assert out.splitlines()[-1] == f"{plan.run_id}: 2 problems"
