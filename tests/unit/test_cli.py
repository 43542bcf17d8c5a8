from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import factory
import pytest

import collect
from collect import cli
from collect.cli import report as report_command
from collect.model import load_plan

VARIABLES = {
    "server_catalogue": factory.CATALOGUE,
    "server_profiles": factory.PROFILES,
    "bench_profiles": ["parity"],
    "app_endpoints": factory.ENDPOINTS,
    "bench_blocks": 3,
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Stand in a folder that looks like the kit's own, with one run in it."""
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "collect").mkdir()
    factory.write_host(tmp_path / "results", factory.plan())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = cli.main(list(arguments))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def assert_one_line(error, *words):
    assert error.startswith("serverbench: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_version_and_help(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert collect.__version__ in capsys.readouterr().out
    for command in ("plan", "pull", "unpack", "report"):
        with pytest.raises(SystemExit) as caught:
            cli.main([command, "--help"])
        assert caught.value.code == 0
        assert "Example: " in (out := " ".join(capsys.readouterr().out.split()))
        assert f"serverbench {command}" in out


@pytest.mark.parametrize("arguments", [[], ["nope"], ["plan"], ["report", "x", "--format", "pdf"]])
def test_a_wrong_command_line_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: serverbench" in capsys.readouterr().err


def test_plan_shows_variants_order_and_time(run, tmp_path):
    (tmp_path / "variables.json").write_text(json.dumps(VARIABLES))
    output = tmp_path / "plan.json"
    status, out, err = run(
        "plan", str(tmp_path / "variables.json"), "--host", "lab1", "--output", str(output)
    )
    assert (status, err) == (0, "")
    plan = load_plan(output)
    assert (plan.host, len(plan.trials)) == ("lab1", 36)
    ids = re.findall(r"^ +\d+  (b\d\d-\S+)$", out, re.MULTILINE)
    assert ids == [trial.id for trial in plan.trials]
    told = "granian-wsgi: workers 2, threads 1, backlog 1024, keepalive s 5; no setting for socket"
    assert told in " ".join(out.split())
    assert "About 22 min: 18 min load, 3 min warm-up, 90 s switching" in out


def test_a_value_of_the_environment_is_shown_nowhere(run, tmp_path):
    secret = {"workers": 2, "environment": {"API_KEY": "hush-hush"}}
    line = {**factory.PAIRS[2], "label": "keyed", "knobs": secret}
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps({**VARIABLES, "bench_matrix": [line]}))
    status, out, _ = run("plan", str(variables), "--host", "lab1")
    assert status == 0
    assert "environment 1 set" in out
    plan = factory.plan(variants=factory.variants([line]), blocks=1)
    folder = factory.write_host(tmp_path, plan)
    shown = [run("show", plan.trials[0].id, str(folder))[1], run("report", str(folder))[1]]
    assert all("environment" in page for page in shown)
    assert not any("hush" in page for page in (out, *shown))


def test_plan_reads_standard_input(run, monkeypatch, tmp_path):
    path = tmp_path / "variables.json"
    path.write_text(json.dumps({**VARIABLES, "bench_profiles": ["fast"]}))
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        status, out, err = run("plan", "-")
    assert (status, out) == (1, "")
    assert_one_line(err, "bench_profiles[0]", "'fast'", "parity")


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000])
def test_plan_names_a_file_that_is_no_mapping(run, tmp_path, content):
    path = tmp_path / "variables.json"
    path.write_text(content)
    status, _, err = run("plan", str(path))
    assert status == 1
    assert_one_line(err, str(path))
    status, _, err = run("plan", str(tmp_path / "none.json"))
    assert_one_line(err, "none.json: cannot be read")


def test_report_finds_a_run_by_id_by_path_and_as_the_latest(run, checkout):
    newer = factory.plan(run_id="20260201-0200", created_at="2026-02-01T02:00:00+00:00")
    older = factory.plan(run_id="zz-older", created_at="2025-02-01T02:00:00+00:00")
    for plan in (newer, older):
        factory.write_host(checkout / "results", plan)
    for name, run_id in [
        ("latest", "20260201-0200"),
        ("20260131-0200", "20260131-0200"),
        ("results/zz-older", "zz-older"),
    ]:
        status, out, err = run("report", name)
        assert (status, err) == (0, "")
        assert f"run {run_id}:" in out


