"""One server redeployed on two real hosts: tried first, rolled back, gone back to, no request lost.

The tests build on each other in the order of this file, as a user's day does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest
import yaml
from labkit import BENCH_HOSTS as HOSTS
from labkit import REPO, SSH_CONFIG, run_playbook, sent_by, ssh
from render import group_vars, unit_files

from collect.activation import dump
from collect.decode import encode
from collect.model import dumps
from collect.plan import plan_from_variables
from collect.request import make_activation, requested_variant

VARS = group_vars()
TOOL = "/opt/serverbench/runner/serverbench-runner.pyz"
HEALTH = "/api/django-starter/monitoring/health"
# One server for each host: a playbook serves both.
SERVERS = dict(zip(HOSTS, ("gunicorn", "uvicorn"), strict=True))

# Asks on, a new connection for each request, until its standard input ends; says what it saw.
ASK_ON = """
import http.client, json, sys, threading, time
counts, failures, stop = [0] * 4, [], threading.Event()
def ask(n):
    last = time.monotonic()
    while not stop.is_set():
        try:
            c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
            c.request("GET", "PATH", headers={"Connection": "close"})
            answer = c.getresponse()
            body = answer.read()
            if answer.status != 200 or b'"ok"' not in body:
                failures.append(f"{answer.status} {body[:80]!r}")
            else:
                counts[n] += 1
        except Exception as error:
            failures.append(repr(error))
            time.sleep(0.01)
        finally:
            c.close()
        # A request every few milliseconds from one of the threads; without a pause they would take
        # the cores from what they wait for.
        time.sleep(0.05)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
gaps = []
threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
[t.start() for t in threads]
print("asking", flush=True)
sys.stdin.read()
stop.set()
[t.join() for t in threads]
print(json.dumps({"right": sum(counts), "failed": len(failures), "failures": failures[:5],
                  "longest_s": round(max(gaps), 3)}))
