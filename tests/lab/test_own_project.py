"""A user's own project on a real host: from a git repository, with a private index and a mirror.

On one host only, which gets the kit's own app back at the end.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from labkit import BENCH_HOSTS, BENCH_NETWORK, REPO, run_playbook, ssh
from package_index import serve, wheel
from pip._internal.models.index import PyPI

from collect.model import load_plan, load_trial

HOST = next(iter(BENCH_HOSTS))
SERVERS = {"uwsgi", "gunicorn", "granian", "uvicorn", "daphne", "hypercorn"}
# The lab's own address on the bridge: what a host can reach of this machine.
HERE = BENCH_NETWORK["lab_host_subnet"].replace("0/24", "1")
CANARY = "canary 'with' \"quotes\" $HOME %h \\ end"


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-C", folder, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The foreign project at tag v1, with a package that one index alone has; main is broken."""
    folder = tmp_path_factory.mktemp("origin") / "noticeboard"
    shutil.copytree(REPO / "tests/foreign_project", folder)
    about = folder / "pyproject.toml"
    about.write_text(about.read_text().replace('["Django', '["serverbench_lab_canary", "Django'))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "tag", "v1")
    (folder / "src/noticeboard/settings/production.py").write_text("syntax error\n")
    git(folder, "commit", "-qam", "two")
    return folder


@pytest.fixture(scope="module")
def variables(repository, tmp_path_factory):
    return {
        "app_source": repository.as_uri(),
        "app_ref": "v1",
        "app_root": "src",
        "app_requirements": "pyproject.toml[live]",
        "app_settings_module": "noticeboard.settings.production",
        "app_wsgi": "noticeboard.web:application",
        "app_asgi": "noticeboard.live:application",
        "app_environment": {
            "BOARD_MODERATOR_TOKEN": CANARY,
            "BOARD_DATABASE_FILE": "/var/lib/serverbench/app/board.sqlite3",
        },
        "app_generated_secrets": ["BOARD_SECRET"],
        "app_setup_commands": ["python manage.py migrate --noinput"],
        "app_endpoints": [
            {
                "name": "about",
                "path": "/about",
                "expect": {
                    "status": 200,
                    "json_exact": {"board": "noticeboard", "moderated": True},
                },
            },
            {
                "name": "post",
                "method": "POST",
                "path": "/notices",
                "headers": {"Content-Type": "application/json", "X-Board": "lobby"},
                "body": '{"text": "from \\u00fcber \\"there\\"", "author": "wrk"}',
                "expect": {"status": 201, "regex": "^notice [0-9]+ by wrk\n$"},
            },
        ],
        "bench_endpoints": ["about", "post"],
        "bench_blocks": 1,
        "bench_load": {
            "threads": 2, "connections": 4, "duration_s": 1, "warmup_s": 0, "timeout_s": 10
        },
        "bench_run_id": "foreign",
        "bench_results_dir": str(tmp_path_factory.mktemp("results")),
    }  # fmt: skip


@pytest.fixture(scope="module")
def measured(deployed, variables):
    """A short run, and what the private index was asked for meanwhile."""
    index = PyPI.simple_url.removesuffix("/simple")
    wheels = dict([wheel("serverbench_lab_canary", "1.0")])
    try:
        with serve(wheels, HERE, elsewhere=index) as served:
            run = run_playbook(
                "bench.yml", deployed, limit=HOST, pip_index_url=f"{served.url}/simple", **variables
            )
        yield run, served.asked
    finally:
        run_playbook("deploy.yml", deployed, limit=HOST)


@pytest.mark.lab
def test_all_six_servers_serve_a_foreign_project(measured, variables):
    _, asked = measured
    folder = Path(variables["bench_results_dir"], "foreign", HOST)
    plan = load_plan(folder / "plan.json")
    trials = [load_trial(folder / "trials" / trial.id / "trial.json") for trial in plan.trials]
    assert {trial.server for trial in trials} == SERVERS
    assert {trial.endpoint for trial in trials} == {"about", "post"}
    for trial in trials:
        assert trial.outcome.status == "ok", trial
        assert trial.wrk.requests > 0
        assert trial.wrk.errors.status == 0, trial
    assert "/files/serverbench_lab_canary-1.0-py3-none-any.whl" in asked