def test_report_in_each_format_to_a_file(run, checkout):
    for name in ("terminal", "markdown"):
        path = checkout / f"report.{name}"
        status, out, _ = run("report", "latest", "--format", name, "--output", str(path))
        assert (status, out) == (0, "")
        assert "Requests per second" in path.read_text(encoding="utf-8")
    status, _, err = run("report", "latest", "--output", str(checkout / "no" / "where"))
    assert status == 1
    assert_one_line(err, "cannot be written")


def test_report_in_several_formats_at_once_reads_the_run_once(run, checkout, monkeypatch):
    read = []
    real = report_command.load_run
    monkeypatch.setattr(report_command, "load_run", lambda path: read.append(path) or real(path))
    formats = [f"--format={name}" for name in ("html", "markdown", "terminal", "csv", "json")]
    status, out, err = run("report", "latest", *formats)
    assert (status, err, len(read)) == (0, "", 1)
    (folder,) = read
    files = {path.name for path in folder.iterdir() if path.name.startswith("report")}
    assert files == {"report.html", "report.md", "report-charts", "report.csv", "report.json"}
    assert out.startswith(run("report", "latest")[1])
    assert out.endswith("report.html: open it in a browser; it needs nothing else\n")
    status, out, err = run("report", "latest", *formats, "--output", str(checkout / "x"))
    assert (status, out) == (1, "")
    assert_one_line(err, "--output: takes one --format, and there are html, markdown, terminal")


def test_report_names_what_is_not_there(run, checkout, monkeypatch):
    status, _, err = run("report", "nope")
    assert status == 1
    assert_one_line(err, "nope: no such run", "results")
    (checkout / "empty").mkdir()
    (checkout / "empty" / "results").mkdir()
    monkeypatch.chdir(checkout / "empty")
    status, _, err = run("report", "latest")
    assert_one_line(err, "holds no run yet")


def test_unpack_says_what_it_added(run, tmp_path):
    plan = factory.plan(blocks=1)
    archive = tmp_path / "lab1.tar.gz"
    content = factory.tar_bytes(factory.host_files(plan, factory.healthy_trials(plan)))
    archive.write_bytes(content)
    destination = tmp_path / "results" / "run" / "lab1"
    status, out, _ = run("unpack", str(archive), str(destination))
    assert status == 0
    assert "12 trials added, 0 were here already" in out
    archive.write_bytes(content[:-100])
    status, _, err = run("unpack", str(archive), str(destination))
    assert status == 1
    assert_one_line(err, str(archive), "cut off or damaged")