""".replace("PATH", HEALTH)


@contextmanager
def asking(*hosts, port=9875):
    """Ask the hosts all the time; the answers' counts are there afterwards."""
    seen = {}
    for host in hosts:
        ssh(host, "cat > /run/ask_on.py", stdin=ASK_ON)
    loops = {
        host: subprocess.Popen(
            ["ssh", "-F", SSH_CONFIG, host, "python3", "/run/ask_on.py", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for host in hosts
    }
    try:
        for loop in loops.values():
            assert loop.stdout.readline() == "asking\n"
        yield seen
        for host, loop in loops.items():
            said, _ = loop.communicate(timeout=60)
            seen[host] = json.loads(said)
    finally:
        for loop in loops.values():
            loop.kill()
            loop.wait()


def service(host):
    return json.loads(ssh(host, "cat /etc/serverbench/service.json"))


def running(host):
    said = ssh(
        host, "systemctl list-units --plain --no-legend --state=active 'serverbench-*' || true"
    )
    return {line.split()[0] for line in said.splitlines()}


def per_host(values):
    """A variable that differs between the hosts, as `-e` can hand it over."""
    return "{{ " + json.dumps(values) + "[inventory_hostname] }}"


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Three states of the project: one that is new, and one that answers wrongly."""
    folder = tmp_path_factory.mktemp("projects")
    for name in ("new", "broken"):
        shutil.copytree(REPO / "app", folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / name / "NOTES").write_text(f"{name}\n")
    # What migrate does not import: the server alone meets it.
    for wrong in (folder / "broken/config/wsgi.py", folder / "broken/config/asgi.py"):
        wrong.write_text(wrong.read_text() + '\nraise RuntimeError("planted by a test")\n')
    return folder


@pytest.fixture(scope="module")
def serving(deployed):
    """Both hosts serve, each by a server of its own."""
    run_playbook("deploy.yml", deployed, server=per_host(SERVERS))
    return deployed


@pytest.mark.lab
def test_one_variant_is_the_service(serving):
    for host, server in SERVERS.items():
        one = service(host)
        unit, socket = one["variant"]["unit"], one["variant"]["socket_unit"]
        assert one["variant"]["server"] == server
        assert running(host) == {unit, socket}
        assert ssh(host, f"systemctl is-enabled {unit} {socket}").split() == ["enabled"] * 2
    assert run_playbook("deploy.yml", serving, server=per_host(SERVERS)).changed == {}


@pytest.mark.lab
def test_a_redeployment_loses_no_request(serving, releases):
    before = {host: service(host) for host in HOSTS}
    with asking(*HOSTS) as seen:
        run_playbook(
            "deploy.yml", serving, server=per_host(SERVERS), app_source=str(releases / "new")
        )
    for host in HOSTS:
        after = service(host)
        assert after["release"] != before[host]["release"]
        assert after["previous_release"] == before[host]["release"]
        assert ssh(host, "readlink /opt/serverbench/current").endswith(after["release"])
        assert seen[host]["right"] > 10
        assert seen[host]["failed"] == 0, seen[host]


# With changed code; a task takes a third of a second, and what is sent the time there and back.
TASKS_AT_MOST = 23  # Those that are skipped among them.
SENT_AT_MOST = 4


@pytest.mark.lab
def test_changed_code_is_a_handful_of_tasks_and_of_ways_to_the_host(serving, releases):
    host, asked_for = "labb13", {"server": SERVERS["labb13"], "app_source": str(releases / "new")}
    (releases / "new/NOTES").write_text("new, and changed\n")
    run = run_playbook("deploy.yml", serving, limit=host, **asked_for)
    assert run.changed == {host: 1}, "the release with what serves it"
    done = [t["task"] for t in run.tasks]
    assert len(done) <= TASKS_AT_MOST, done
    (releases / "new/NOTES").write_text("new, and changed again\n")
    sent = sent_by("deploy.yml", serving, host, "-e", json.dumps(asked_for))
    assert len(sent) <= SENT_AT_MOST, sent


@pytest.mark.lab
def test_a_release_that_does_not_work_is_refused_with_the_servers_own_words(serving, releases):
    before = {host: (service(host), running(host)) for host in HOSTS}
    with asking(*HOSTS) as seen:
        run = run_playbook(
            "deploy.yml",
            serving,
            expect=2,
            server=per_host(SERVERS),
            app_source=str(releases / "broken"),
        )
    for host in HOSTS:
        refused = run.result(host, "Install the release")
        assert f"nothing was changed: {before[host][0]['variant']['unit']} serves" in refused["msg"]
        assert "planted by a test" in refused["stderr"]
        assert (service(host), running(host)) == before[host]
        assert ssh(host, "readlink /opt/serverbench/current").endswith(before[host][0]["release"])
        assert seen[host]["failed"] == 0, seen[host]


@pytest.mark.lab
def test_the_app_alone_is_tried_as_well(serving, releases):
    before = {host: (service(host), running(host)) for host in HOSTS}
    broken = str(releases / "broken")
    run = run_playbook("deploy.yml", serving, expect=2, tags="app", app_source=broken)
    for host in HOSTS:
        assert "planted by a test" in run.result(host, "Install the release")["stderr"]
        assert (service(host), running(host)) == before[host]
    (releases / "new/NOTES").write_text("new, and the app alone\n")
    run_playbook("deploy.yml", serving, tags="app", app_source=str(releases / "new"))
    for host in HOSTS:
        assert service(host)["previous_release"] == before[host][0]["release"]
        assert running(host) == before[host][1]


@pytest.mark.lab
def test_another_interpreter_is_another_release(serving, releases):
    host, opt = "labb13", "/opt/serverbench"
    asked_for = {"server": SERVERS[host], "app_source": str(releases / "new")}
    run_playbook("deploy.yml", serving, limit=host, **asked_for)
    before = service(host)["release"]
    environment = ssh(host, f"readlink {opt}/current/.venv")
    with asking(host) as seen:
        run_playbook("deploy.yml", serving, limit=host, app_python="/usr/bin/python3", **asked_for)
    after = service(host)
    assert after["release"] != after["previous_release"] == before
    assert seen[host]["failed"] == 0, seen[host]
    assert ssh(host, f"readlink {opt}/current/.venv") != environment
    assert ssh(host, f"readlink {opt}/releases/{before}/.venv") == environment
    run_playbook("deploy.yml", serving, limit=host, **asked_for)
    assert service(host)["release"] == before
    # As an upgrade of the distribution leaves it: what serves was installed for another Python.
    folder, other = f"{opt}/releases/{before}", ".complete-000000000000"
    stamp = ssh(host, f"cd {folder} && echo .complete-*")
    version = ssh(host, "python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    ssh(host, f"cd {folder} && mv {stamp} {other}")
    try:
        run_playbook("deploy.yml", serving, limit=host, **asked_for)
        assert service(host)["release"] == f"{before}-{version}"
        assert service(host)["previous_release"] == before
        assert ssh(host, f"ls -A {folder} | grep complete") == other
        assert run_playbook("deploy.yml", serving, limit=host, **asked_for).changed == {}
    finally:
        ssh(host, f"cd {folder} && mv {other} {stamp}")
    run_playbook("deploy.yml", serving, limit=host, **asked_for)
    assert service(host)["release"] == before


@pytest.mark.lab
def test_a_tool_of_another_kit_is_not_asked(serving):
    host = "labb13"
    asked_for = {"server": SERVERS[host]}
    run_playbook("deploy.yml", serving, limit=host, **asked_for)
    # As an older kit's, which would refuse what it does not know.
    ssh(host, f"echo 'raise SystemExit(\"unknown install\")' > {TOOL}")
    check = run_playbook("deploy.yml", serving, limit=host, check=True, **asked_for)
    assert check.result(host, "Install the release")["what"] == [f"{TOOL} changes"]
    run = run_playbook("deploy.yml", serving, limit=host, expect=2, tags="granian")
    said = run.result(host, "Refuse to deploy a part")["msg"]
    assert said.endswith("leaves it so. Run deploy.yml once without --tags.")
    run_playbook("deploy.yml", serving, limit=host, **asked_for)
    run_playbook("deploy.yml", serving, limit=host, tags="granian")
    assert run_playbook("deploy.yml", serving, limit=host, **asked_for).changed == {}


@pytest.mark.lab
def test_an_earlier_release_is_gone_back_to(serving):
    former = {host: service(host)["previous_release"] for host in HOSTS}
    nowhere = run_playbook(
        "deploy.yml", serving, expect=2, server=per_host(SERVERS), app_release="f00f00f00f00"
    )
    said = " ".join(nowhere.stdout.split())
    assert "app_release: got 'f00f00f00f00', which is not on this host; accepted:" in said
    assert former["labb13"] in said
    # A bench or a deployment of all changes the release through the same gate.
    run_playbook("deploy.yml", serving, app_release=per_host(former))
    for host, release in former.items():
        assert service(host)["release"] == release
        assert service(host)["variant"]["server"] == SERVERS[host]


@pytest.mark.lab
def test_tags_touch_one_server_alone(serving):
    """Every unit would change, by the variables; those of one server do."""
    known = yaml.safe_load((REPO / "playbooks/group_vars/all/profiles.yml").read_text())
    known["server_profiles"]["parity"]["knobs"]["backlog"] = 777

    def look(host):
        files = ssh(host, "cd /etc/systemd/system && stat -c '%n %Y %Z' serverbench-* | sort")
        sums = ssh(host, "cd /etc/systemd/system && sha256sum serverbench-* | sort")
        pids = ssh(host, "systemctl show -p Id -p MainPID 'serverbench-*'")
        return {line for part in (files, sums, pids) for line in part.splitlines()}

    before = {host: look(host) for host in HOSTS}
    run = run_playbook("deploy.yml", serving, tags="granian", **known)
    assert run.changed
    for host in HOSTS:
        differ = look(host) ^ before[host]
        assert differ
        assert {line for line in differ if "granian" not in line} == set()
        assert "--backlog=777" in ssh(
            host, "cat /etc/systemd/system/serverbench-granian-wsgi.service"
        )


@pytest.mark.lab
def test_a_service_behind_a_proxy_loses_no_request_either(serving, releases):
    asked_for = {
        "server": per_host({"labb13": "uwsgi", "labb12": "gunicorn"}),
        "proxy": per_host({"labb13": "nginx", "labb12": "caddy"}),
        "profile": "tuned",
    }
    run_playbook("deploy.yml", serving, **asked_for)
    before = {host: service(host) for host in HOSTS}
    for host, one in before.items():
        units = {one["variant"][name] for name in ("unit", "socket_unit", "proxy_unit")}
        assert running(host) == units
        assert ssh(host, f"systemctl is-enabled {' '.join(units)}").split() == ["enabled"] * 3
    assert run_playbook("deploy.yml", serving, **asked_for).changed == {}
    with asking(*HOSTS, port=9878) as seen:
        run_playbook("deploy.yml", serving, app_source=str(releases / "new"), **asked_for)
    for host in HOSTS:
        assert service(host)["release"] != before[host]["release"]
        assert seen[host]["right"] > 10
        assert seen[host]["failed"] == 0, seen[host]
    # Back to servers that are asked directly.
    run_playbook("deploy.yml", serving, server=per_host(SERVERS))
    for host in HOSTS:
        variant = service(host)["variant"]
        assert running(host) == {variant["unit"], variant["socket_unit"]}
        proxy = before[host]["variant"]["proxy_unit"]
        assert ssh(host, f"systemctl is-enabled {proxy}", check=False) == "disabled"


# Units as the roles render them, put in place by the tool that a playbook calls: a playbook for
# each of six servers with two releases would take minutes.
def activation(host, server, release):
    request = {
        "server": server,
        "server_catalogue": VARS["server_catalogue"],
        "server_profiles": VARS["server_profiles"],
        "bench_profiles": ["parity"],
        "proxy_port": 9878,
    }
    variant = requested_variant(request, 2)
    staged = "/etc/serverbench/service"
    files = unit_files(encode(variant))
    candidate = {
        name.replace(f"serverbench-{variant.id}", "serverbench-candidate"): text
        for name, text in unit_files(
            {**encode(variant), "id": "candidate"},
            server_home_dir=f"/opt/serverbench/releases/{release}",
            server_bind="127.0.0.1:9874",
        ).items()
    }
    for name, text in {**files, **candidate}.items():
        ssh(host, f"cat > {staged}/{name}", stdin=text)
    wanted = make_activation(
        release=release,
        releases_kept=9,
        variant=variant,
        takes_over=True,
        endpoints=VARS["app_endpoints"],
        names=["health"],
        measured=None,
        ports={"address": "127.0.0.1", "port": 9875, "candidate_port": 9874},
        ready_timeout_s=60,
        stop_timeout_s=30,
    )
    said = ssh(host, f"python3 -B {TOOL} activate -", check=False, stdin=dump(wanted))
    return json.loads(said)


@pytest.mark.lab
def test_each_server_that_can_take_its_socket_from_systemd_loses_nothing(
    serving,  # noqa: ARG001 - installed there
):
    host = "labb13"
    first = service(host)["release"]
    ssh(host, f"cd /opt/serverbench/releases && rm -rf again && cp -a {first} again")
    seen = {}
    try:
        for server in VARS["server_catalogue"]:
            assert not activation(host, server, first)["failed"]
            with asking(host) as counts:
                time.sleep(0.5)
                outcome = activation(host, server, "again")
                time.sleep(0.5)
            assert not outcome["failed"], outcome
            seen[server] = counts[host]
    finally:
        activation(host, SERVERS[host], first)
        ssh(host, "rm -rf /opt/serverbench/releases/again")
    failed = {server: counts["failed"] for server, counts in seen.items() if counts["failed"]}
    # Granian takes no socket from systemd: connections are refused until it listens again.
    assert set(failed) <= {"granian"}, seen
    assert all(counts["right"] > 10 for counts in seen.values())


def start_run(host, run_id):
    """Start a run of one variant that is not the service, as roles/runner does; no playbook."""
    variables = {
        **VARS,
        "bench_matrix": [{"server": "granian", "interface": "wsgi"}],
        "bench_profiles": ["parity"],
        "bench_endpoints": ["health"],
        "bench_blocks": 2,
        "bench_decide": None,
        "bench_twin": False,
        "bench_ladder": False,
        "bench_rates": None,
        "bench_slo_p99_ms": None,
        "bench_load": {
            "threads": 1,
            "connections": 4,
            "duration_s": 3,
            "warmup_s": 0,
            "timeout_s": 10,
        },
        "bench_run_id": run_id,
        "proxy_port": 9878,
    }
    now = "2026-01-01T00:00:00+00:00"
    plan = plan_from_variables(variables, host=host, cores=2, created_at=now)
    folder = f"/var/lib/serverbench/runs/{run_id}"
    ssh(host, f"rm -rf {folder}; mkdir -p {folder}; cat > {folder}/plan.json", stdin=dumps(plan))
    ssh(host, f"systemctl enable --now serverbench-runner@{run_id}")
    return folder


def wait_for(host, command, *, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not (said := ssh(host, command, check=False)):
        assert time.monotonic() < deadline, command
        time.sleep(0.3)
    return said


@pytest.mark.lab
@pytest.mark.parametrize("how", ["ends", "SIGKILL", "stop"])
def test_what_served_serves_again_however_the_run_ended(
    serving,  # noqa: ARG001 - installed there
    how,
):
    host, run_id = "labb13", f"restored-{how.lower()}"
    before = running(host)
    assert len(before) == 2
    folder = start_run(host, run_id)
    runner = f"serverbench-runner@{run_id}.service"
    wait_for(host, f"ls -d {folder}/trials/.partial-* 2>/dev/null")
    assert running(host) == {runner, "serverbench-granian-wsgi.service"}
    assert ssh(host, f"systemctl is-enabled {runner}") == "enabled", "it goes on after a boot"
    if how == "SIGKILL":
        ssh(host, f"systemctl kill --kill-whom=main -s KILL {runner}")
    elif how == "stop":
        ssh(host, f"systemctl stop {runner}")
    wait_for(host, f"systemctl is-active {runner} | grep -E '^(inactive|failed)$'")
    assert running(host) == before
    assert ssh(host, f"systemctl is-enabled {runner}", check=False) == "disabled"
    assert ssh(host, f"ls {folder}/restore.json 2>/dev/null", check=False) == ""
    if how != "ends":
        # The same run goes on where it was, and the service is back at its end as well.
        ssh(host, f"systemctl reset-failed {runner}; systemctl start {runner}", check=False)
        wait_for(host, f"systemctl is-active {runner} | grep -E '^(inactive|failed)$'")
        assert running(host) == before
    progress = json.loads(ssh(host, f"cat {folder}/progress.json"))
    assert progress["state"] == "done", progress


# Answers what the service was last proved with, word by word, as an older deployment would.
STRANGER = """
import http.server, json, urllib.request
proved = json.load(open("/etc/serverbench/service/proof.json"))
base = "http://127.0.0.1:9875"
said = {e["path"]: urllib.request.urlopen(base + e["path"]).read() for e in proved["endpoints"]}
print("ready", flush=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = said.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
import time
while True:
    try:
        http.server.ThreadingHTTPServer(("127.0.0.1", 9875), Answer).serve_forever()
    except OSError:
        time.sleep(0.05)
"""


@pytest.mark.lab
def test_another_program_that_answers_rightly_is_not_taken_for_the_service(serving):
    host, unit = "labb13", "serverbench-granian-wsgi.service"
    deploy = {"limit": host, "server": "granian"}
    run_playbook("deploy.yml", serving, **deploy)
    release = service(host)["release"]
    ssh(host, "cat > /run/stranger.py", stdin=STRANGER)
    ssh(host, "systemd-run --quiet --unit=stranger python3 /run/stranger.py")
    try:
        deadline = time.monotonic() + 30
        while "ready" not in ssh(host, "journalctl -u stranger -o cat"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        ssh(host, f"systemctl stop {unit}")
        while "python3" not in ssh(host, "ss -Htlnp 'sport = :9875'", check=False):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        run = run_playbook("deploy.yml", serving, expect=2, **deploy)
        said = " ".join(run.stdout.split())
        assert "port 9875 is taken by pid" in said
        assert "/run/stranger.py" in said
        assert "deploy again" in said
    finally:
        ssh(host, "systemctl stop stranger")
    run_playbook("deploy.yml", serving, **deploy)
    assert ssh(host, f"systemctl is-active {unit}") == "active"
    assert service(host)["release"] == release
