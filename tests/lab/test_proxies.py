"""Caddy and nginx in front of real servers: answers, static files, figures, and no open door."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from labkit import REPO, run_playbook, ssh

from collect.model import load_plan, load_trial

HOST = "labb13"
DIRECT = {"server": "gunicorn", "interface": "wsgi"}
PROXIED = {
    "granian-wsgi-caddy": {"server": "granian", "interface": "wsgi", "proxy": "caddy"},
    "uwsgi-wsgi-unix-nginx": {
        "server": "uwsgi",
        "interface": "wsgi",
        "proxy": "nginx",
        "label": "unix",
        "knobs": {"upstream": "unix"},
    },
    "gunicorn-wsgi-nginx": {**DIRECT, "proxy": "nginx"},
}
MATRIX = {"bench_matrix": [*PROXIED.values(), DIRECT], "bench_twin": False}
SHORT = {
    "bench_blocks": 1,
    "bench_endpoints": ["health"],
    "bench_load": {"threads": 2, "connections": 8, "duration_s": 1, "warmup_s": 0, "timeout_s": 10},
}
ENDPOINTS = yaml.safe_load((REPO / "playbooks/group_vars/all/app.yml").read_text())["app_endpoints"]

# Starts each proxy, which brings its server, asks what it is told to, looks around, and stops the
# server alone.
LOOK = """
import http.client, json, pathlib, subprocess, sys, time

def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return {"status": answer.status, "size": len(body), "headers": names}
    except OSError as error:
        return {"status": 0, "size": 0, "headers": {}, "error": str(error)}

