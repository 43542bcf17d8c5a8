"""`serverbench list` and `serverbench show`, over runs that were made up."""

from __future__ import annotations

import json
import re

import factory
import pytest

from collect import cli
from collect.cli.terminal import print_to_text
from collect.report.runs import RunLine, runs_table


@pytest.fixture
def results(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path / "results"


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = cli.main(list(arguments))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def add_run(results, run_id, created_at, trials=None, **changes):
    plan = factory.plan(run_id=run_id, created_at=created_at, blocks=1, **changes)
    factory.write_host(results, plan, trials and trials(plan))
    return plan


def test_list_shows_the_newest_last_with_verdicts_and_what_is_missing(run, results):
    add_run(results, "later", "2026-02-01T02:00:00+00:00", lambda p: factory.healthy_trials(p)[:5])
    add_run(results, "earlier", "2026-01-01T02:00:00+00:00")
    add_run(results, "earlier", "2026-01-01T02:00:00+00:00", host="lab2")
    status, out, err = run("list")
    assert (status, err) == (0, "")
    assert out.index("earlier") < out.index("later")
    flat = " ".join(out.split())
    assert "lab1, lab2" in flat
    assert "7 missing" in flat
    assert "24" in flat
    assert max(map(len, out.splitlines())) <= 80


def test_list_counts_what_is_not_valid(run, results):
    def spoilt(plan):
        first, *others = plan.trials
        return [factory.failed(plan, first), *(factory.trial(one, plan) for one in others)]

    add_run(results, "spoilt", "2026-01-01T02:00:00+00:00", spoilt)
    assert "1 invalid" in " ".join(run("list")[1].split())


def test_list_shows_ten_unless_asked_for_all(run, results):
    for day in range(1, 13):
        add_run(results, f"run-of-{day:02}", f"2026-01-{day:02}T02:00:00+00:00")
    _, out, _ = run("list")
    assert "run-of-02" not in out
    assert "run-of-03" in out
    assert "2 older; serverbench list --all" in out
    assert "run-of-01" in run("list", "--all")[1]


def test_list_names_a_run_that_cannot_be_read_and_shows_the_rest(run, results):
    add_run(results, "good", "2026-01-01T02:00:00+00:00")
    (results / "bad" / "lab1").mkdir(parents=True)
    (results / "bad" / "lab1" / "plan.json").write_text("{")
    status, out, _ = run("list")
    assert status == 0
    assert "good" in out
    assert "not JSON" in " ".join(out.split())


@pytest.mark.usefixtures("results")
def test_list_without_runs_says_what_makes_one(run):
    status, out, _ = run("list")
    assert status == 0
    assert "holds no run yet; serverbench run makes one" in out


def test_show_says_everything_of_one_trial(run, results):
    plan = add_run(results, "one", "2026-01-01T02:00:00+00:00")
    planned = plan.trials[2]
    effective = {
        "processes": [
            {"pid": 6, "argv": ["not", "this"], "helper": True},
            {"pid": 7, "argv": ["granian", "--workers=2"], "helper": False},
        ],
        "server_version": "2.8.7",
        "workers_seen": 2,
        "load_argv": ["wrk", "-t", "4"],
    }
    folder = results / "one" / "lab1" / "trials" / planned.id
    (folder / "effective.json").write_text(json.dumps(effective))
    status, out, err = run("show", planned.id)
    assert (status, err) == (0, "")
    flat = " ".join(out.split())
    rps = factory.trial(planned, plan).wrk.rps
    for words in (
        f"{planned.id}: valid (run one, lab1)",
        f"block 1 of 1, trial 3 of {len(plan.trials)}",
        f"GET http://127.0.0.1:9875{plan.endpoint(planned.endpoint).path}, status 200",
        "wrk -t4 -c200 -d30s --timeout 10s after a warm-up of 5 s",
        "command granian --workers=2",
        "processes 2",
        "server 2.8.7",
        "kernel 6.12.48",
        f"Requests/sec: {rps:.2f}",
        str(folder.relative_to(results.parent)),
    ):
        assert words in flat
    assert "not this" not in flat


def test_show_gives_the_reasons_and_the_journal_of_a_failure(run, results):
    def spoilt(plan):
        return [factory.failed(plan, one) for one in plan.trials]

    plan = add_run(results, "spoilt", "2026-01-01T02:00:00+00:00", spoilt)
    folder = results / "spoilt" / "lab1" / "trials" / plan.trials[0].id
    (folder / "journal.txt").write_text("early\n" * 40 + "no such option\n")
    (folder / "wrk.txt").unlink()
    _, out, _ = run("show", plan.trials[0].id, "spoilt")
    assert ": invalid" in out
    assert "start_failed" in out
    assert "It is not here." in out
    assert "no such option" in out
    assert out.count("early") == 29


def test_show_says_it_for_each_host_that_has_the_trial(run, results):
    add_run(results, "two", "2026-01-01T02:00:00+00:00")
    plan = add_run(results, "two", "2026-01-01T02:00:00+00:00", host="lab2")
    _, out, _ = run("show", plan.trials[0].id)
    assert "(run two, lab1)" in out
    assert "(run two, lab2)" in out


def test_show_names_trials_that_read_alike(run, results):
    plan = add_run(results, "one", "2026-01-01T02:00:00+00:00")
    status, _, err = run("show", "b01-granian-health")
    assert status == 1
    assert "no such trial in run one; alike are " in err
    assert "b01-granian-wsgi-health" in err
    assert {one.id for one in plan.trials} >= {"b01-granian-wsgi-health"}


def test_show_tells_a_trial_that_is_yet_to_come(run, results):
    plan = add_run(
        results, "half", "2026-01-01T02:00:00+00:00", lambda p: factory.healthy_trials(p)[:5]
    )
    status, _, err = run("show", plan.trials[7].id)
    assert status == 1
    assert "planned, but not here yet; serverbench pull half" in err


def test_show_puts_nothing_on_the_terminal_that_a_host_wrote_to_it(run, results):
    plan = add_run(results, "evil", "2026-01-01T02:00:00+00:00")
    folder = results / "evil" / "lab1" / "trials" / plan.trials[0].id
    (folder / "wrk.txt").write_text("\x1b[2J[red]gone[/red]")
    _, out, _ = run("show", plan.trials[0].id)
    assert "\x1b" not in out
    assert "[red]gone[/red]" in out


@pytest.mark.parametrize("hosts", [("lab1",), ("tencent1", "tencent2"), ("a", "b", "c", "d")])
def test_no_character_of_a_long_answer_is_lost(hosts):
    answer = "".join(f"{number:04d}" for number in range(40))
    at = "2026-01-31T02:00:00+00:00"
    line = RunLine("20260131-0200", at, hosts, 60, verdicts=(("valid", 60),), answer=answer)
    page = print_to_text(runs_table([line]))
    assert all(len(row) <= 80 for row in page.splitlines())
    digits = "".join(re.findall(r"\d{9,}", page.replace("20260131-0200", "")))
    shown = "".join(row.split()[-1] for row in page.splitlines()[2:] if row.strip())
    assert answer in (shown, digits)