@pytest.fixture
def playbook(checkout, monkeypatch):
    """Put a stand-in for ansible-playbook on the path that writes down how it was called."""
    folder = checkout / "bin"
    folder.mkdir()
    program = folder / "ansible-playbook"
    program.write_text('#!/bin/sh\n{ pwd; printf "%s\\n" "$@"; } > called\nexit ${STATUS:-0}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    (checkout / "inventory").mkdir()
    (checkout / "inventory" / "lab").mkdir()
    return checkout / "called"


def test_pull_starts_the_playbook_from_the_root_of_the_kit(run, checkout, playbook, monkeypatch):
    monkeypatch.chdir(checkout / "inventory")
    assert run("pull", "20260131-0200", "-i", "lab", "--limit", "lab1")[0] == 0
    assert playbook.read_text().splitlines() == [
        str(checkout),
        "pull.yml",
        "-i",
        str(checkout / "inventory" / "lab"),
        "--limit",
        "lab1",
        "-e",
        "bench_run_id=20260131-0200",
    ]
    assert run("pull", "20260131-0200", "-i", "lab", "-J", "-K", "-e", "a=b")[0] == 0
    assert playbook.read_text().splitlines()[4:] == [
        "-e",
        "a=b",
        "--ask-become-pass",
        "--ask-vault-pass",
        "-e",
        "bench_run_id=20260131-0200",
    ]


@pytest.mark.parametrize("value", ['{"bench_profiles": ["tuned"}', "{bad", "[1, 2"])
def test_broken_json_is_not_blamed_on_the_inventory(run, checkout, playbook, value):
    assert (checkout / "inventory" / "lab").exists()
    status, _, err = run("pull", "20260131-0200", "-i", "inventory/lab", "-e", value)
    assert status == 1
    assert_one_line(err, "-e: broken JSON", "accepted: name=value, JSON or @file")
    assert value not in err
    assert not playbook.exists()


def test_pull_passes_failure_on(run, playbook, monkeypatch):
    monkeypatch.setenv("STATUS", "4")
    status, _, err = run("pull", "20260131-0200", "-i", "web1,")
    assert status == 1
    assert_one_line(err, "status 4")
    assert "web1," in playbook.read_text()


@pytest.mark.parametrize("run_id", ["x y=1", "../x", "a b", "{{ lookup('pipe', 'id') }}", ""])
def test_pull_takes_no_variables_in_disguise(run, playbook, run_id):
    status, _, err = run("pull", run_id, "-i", "lab")
    assert status == 1
    assert_one_line(err, "RUN_ID")
    assert not playbook.exists()


def call(arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "collect", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        check=False,
    )


def test_a_log_without_unicode_gets_plain_signs(checkout):
    done = call(["report", "latest"], checkout, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"-----" in done.stdout
    # A question mark stands in for what cannot be written; these two are meant.
    meant = done.stdout.replace(b"/movie?page=1", b"").replace(b"Was the host steady?", b"")
    assert b"?" not in meant


def test_a_broken_pipe_is_quiet(checkout):
    command = f"'{sys.executable}' -m collect"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{{ {command} report latest --raw; echo status $? >&2; }} | true"],
        cwd=checkout,
        capture_output=True,
        check=False,
    )
    assert done.stderr == b"status 0\n"


def charts_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "report-charts").iterdir()}


def test_charts_are_drawn_beside_as_they_are_here(run, checkout):
    folder = checkout / "results/20260131-0200"
    formats = [f"--format={one}" for one in ("markdown", "terminal", "html")]
    assert run("report", "latest", *formats)[0] == 0
    here = charts_of(folder)
    page = (folder / "report.md").read_text("utf-8")
    assert set(here) == set(re.findall(r"report-charts/([^)]+)", page))
    shutil.rmtree(folder / "report-charts")
    assert call(["report", "latest", *formats], checkout).returncode == 0
    assert charts_of(folder) == here
    # A reader who has seen enough leaves no page without its charts.
    shutil.rmtree(folder / "report-charts")
    command = f"'{sys.executable}' -m collect report latest {' '.join(formats)} | true"
    subprocess.run(["/bin/sh", "-c", command], cwd=checkout, check=True)
    assert charts_of(folder) == here


def test_charts_that_cannot_be_written_are_told(checkout):
    folder = checkout / "results/20260131-0200"
    (folder / "report-charts").touch()
    done = call(["report", "latest", "--format", "markdown", "--format", "terminal"], checkout)
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), str(folder.name), "report-charts", "File exists")


def test_what_was_said_before_an_error_is_seen(checkout):
    (checkout / "results/20260131-0200/report.html").mkdir()
    formats = ["--format", "terminal", "--format", "html"]
    done = call(["report", "latest", *formats], checkout)
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), "report.html")
    assert done.stdout.decode() == call(["report", "latest"], checkout).stdout.decode()


def test_a_full_disk_is_told(checkout):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "collect", "report", "latest"],
            cwd=checkout,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), "No space left on device")


def test_ctrl_c_ends_what_goes_on_beside(checkout):
    script = """
import sys, time
from collect import cli
from collect.beside import beside
from collect.cli import report

def interrupted(run):
    kept.append(beside(lambda: [time.sleep(120)], apart=True))
    raise KeyboardInterrupt

kept = []
report.build_report = interrupted
sys.argv = ["serverbench", "report", "latest"]
cli.command()
"""
    # Whoever reads its output waits until the last of its processes has ended.
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=checkout, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