def said(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout

variants, paths = json.loads(sys.argv[1]), json.loads(sys.argv[2])
root = pathlib.Path("/var/lib/serverbench/app/static")
static = max(root.rglob("*.js"), key=lambda path: path.stat().st_size)
found = {"static_bytes": static.stat().st_size, "variants": {}}
for variant in variants:
    server, proxy = f"serverbench-{variant}.service", f"serverbench-{variant}-proxy.service"
    subprocess.run(["systemctl", "start", proxy], check=True)
    end = time.monotonic() + 30
    while ask(9878, paths[0])["status"] != 200 and time.monotonic() < end:
        time.sleep(0.1)
    security = said("systemd-analyze", "security", "--no-pager", proxy).splitlines()[-1]
    found["variants"][variant] = {
        "answers": {path: ask(9878, path) for path in paths},
        "static": ask(9878, f"/static/{static.relative_to(root)}"),
        "missing": ask(9878, "/static/no-such-file"),
        "outside": ask(9878, "/static/../db.sqlite3"),
        "app": ask(9875, paths[0]),
        "listening": sorted({line.split()[3] for line in said("ss", "-ltnH").splitlines()}),
        "exposure": security,
    }
    subprocess.run(["systemctl", "stop", server], check=True)
    found["variants"][variant]["after"] = said("systemctl", "is-active", proxy).strip()
found["own"] = {
    unit: [said("systemctl", verb, unit).strip() for verb in ("is-active", "is-enabled")]
    for unit in ("nginx.service", "caddy.service")
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def proxied(deployed):
    run_playbook("deploy.yml", deployed, limit=HOST, **MATRIX)
    return deployed


@pytest.fixture(scope="module")
def seen(proxied):  # noqa: ARG001 - deployed first
    paths = [endpoint["path"] for endpoint in ENDPOINTS]
    command = ["python3", "-c", LOOK, json.dumps([*PROXIED]), json.dumps(paths)]
    return json.loads(ssh(HOST, shlex.join(command), timeout_s=180))


@pytest.mark.lab
def test_a_second_converge_changes_nothing(proxied):
    assert run_playbook("deploy.yml", proxied, limit=HOST, **MATRIX).changed == {}


@pytest.mark.lab
@pytest.mark.parametrize("variant", PROXIED)
def test_every_endpoint_answers_through_the_proxy(seen, variant):
    for path, answer in seen["variants"][variant]["answers"].items():
        assert answer["status"] == 200, path
        assert answer["size"] > 0


@pytest.mark.lab
@pytest.mark.parametrize("variant", PROXIED)
def test_static_files_are_the_proxys_own_and_nothing_else_is(seen, variant):
    looked = seen["variants"][variant]
    # The app gives its files no validator; neither does it name the proxy as the server.
    assert looked["static"]["status"] == 200
    assert looked["static"]["size"] == seen["static_bytes"]
    assert "etag" in looked["static"]["headers"]
    assert looked["static"]["headers"]["server"].lower() == variant.rpartition("-")[2]
    assert looked["missing"]["status"] == 404
    assert looked["outside"]["status"] == 404


@pytest.mark.lab
@pytest.mark.parametrize("variant", PROXIED)
def test_nothing_new_listens_beyond_loopback(seen, variant):
    looked = seen["variants"][variant]
    ports = {"127.0.0.1:9878"} | (set() if "unix" in variant else {"127.0.0.1:9875"})
    assert ports <= set(looked["listening"])
    beyond = [at for at in looked["listening"] if not at.startswith(("127.0.0.1:", "[::1]:"))]
    assert {at.rpartition(":")[2] for at in beyond} <= {"22"}
    assert (looked["app"]["status"] == 200) is ("unix" not in variant)


@pytest.mark.lab
@pytest.mark.parametrize("variant", PROXIED)
def test_the_unit_is_hardened_and_stops_with_its_server(seen, variant):
    looked = seen["variants"][variant]
    level = float(looked["exposure"].partition(": ")[2].split()[0])
    assert level <= 2.0, looked["exposure"]
    assert looked["after"] == "inactive"


@pytest.mark.lab
def test_the_packages_own_services_neither_run_nor_start_at_boot(seen):
    assert seen["own"] == {
        "nginx.service": ["inactive", "disabled"],
        "caddy.service": ["inactive", "disabled"],
    }


@pytest.mark.lab
def test_what_a_deployment_was_cut_off_before_is_made_up_for(proxied):
    """apt had started the package's own service, and enabled it."""
    notes = "/var/lib/serverbench/before/brought"
    bring = f"grep -qx nginx {notes} || echo nginx >> {notes}; touch {notes}"
    ssh(HOST, f"{bring}; systemctl enable --now nginx")
    run = run_playbook("deploy.yml", proxied, limit=HOST, **MATRIX)
    assert run.changed
    assert ssh(HOST, "systemctl is-enabled nginx", check=False) == "disabled"
    assert ssh(HOST, "systemctl is-active nginx", check=False) == "inactive"
    assert run_playbook("deploy.yml", proxied, limit=HOST, **MATRIX).changed == {}


@pytest.mark.lab
def test_what_somebody_switched_on_since_is_left_to_him(proxied):
    ssh(HOST, "systemctl enable --now nginx")
    try:
        run_playbook("deploy.yml", proxied, limit=HOST, deploy_everything=True, **MATRIX)
        assert ssh(HOST, "systemctl is-enabled nginx; systemctl is-active nginx").split() == [
            "enabled",
            "active",
        ]
    finally:
        ssh(HOST, "systemctl disable --now nginx")


@pytest.mark.lab
def test_a_bench_has_the_proxys_figures(proxied, tmp_path):
    run_playbook(
        "bench.yml",
        proxied,
        limit=HOST,
        bench_run_id="proxied",
        bench_results_dir=str(tmp_path),
        **MATRIX,
        **SHORT,
    )
    folder = tmp_path / "proxied" / HOST
    for planned in load_plan(folder / "plan.json").trials:
        trial = load_trial(folder / "trials" / planned.id / "trial.json")
        assert trial.outcome.status == "ok", trial.outcome
        assert trial.wrk.requests > 0
        if planned.variant not in PROXIED:
            assert trial.proxy_figures is None
            continue
        assert trial.proxy_figures.cpu_s > 0
        assert trial.proxy_figures.pss_peak_bytes > 1_000_000
        assert not {"nginx", "caddy"} & set(trial.cpu.others)
    page = (tmp_path / "proxied/report.md").read_text()
    assert "nginx in front of gunicorn-wsgi costs" in page
    assert "granian-wsgi-caddy has no direct partner" in page