@pytest.mark.lab
@pytest.mark.usefixtures("measured")
def test_wrk_wrote_through_the_application():
    count = (
        "import sqlite3; print(*sqlite3.connect('/var/lib/serverbench/app/board.sqlite3').execute("
        "'select count(*), min(text), max(author) from bulletin_notice').fetchone(), sep='|')"
    )
    rows, text, author = ssh(HOST, f'python3 -c "{count}"').strip().split("|")
    assert int(rows) > 6 * 4
    assert (text, author) == ('from über "there"', "wrk")


@pytest.mark.lab
@pytest.mark.usefixtures("measured")
def test_the_commit_that_was_asked_for_is_what_runs(repository):
    about = json.loads(ssh(HOST, "cat /opt/serverbench/current/.serverbench/project.json"))
    assert about["commit"] == git(repository, "rev-parse", "v1")
    assert about["url"] == repository.as_uri()


@pytest.mark.lab
def test_a_secret_of_the_environment_is_shown_nowhere(measured, variables, deployed):
    run, _ = measured
    again = run_playbook("deploy.yml", deployed, limit=HOST, **variables)
    assert again.changed == {}
    other = {"app_environment": {**variables["app_environment"], "BOARD_MORE": "canary too"}}
    check = run_playbook("deploy.yml", deployed, limit=HOST, check=True, **{**variables, **other})
    assert check.result(HOST, "Install the release")["what"] == [
        "app_setup_commands run",
        "/etc/serverbench/app.env changes",
    ]
    for done in (run, again, check):
        assert "canary '" not in done.stdout + json.dumps(done.tasks)
        assert "canary too" not in done.stdout + json.dumps(done.tasks)
    everywhere = subprocess.run(
        ["grep", "-rlF", "canary '", variables["bench_results_dir"], REPO / ".build"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert everywhere.stdout == ""
    kept = ssh(HOST, "stat --format='%a %U' /etc/serverbench/app.env /etc/serverbench/secret.env")
    assert kept.split("\n")[:2] == ["600 root", "600 root"]
    assert "BOARD_SECRET=" in ssh(HOST, "cat /etc/serverbench/secret.env")
    found = ssh(HOST, 'grep -rlF "canary \'" /opt /etc /var/lib/serverbench /var/log || true')
    # Staged in a folder that root alone may enter, until a service takes it over.
    staged = "/etc/serverbench/service/app.env"
    assert (
        {"/etc/serverbench/app.env"} <= set(found.split()) <= {staged, "/etc/serverbench/app.env"}
    )


@pytest.mark.lab
def test_what_is_wrong_is_told_before_the_host_is_touched(deployed, variables):
    wrong = {**variables, "app_ref": "no-such-tag"}
    run = run_playbook("deploy.yml", deployed, limit=HOST, expect=2, **wrong)
    (failed,) = (task for task in run.tasks if task["event"] == "runner_on_failed")
    assert failed["res"]["msg"].startswith("app_ref: got 'no-such-tag', which file://")
    assert "Ask | Ask the host what it is" not in {task["task"] for task in run.tasks}


@pytest.mark.lab
def test_packages_come_from_a_mirror_until_it_is_taken_out(deployed, tmp_path):
    play = tmp_path / "mirror.yml"
    play.write_text(
        yaml.safe_dump(
            [
                {
                    "name": "Provision",
                    "hosts": HOST,
                    "become": True,
                    "gather_facts": False,
                    "roles": [{"role": "preflight", "preflight_run_id": ""}, {"role": "base"}],
                }
            ]
        )
    )
    sources = "cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true"
    before = ssh(HOST, sources)
    # Whatever this machine gets its packages from.
    archive = re.search(r"https?://[^/\s]+", before)[0]
    try:
        with serve({}, HERE, elsewhere=archive) as served:
            first = run_playbook(play, deployed, base_apt_mirror=served.url)
            assert first.result(HOST, "Take packages from the mirror")["changed"]
            assert f"{served.url}/debian" in ssh(HOST, sources)
            assert archive not in ssh(HOST, sources)
            # The lists were fetched anew, from there.
            assert any("-security/dists/" in path for path in served.asked)
            assert run_playbook(play, deployed, base_apt_mirror=served.url).changed == {}
            wrong = run_playbook(play, deployed, expect=2, base_apt_mirror=f"{served.url}/x")
            assert "apt_mirror: " in wrong.result(HOST, "Take packages from the mirror")["msg"]
            assert f"{served.url}/debian" in ssh(HOST, sources)
    finally:
        run_playbook(play, deployed, base_apt_mirror="")
    assert ssh(HOST, sources) == before
