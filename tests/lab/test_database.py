"""PostgreSQL on the host: the same answers, and never more connections than the pools have."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from labkit import REPO, run_playbook, ssh

HOST = "labb13"
POOL_SIZE = 4
PASSWORD = "canary:with\\a colon and 100 % more"
MATRIX = [
    {"server": "uwsgi", "interface": "wsgi"},
    {"server": "gunicorn", "interface": "wsgi"},
    {"server": "granian", "interface": "wsgi"},
    {"server": "granian", "interface": "asgi"},
    {"server": "uvicorn", "interface": "asgi"},
    {"server": "hypercorn", "interface": "asgi"},
    # The control: what Django does under ASGI when nothing bounds it.
    {
        "server": "granian",
        "interface": "asgi",
        "label": "unbounded",
        "knobs": {"environment": {"DATABASE_POOL_SIZE": "0"}},
    },
]
UNITS = ["-".join(filter(None, [m["server"], m["interface"], m.get("label")])) for m in MATRIX]
ENDPOINTS = yaml.safe_load((REPO / "playbooks/group_vars/all/app.yml").read_text())["app_endpoints"]
# On the host, so that what samples is in time: start, wait for the right answer, ask each endpoint
# once, then count connections every 0.1 s under two seconds of load.
SCRIPT = """
set -e
unit=$1; shift
systemctl start "$unit"
trap 'systemctl stop "$unit"' EXIT
url=http://127.0.0.1:9875
python3 - "$@" <<'END'
import json, sys, time, urllib.request
answers = {}
for path in sys.argv[1:]:
    for attempt in range(400):
        try:
            with urllib.request.urlopen("http://127.0.0.1:9875" + path, timeout=10) as answer:
                answers[path] = [answer.status, json.load(answer)]
            break
        except OSError as error:
            answers[path] = [0, str(error)]
            time.sleep(0.1)
print(json.dumps(answers))
END
wrk -t2 -c48 -d2 "$url/api/demo/movie/movie" >/tmp/database-load 2>&1 &
runuser -u postgres -- psql -XqAt >/tmp/database-connections <<'END' || true
SELECT count(*) FROM pg_stat_activity WHERE usename = 'serverbench' \\watch interval=0.1 count=22
END
wait $!
sort -n /tmp/database-connections | tail -1
grep -c . /tmp/database-connections
grep -i 'non-2xx' /tmp/database-load || echo 'all right'
awk '/requests in/ {print $1}' /tmp/database-load
"""


def deploy(inventory, **variables):
    return run_playbook(
        "deploy.yml", inventory, limit=HOST, bench_matrix=MATRIX, bench_twin=False, **variables
    )


def load(unit, paths):
    """Load one variant; returns its answers, and the most connections it ever had open."""
    said = ssh(
        HOST, shlex.join(["bash", "-s", f"serverbench-{unit}.service", *paths]), stdin=SCRIPT
    ).splitlines()
    answers, most, samples, errors, requests = said
    assert int(samples) >= 10
    assert int(requests) > 0
    return json.loads(answers), int(most), errors


@pytest.fixture(scope="module")
def on_postgresql(deployed):
    """One host with its data in PostgreSQL; on SQLite again afterwards."""
    deploy(deployed, app_database="postgresql")
    yield deployed
    run_playbook("deploy.yml", deployed, limit=HOST)
    ssh(HOST, "systemctl stop postgresql.service")


@pytest.mark.lab
def test_a_second_converge_changes_nothing(on_postgresql):
    assert deploy(on_postgresql, app_database="postgresql").changed == {}


@pytest.mark.lab
@pytest.mark.usefixtures("on_postgresql")
@pytest.mark.parametrize("unit", UNITS)
def test_every_endpoint_is_right_and_connections_stay_within_the_pools(unit):
    paths = {endpoint["path"]: endpoint["expect"] for endpoint in ENDPOINTS}
    answers, most, errors = load(unit, paths)
    for path, expect in paths.items():
        status, body = answers[path]
        assert status == expect["status"], (path, body)
        assert expect["json_subset"].items() <= body.items()
    if unit.endswith("unbounded"):
        assert most > 2 * (POOL_SIZE + 1)
    else:
        # Two workers. One more in each, for a connection that has ended is seen for a moment more.
        assert 1 <= most <= 2 * (POOL_SIZE + 1)
        assert errors == "all right"


@pytest.mark.lab
@pytest.mark.usefixtures("on_postgresql")
def test_the_pages_are_those_of_sqlite():
    # Two databases may sort by other rules; each page would then hold other rows.
    query = "SELECT title FROM movies_movie ORDER BY title, year LIMIT 2"
    rows = ssh(HOST, f"runuser -u serverbench -- psql -XAt -c {shlex.quote(query)}").split("\n")
    assert rows[0] == rows[1] == "The Amber Archive"
    assert ssh(HOST, "ss -Hltn 'sport = 5432'") == ""


@pytest.mark.lab
def test_a_password_from_vault_opens_the_door_and_is_seen_nowhere(on_postgresql):
    run = deploy(on_postgresql, app_database="postgresql", vault_postgresql_password=PASSWORD)
    try:
        assert "canary" not in run.stdout
        assert "canary" not in json.dumps(run.tasks, default=str)
        answers, most, errors = load(
            "granian-wsgi", [ENDPOINTS[0]["path"], "/api/demo/movie/movie"]
        )
        assert answers["/api/demo/movie/movie"][1]["count"] == 1000
        assert (most >= 1, errors) == (True, "all right")
        assert ssh(HOST, "stat -c '%a %U' /etc/serverbench/pgpass") == "400 serverbench"
        assert ssh(HOST, "grep -rl canary /etc /var/log || true") == "/etc/serverbench/pgpass"
        listening = ssh(HOST, "ss -Hltn 'sport = 5432' | awk '{print $4}'").split()
        assert set(listening) <= {"127.0.0.1:5432", "[::1]:5432"}
    finally:
        deploy(on_postgresql, app_database="postgresql")
    assert ssh(HOST, "ls /etc/serverbench").count("pgpass") == 0
