"""What makes no sense is refused before a host is touched: in one line that names the variable.

The table goes through the same functions that the playbooks and commands call; a part of it goes
through the playbooks themselves, with an ssh that would tell of being used.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.plugins.loader import filter_loader

from collect.errors import DataError
from collect.inputs import check_environment
from collect.plan import plan_from_variables
from collect.project import check_project
from collect.request import requested_variant
from collect.schedule import plan_schedule
from collect.variables import check_variables

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/rendered"))

from render import group_vars, role_variables  # noqa: E402 - its folder is known only now

SECRET = "canary-of-a-secret"
CREATED_AT = "2026-01-31T02:00:00+00:00"
KNOWN = {
    **role_variables("app"),
    **group_vars(),
    "inventory_hostname": "web1",
    "bench_results_dir": "results",
    "app_source": str(ROOT / "app"),
    "postgresql_password": "",
    "app_database_environment": {},
    "bench_ladder": False,
    "bench_rates": None,
    "bench_slo_p99_ms": None,
    "base_apt_mirror": "",
    "app_pip_index_url": "",
    "server_home_dir": "/opt/serverbench/current",
    "bench_matrix": [{"server": "granian", "interface": "wsgi", "proxy": "nginx"}],
    "bench_blocks": 1,
}
# Derived of others, where a host or a role is deployed.
for _name in (
    "bench_variables",
    "bench_plan",
    "schedule_plan",
    "service_requested",
    "app_interfaces",
    "server_bind",
    "server_protocol",
):
    KNOWN.pop(_name, None)
HEALTH = KNOWN["app_endpoints"][0]


def check_everything(variables):
    """Look at variables as playbooks/check_inventory.yml and check_project.yml do."""
    check_variables(variables)
    host = variables["inventory_hostname"]
    plan_from_variables(variables, host=host, cores=2, created_at=CREATED_AT)
    requested_variant(variables, 2)
    check_environment(variables["app_environment"])
    check_project(variables, ["wsgi", "asgi"])
    if variables["schedule_times"]:
        now = datetime.fromisoformat(CREATED_AT)
        plan_schedule(variables, host=host, cores=2, zone="UTC", now=now)


def refusal(changes):
    """Return why the variables are refused; None where they are not."""
    try:
        check_everything({**copy.deepcopy(KNOWN), **changes})
    except DataError as error:
        return str(error)
    return None


def test_what_is_right_passes():
    assert refusal({}) is None


def test_the_service_that_deploy_makes_can_be_measured():
    assert refusal(line(label="socket", knobs={"socket": True})) is None


def endpoint(**changes):
    return {"app_endpoints": [{**HEALTH, "rung": None, **changes}], "bench_endpoints": None}


def expect(**changes):
    return endpoint(expect=changes)


def line(**changes):
    return {"bench_matrix": [{"server": "granian", "interface": "wsgi", **changes}]}


def load(**changes):
    return {"bench_load": {**KNOWN["bench_load"], **changes}}


def timing(**changes):
    return {"bench_timing": {**KNOWN["bench_timing"], **changes}}


def knobs(**changes):
    profiles = copy.deepcopy(KNOWN["server_profiles"])
    profiles["parity"]["knobs"] |= changes
    return {"server_profiles": profiles}


def aliases(levels=12):
    value = ["x"] * 9
    for _ in range(levels):
        value = [value] * 9
    return value


# Changes to the variables, and the words that the refusal begins with.
WRONG = {
    # -- what is measured --
    "matrix-text": ({"bench_matrix": "granian"}, "bench_matrix: got "),
    "matrix-number": ({"bench_matrix": 5}, "bench_matrix: got int; accepted: a list"),
    "matrix-entry-text": ({"bench_matrix": ["granian"]}, "bench_matrix[0]: got str"),
    "matrix-unknown-key": (line(servers=1), "bench_matrix[0]: unknown servers; accepted: server"),
    "matrix-no-server": ({"bench_matrix": [{"interface": "wsgi"}]}, "bench_matrix[0]: server is m"),
    "matrix-twice": ({"bench_matrix": KNOWN["bench_matrix"] * 2}, "bench_matrix[1]: variant gran"),
    "server-unknown": (line(server="granain"), "bench_matrix[0].server: got 'granain'; accepted: "),
    "server-list": (line(server=["granian"]), "bench_matrix[0].server: got list"),
    "interface-not-spoken": (
        line(server="uwsgi", interface="asgi"), "bench_matrix[0].interface: got 'asgi', which "
    ),
    "interface-unknown": (line(interface="fcgi"), "bench_matrix[0].interface: got 'fcgi'; accept"),
    "proxy-unknown": (line(proxy="haproxy"), "bench_matrix[0].proxy: got 'haproxy'; accepted: no"),
    "label-shell": (line(label="a;reboot"), "bench_matrix[0].label: got 'a;reboot'; accepted: nam"),
    "label-long": (line(label="a" * 90), "bench_matrix[0].label: got "),
    "label-socket-other": (
        line(label="socket", knobs={"socket": True, "workers": 9}), "bench_matrix[0].label: got 's"
    ),
    "label-socket": (line(label="my-socket"), "bench_matrix[0].label: got 'my-socket', which mea"),
    "label-twin": (
        {
            **line(label="a" * 40, proxy="nginx"), "bench_profiles": ["tuned"],
            "bench_ladder": True, "bench_twin": True,
        },
        "bench_twin: gives the id granian-wsgi-aaaa",
    ),
    "label-profile": (line(label="study"), "bench_matrix[0].label: got 'study', which means som"),
    "knob-unknown": (line(label="x", knobs={"wrkers": 1}), "bench_matrix[0].knobs: got 'wrkers'"),
    "knobs-no-label": (line(knobs={"workers": 1}), "bench_matrix[0]: has knobs of its own"),
    "workers-none": (knobs(workers=0), "server_profiles.parity.knobs.workers: got 0; accepted: "),
    "workers-yes": (knobs(workers=True), "server_profiles.parity.knobs.workers: got True"),
    "workers-billion": (knobs(workers=10**9), "server_profiles.parity.knobs.workers: got 10000000"),
    "workers-text": (knobs(workers="many"), "server_profiles.parity.knobs.workers: got 'many'"),
    "threads-negative": (knobs(threads=-1), "server_profiles.parity.knobs.threads: got -1"),
    "backlog-large": (knobs(backlog=10**6), "server_profiles.parity.knobs.backlog: got 1000000"),
    "keepalive-fraction": (knobs(keepalive_s=0.5), "server_profiles.parity.knobs.keepalive_s: g"),
    "loop-unknown": (knobs(loop="trio"), "server_profiles.parity.knobs.loop: got 'trio'; accepte"),
    "cpu-set-arabic": (knobs(cpu_set="٣"), "server_profiles.parity.knobs.cpu_set: got "),
    "cpu-set-backwards": (knobs(cpu_set="0,3-1"), "server_profiles.parity.knobs.cpu_set: got '0,3"),
    "cpu-set-injection": (knobs(cpu_set="0\nUser=root"), "server_profiles.parity.knobs.cpu_set: "),
    "application-shell": (knobs(application="a:b;id"), "server_profiles.parity.knobs.application"),
    "application-dots": (knobs(application="..:.."), "server_profiles.parity.knobs.application: g"),
    "worker-class-argument": (knobs(worker_class="a --x"), "server_profiles.parity.knobs.worker_"),
    "argument-line-break": (
        knobs(extra_arguments=["a", f"{SECRET}\nExecStartPre=/bin/true"]),
        "server_profiles.parity.knobs.extra_arguments: accepted: a list of texts of one line",
    ),
    "environment-line-break": (
        knobs(environment={"A": f"{SECRET}\nUser=root"}),
        "server_profiles.parity.knobs.environment: accepted: a mapping of names to texts",
    ),
    "backlog-below-what-granian-takes": (
        knobs(backlog=77),
        "server_profiles.parity.knobs.backlog: got 77, with which granian does not start; accepted",
    ),
    "catalogue-least": (
        {"server_catalogue": {"x": {"package": "a", "interfaces": [], "least": {"backlog": 0}}}},
        "server_catalogue.x.least.backlog: got 0; accepted: a whole number from 1",
    ),
    "environment-no-name": (knobs(environment={"A=B": SECRET}), "server_profiles.parity.knobs.e"),
    "environment-number": (knobs(environment={"A": 5}), "server_profiles.parity.knobs.environmen"),
    "profile-unknown": ({"bench_profiles": ["best"]}, "bench_profiles[0]: got 'best'; accepted: "),
    "profile-twice": ({"bench_profiles": ["parity"] * 2}, "bench_profiles[1]: got 'parity' twice"),
    "profile-none": ({"bench_profiles": []}, "bench_profiles: got nothing; accepted: "),
    "profile-mapping": ({"bench_profiles": {"a": [1]}}, "bench_profiles: got dict; accepted: a li"),
    "profiles-text": ({"server_profiles": "parity"}, "server_profiles: got str; accepted: a map"),
    "profiles-name": (
        {"server_profiles": {**KNOWN["server_profiles"], "My Own": {"knobs": {}}}},
        "server_profiles: got 'My Own'; accepted: names of a-z",
    ),
    "catalogue-null": ({"server_catalogue": None}, "server_catalogue: got nothing; accepted: a ma"),
    "catalogue-name": (
        {"server_catalogue": {"../x": {"package": "a", "interfaces": []}}},
        "server_catalogue: got '../x'; accepted: names of a-z",
    ),
    "endpoints-names-unknown": ({"bench_endpoints": ["healt"]}, "bench_endpoints[0]: got 'healt'"),
    "endpoints-names-twice": ({"bench_endpoints": ["health"] * 2}, "bench_endpoints[1]: got 'heal"),
    "blocks-none": ({"bench_blocks": 0}, "bench_blocks: got 0; accepted: a whole number from 1 to"),
    "blocks-many": ({"bench_blocks": 10**9}, "bench_blocks: got 1000000000; accepted: a whole"),
    "blocks-turned": ({"bench_blocks": {"min": 5, "max": 2}}, "bench_blocks.min: got 5; accepted"),
    "blocks-half": ({"bench_blocks": {"min": 5}}, "bench_blocks: max is missing"),
    "blocks-fraction": ({"bench_blocks": 2.5}, "bench_blocks: got 2.5; accepted: a whole number"),
    "gap-all": ({"bench_decide": {"gap": "200%"}}, "bench_decide.gap: got '200%'; accepted: a sh"),
    "gap-key": ({"bench_decide": {"gaps": 1}}, "bench_decide: unknown gaps; accepted: gap"),
    "budget-negative": ({"bench_time_budget_s": -5}, "bench_time_budget_s: got -5; accepted: a w"),
    "reruns-negative": ({"bench_reruns_per_block": -1}, "bench_reruns_per_block: got -1; accepted"),
    "twin-unknown": ({"bench_twin": "nobody"}, "bench_twin: got 'nobody'; accepted: true, false"),
    "rates-word": ({"bench_rates": "often"}, "bench_rates: got 'often'; accepted: {of_capacity"),
    "rates-above": ({"bench_rates": {"of_capacity": ["900%"]}}, "bench_rates.of_capacity"),
    "slo-endless": ({"bench_slo_p99_ms": 10**401}, "bench_slo_p99_ms: holds a number of more"),
    "rates-endless": ({"bench_rates": "x" * 10**5}, "bench_rates: got 'xxxxxxxxx"),
    "environment-huge": ({"app_environment": {"A": 16**5000}}, "app_environment: holds a number o"),
    "slo-none": ({"bench_slo_p99_ms": 0}, "bench_slo_p99_ms: got 0"),
    "ladder-perhaps": ({"bench_ladder": "perhaps"}, "bench_ladder: got 'perhaps'; accepted: true"),
    "order-unknown": ({"bench_order": "random"}, "bench_order: got 'random'; accepted: interleav"),
    "budget-endless": ({"bench_time_budget_s": 10**15}, "bench_time_budget_s: got 100000000000000"),
    "seed-wide": ({"bench_seed": 10**25}, "bench_seed: got 10000000000000000000000000; accepted"),
    "proofs-false": (
        {"server": "granian", "service_endpoints": False}, "service_endpoints: got bool; accepted"
    ),
    "seed-endless": ({"bench_seed": 10**401}, "bench_seed: holds a number of more than 300 digits"),
    "seed-text": ({"bench_seed": "abc"}, "bench_seed: got 'abc'; accepted: a whole number"),
    "run-id-up": ({"bench_run_id": "../../etc"}, "bench_run_id: got '../../etc'; accepted: up to"),
    "run-id-latest": ({"bench_run_id": "latest"}, "bench_run_id: got 'latest'; accepted: up to"),
    "run-id-number": ({"bench_run_id": 5}, "bench_run_id: got 5; accepted: up to 100 of"),
    "results-dir-dollar": ({"bench_results_dir": "/a/$HOME"}, "bench_results_dir: got '/a/$HOME'"),
    "results-dir-line": ({"bench_results_dir": "a\nb"}, "bench_results_dir: got 'a\\nb'; accepte"),
    # -- the load --
    "load-text": ({"bench_load": "fast"}, "bench_load: got str; accepted: a mapping"),
    "load-key": (load(conections=5), "bench_load: unknown conections; accepted: threads, connecti"),
    "connections-billion": (load(connections=10**9), "bench_load.connections: got 1000000000; ac"),
    "connections-few": (load(connections=1), "bench_load.connections: got 1; accepted: at least"),
    "threads-none": (load(threads=0), "bench_load.threads: got 0; accepted: 1 to 256"),
    "threads-billion": (load(threads=10**9), "bench_load.threads: got 1000000000; accepted: 1 to"),
    "duration-negative": (load(duration_s=-30), "bench_load.duration_s: got -30"),
    "duration-fraction": (load(duration_s=0.5), "bench_load.duration_s: got 0.5; accepted: whole"),
    "duration-years": (load(duration_s=10**9), "bench_load.duration_s: got 1000000000.0; accepted"),
    "duration-nan": (load(duration_s=float("nan")), "bench_load.duration_s: got nan; accepted: a "),
    "duration-unit": (load(duration_s="30s"), "bench_load.duration_s: got '30s' (str); accepted:"),
    "warmup-negative": (load(warmup_s=-1), "bench_load.warmup_s: got -1"),
    "timeout-none": (load(timeout_s=0), "bench_load.timeout_s: got 0"),
    "interval-tiny": (timing(sample_interval_s=0.001), "bench_timing.sample_interval_s: got 0.001"),
    "ready-infinite": (timing(ready_timeout_s=float("inf")), "bench_timing.ready_timeout_s: got i"),
    "stop-negative": (timing(stop_timeout_s=-1), "bench_timing.stop_timeout_s: got -1.0; accepted"),
    # -- endpoints --
    "endpoints-text": ({"app_endpoints": "/"}, "app_endpoints: got str; accepted: a list"),
    "endpoints-none": ({"app_endpoints": [], "bench_endpoints": None}, "app_endpoints: got nothin"),
    "endpoint-no-path": (
        {"app_endpoints": [{"name": "a"}], "bench_endpoints": None}, "app_endpoints[0]: path is mis"
    ),
    "endpoint-name": (endpoint(name="Über"), "app_endpoints[0].name: got 'Über'; accepted: a-z"),
    "endpoint-name-up": (endpoint(name="../x"), "app_endpoints[0].name: got '../x'; accepted: a-z"),
    "endpoint-name-long": (endpoint(name="a" * 250), "app_endpoints[0].name: got 'aaa"),
    "endpoint-twice": (
        {"app_endpoints": [HEALTH] * 2, "bench_endpoints": None}, "app_endpoints[1].name: got 'heal"
    ),
    "path-relative": (endpoint(path="health"), "app_endpoints[0].path: got 'health'; accepted: pr"),
    "path-space": (endpoint(path="/a b"), "app_endpoints[0].path: got '/a b'; accepted: printable"),
    "path-unicode": (endpoint(path="/größe"), "app_endpoints[0].path: got '/größe'; accepted: pr"),
    "path-line-break": (endpoint(path="/ HTTP/1.1\r\nX: y"), "app_endpoints[0].path: got '/ HTT"),
    "path-endless": (endpoint(path="/" + "a" * 9000), "app_endpoints[0].path: got '/aaa"),
    "method-small": (endpoint(method="get"), "app_endpoints[0].method: got 'get'; accepted: GET"),
    "method-connect": (endpoint(method="CONNECT"), "app_endpoints[0].method: got 'CONNECT'; accep"),
    "header-name": (endpoint(headers={"X Y": "z"}), "app_endpoints[0].headers: got the name 'X Y'"),
    "header-line-break": (
        endpoint(headers={"X-A": f"{SECRET}\r\nX-B: 1"}), "app_endpoints[0].headers.X-A: holds '\\r"
    ),
    "header-unicode": (
        endpoint(headers={"Authorization": f"{SECRET}é"}), "app_endpoints[0].headers.Authorization:"
    ),
    "header-list": (endpoint(headers={"Cookie": [SECRET]}), "app_endpoints[0].headers.Cookie: got"),
    "header-length": (endpoint(headers={"Content-Length": "5"}), "app_endpoints[0].headers.Conten"),
    "header-twice": (endpoint(headers={"Host": "a", "host": "b"}), "app_endpoints[0].headers.host"),
    "body-half": (endpoint(body="\ud800"), "app_endpoints[0].body: holds '\\ud800', half a charac"),
    "body-mapping": (endpoint(body={"a": 1}), "app_endpoints[0].body: got dict; accepted: str"),
    "body-endless": (endpoint(body="a" * 2**21), "app_endpoints[0].body: got 2,097,152 bytes; acc"),
    "status-text": (expect(status="ok"), "app_endpoints[0].expect.status: got 'ok' (str); accepte"),
    "status-none": (expect(status=0), "app_endpoints[0].expect.status: got 0; accepted: 100 to 59"),
    "expect-infinite": (
        expect(json_exact={"v": float("inf")}), "app_endpoints[0].expect.json_exact: Out of range"
    ),
    "expect-two": (expect(regex="a", json_exact=1), "app_endpoints[0].expect: got json_exact and"),
    "regex-broken": (expect(regex="(a"), "app_endpoints[0].expect.regex: got '(a' (missing )"),
    "regex-explodes": (expect(regex="(a+)+$"), "app_endpoints[0].expect.regex: got '(a+)+$', whos"),
    "regex-explodes-behind-words": (
        expect(regex=r'^\{"items": (\w+\s?)*\}'), "app_endpoints[0].expect.regex: got "
    ),
    "regex-endless": (expect(regex="a" * 2000), "app_endpoints[0].expect.regex: got 2,000 charact"),
    # -- YAML that is more than it looks --
    "bomb-matrix": ({"bench_matrix": aliases()}, "bench_matrix: holds more than 100,000 values"),
    "bomb-expectation": (expect(json_exact=aliases()), "app_endpoints: holds more than 100,000"),
    "bomb-environment": ({"app_environment": {"A": aliases()}}, "app_environment: holds more than"),
    "bomb-profiles": ({"server_profiles": aliases()}, "server_profiles: holds more than 100,000"),
    # -- the project --
    "source-relative": ({"app_source": "../site"}, "app_source: got '../site'; accepted: an absol"),
    "source-nobodys": ({"app_source": "~nosuch/site"}, "app_source: got '~nosuch/site'; accepted:"),
    "source-address": ({"app_source": "https://[x/y.git"}, "app_source: Invalid IPv6 URL; accept"),
    "source-option": ({"app_source": "--upload-pack=id"}, "app_source: got '--upload-pack=id'; ac"),
    "source-transport": ({"app_source": "ext::sh -c id"}, "app_source: got 'ext::sh -c id'; ac"),
    "ref-option": ({"app_ref": "--upload-pack=id"}, "app_ref: got '--upload-pack=id'; accepted: a"),
    "root-up": ({"app_root": "src/../.."}, "app_root: got 'src/../..'; accepted: a folder inside"),
    "root-quotes": ({"app_root": "my 'src'"}, "app_root: got \"my 'src'\"; accepted: a folder"),
    "root-specifier": ({"app_root": "%h"}, "app_root: got '%h'; accepted: a folder inside"),
    "python-arguments": ({"app_python": "python3 -S"}, "app_python: got 'python3 -S'; accepted: p"),
    "settings-path": ({"app_settings_module": "a/b"}, "app_settings_module: got 'a/b'; accepted: "),
    "wsgi-no-name": ({"app_wsgi": "config.wsgi"}, "app_wsgi: got 'config.wsgi'; accepted: module"),
    "asgi-argument": ({"app_asgi": "a:b --reload"}, "app_asgi: got 'a:b --reload'; accepted: mod"),
    "setup-text": ({"app_setup_commands": "migrate"}, "app_setup_commands: got 'migrate'; accepte"),
    "setup-empty": ({"app_setup_commands": ["true", ""]}, "app_setup_commands: got ['true', '']"),
    "packages-option": ({"app_packages": ["--yes"]}, "app_packages: got ['--yes']; accepted: a li"),
    "secrets-pattern": ({"app_generated_secrets": [".*"]}, "app_generated_secrets: got ['.*']; ac"),
    "environment-list": ({"app_environment": [SECRET]}, "app_environment: accepted: a mapping"),
    "environment-value-list": ({"app_environment": {"A": [SECRET]}}, "app_environment.A: accepted"),
    "environment-zero": ({"app_environment": {"A": f"{SECRET}\0"}}, "app_environment.A: accepted:"),
    "environment-half": ({"app_environment": {"A": f"{SECRET}\udfff"}}, "app_environment.A: accep"),
    "environment-return": ({"app_environment": {"A": f"{SECRET}\r"}}, "app_environment.A: accepte"),
    "environment-no-character": (
        {"app_environment": {"A": f"{SECRET}\uffff"}}, "app_environment.A: accepted: UTF-8"
    ),
    "environment-endless": ({"app_environment": {"A": "x" * 200_000}}, "app_environment.A: accept"),
    "environment-name": ({"app_environment": {"A B": SECRET}}, "app_environment: got the name 'A "),
    "database-environment": (
        {"app_database_environment": {"DATABASE_URL": [SECRET]}}, "app_database_environment.DATABAS"
    ),
    "database-unknown": ({"app_database": "mysql"}, "app_database: got 'mysql'; accepted: sqlite"),
    "password-line-break": ({"postgresql_password": f"{SECRET}\n"}, "postgresql_password: accepte"),
    "index-url-spaces": ({"pip_index_url": f"https://u:{SECRET}@x y"}, "pip_index_url: accepted: "),
    "mirror-no-scheme": ({"apt_mirror": "mirrors.example.com"}, "apt_mirror: accepted: an address"),
    # -- the service --
    "service-catalogue": (
        {"server": "granian", "server_catalogue": {"granian": {}}}, "server_catalogue.granian: pa"
    ),
    "service-matrix": (
        {"server": "granian", "label": "x", "bench_matrix": ["x"]}, "bench_matrix[0]: got str; acc"
    ),
    "service-server": ({"server": "nope"}, "server: got 'nope'; accepted: uwsgi, gunicorn"),
    "service-interface": ({"server": "uwsgi", "interface": "asgi"}, "interface: got 'asgi'; accep"),
    "service-label": ({"server": "granian", "label": "x"}, "label: got 'x'; accepted for granian"),
    "service-proxy": ({"proxy": "haproxy"}, "proxy: got 'haproxy'; accepted: none, caddy, nginx"),
    "service-endpoint": ({"service_endpoints": ["nope"]}, "service_endpoints: got 'nope'; accepte"),
    "service-release-up": ({"app_release": "../../etc"}, "app_release: got '../../etc'; accepted"),
    "service-wait": ({"service_ready_timeout_s": 0}, "service_ready_timeout_s: got 0; accepted: a"),
    "service-port": ({"service_candidate_port": 70000}, "service_candidate_port: got 70000; accep"),
    "release-root-null": ({"app_root_dir": None}, "app_root_dir: got nothing; accepted: an"),
    "wait-null": ({"service_ready_timeout_s": None}, "service_ready_timeout_s: got nothing; accep"),
    "packages-null": ({"app_packages": None}, "app_packages: got nothing; accepted: a list"),
    "releases-none": ({"app_releases_kept": 0}, "app_releases_kept: got 0; accepted: a whole numb"),
    # -- the schedule --
    "times-number": ({"schedule_times": [900]}, "schedule_times: "),
    "times-late": ({"schedule_times": ["25:00"]}, "schedule_times[0]: got '25:00'; ac"),
    "times-twice": ({"schedule_times": ["04:00", "04:00"]}, "schedule_times[1]: got "),
    "days-none": ({"schedule_times": ["04:00"], "schedule_days": 0}, "schedule_days: got 0; acc"),
    "days-many": (
        {"schedule_times": ["04:00"], "schedule_days": 60, "schedule_blocks": 50}, "schedule_days:"
    ),
    "endpoints-false": ({"bench_endpoints": False}, "bench_endpoints: got bool; accepted: a list"),
    "load-false": ({"bench_load": False}, "bench_load: got bool; accepted: a mapping"),
    "timing-zero": ({"bench_timing": 0}, "bench_timing: got int; accepted: a mapping"),
    "matrix-zero": ({"bench_matrix": 0}, "bench_matrix: got int; accepted: a list"),
    "switch-perhaps": ({"deploy_everything": "perhaps"}, "deploy_everything: got 'perhaps'; acc"),
    "number-in-blanks": (
        {"proxy_read_timeout_s": " 5\n"}, "proxy_read_timeout_s: got ' 5\\n'; accepted: a whole"
    ),
    # -- the proxy --
    "proxy-port": ({"proxy_port": 0}, "proxy_port: got 0; accepted: a whole number from 1 to 6553"),
    "proxy-port-text": ({"proxy_port": "http"}, "proxy_port: got 'http'; accepted: a whole number"),
    "proxy-address": ({"proxy_address": "localhost"}, "proxy_address: got 'localhost'; accepted: "),
    "proxy-address-zone": ({"proxy_address": "fe80::1%;}"}, "proxy_address: got 'fe80::1%;}'; acc"),
    "proxy-static-url": (
        {"proxy_static_url": "/static/ { return 200; } location /x/"}, "proxy_static_url: got '/sta"
    ),
    "proxy-static-root-up": (
        {"proxy_static_root": "/../etc"}, "proxy_static_root: got '/../etc'; accepted: an absolute"
    ),
    "proxy-static-root": ({"proxy_static_root": "/srv/a;"}, "proxy_static_root: got '/srv/a;'; ac"),
    "proxy-static-space": ({"proxy_static_root": "/srv/my files"}, "proxy_static_root: got '/srv/"),
    # -- hosts --
    "host-up": ({"inventory_hostname": "../x"}, "inventory_hostname: got '../x'; accepted: a host"),
    "host-report": ({"inventory_hostname": "report.html"}, "inventory_hostname: got 'report.html'"),
    "host-option": ({"ansible_host": "-oProxyCommand=id"}, "ansible_host: got '-oProxyCommand=id'"),
    "host-user": ({"ansible_user": "root;id"}, "ansible_user: got 'root;id'; accepted: a user's"),
    "host-port": ({"ansible_port": "ssh"}, "ansible_port: got 'ssh'; accepted: a whole number"),
    "user-root": ({"app_user": "root\nUser=root"}, "app_user: got 'root\\nUser=root'; accepted: a"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_that_names_the_variable_and_what_is_accepted(name):
    changes, words = WRONG[name]
    said = refusal(changes)
    assert said is not None, "accepted"
    assert said.startswith(words)
    assert "\n" not in said
    assert "\r" not in said
    assert "accepted" in said or "missing" in said
    assert len(said) < 500
    assert SECRET not in said


def test_there_are_enough_of_them():
    assert len(WRONG) >= 90


# What somebody might try in a text, wherever it ends: in a shell, a unit file, a proxy's
# configuration, a command line, a path, an SQL statement.
INJECTIONS = (
    "x; touch /tmp/pwned",
    "$(touch /tmp/pwned)",
    "`touch /tmp/pwned`",
    "x\nExecStartPre=/bin/touch /tmp/pwned",
    "x\n[Service]\nUser=root",
    "%h/%n",
    '" --reload "',
    "'; DROP TABLE movie; --",
    "x; } server { listen 80; } #",
    "../../../etc/passwd",
    "-oProxyCommand=touch /tmp/pwned",
    "x\0y",
    "x\u2028y",
    "\ud800",
)


def as_item(name):
    return lambda text: {name: [text]}


def as_is(name):
    return lambda text: {name: text}


def of_all_pairs(text):
    return {"bench_matrix": [{"server": text, "interface": "wsgi"}]}


# How a text gets into each variable that is not a plain one; by its name in the argument specs.
PLACES = {
    # Short for the command line.
    "rates": lambda text: {"bench_rates": text},
    "slo_p99_ms": lambda text: {"bench_slo_p99_ms": text},
    "bench_profiles": as_item("bench_profiles"),
    "bench_matrix.server": lambda text: line(server=text),
    "bench_matrix.interface": lambda text: line(interface=text),
    "bench_matrix.label": lambda text: line(label=text),
    "bench_matrix.knobs": lambda text: line(label="x", knobs={"worker_class": text}),
    "bench_matrix_all_pairs": of_all_pairs,
    "bench_endpoints": as_item("bench_endpoints"),
    "bench_decide.gap": lambda text: {"bench_decide": {"gap": text}},
    "app_endpoints.name": lambda text: endpoint(name=text),
    "app_endpoints.path": lambda text: endpoint(path=text),
    "app_endpoints.method": lambda text: endpoint(method=text),
    "app_endpoints.headers": lambda text: endpoint(headers={text: "x"}),
    "app_endpoints.expect.regex": lambda text: expect(regex=text),
    "app_environment": lambda text: {"app_environment": {text: "x"}},
    "app_database_environment": lambda text: {"app_database_environment": {text: "x"}},
    "server_profiles": lambda text: {"server_profiles": {text: {"knobs": {}}}},
    "server_catalogue": lambda text: {
        "server_catalogue": {text: {"package": "x", "interfaces": ["wsgi"]}}
    },
    "interface": lambda text: {"server": "granian", "interface": text},
    "profile": lambda text: {"server": "granian", "profile": text},
    "label": lambda text: {"server": "granian", "label": text},
    "server_knobs.application": lambda text: knobs(application=text),
    "server_knobs.worker_class": lambda text: knobs(worker_class=text),
    "server_knobs.loop": lambda text: knobs(loop=text),
    "server_knobs.cpu_set": lambda text: knobs(cpu_set=text),
    **{
        name: as_item(name)
        for name in (
            "schedule_times", "app_packages", "app_generated_secrets", "app_interfaces",
            "base_packages", "lab_host_nameservers", "server_environment_files",
            "service_endpoints",
        )
    },
}  # fmt: skip
# Texts that may be anything, and how they come to where they end as what they are.
DATA = {
    "app_endpoints.body": "a file beside wrk; tests/runner/test_runner_wrk.py",
    "app_endpoints.expect.json_exact": "compared as data; tests/runner/test_runner_answers.py",
    "app_endpoints.expect.json_subset": "compared as data; tests/runner/test_runner_answers.py",
    "app_endpoints.expect.regex": "under a clock; tests/unit/test_patterns.py",
    "app_endpoints.rung": "shown in reports, escaped; tests/unit/test_report.py",
    "app_requirements": "the name of a file that must be there; tests/unit/test_project.py",
    "app_constraints": "the name of a file that must be there; tests/unit/test_project.py",
    "app_setup_commands": "shell commands, as the unprivileged user; tests/lab",
    "app_source": "a folder that must be there, read by Python; tests/unit/test_project.py",
    "preflight_supported": "compared with what the host is called",
    "server_knobs.environment": "quoted for systemd; test_nasty_values.py, rendered and in the lab",
    "server_knobs.extra_arguments": "quoted for systemd; the same",
    "bench_results_dir": "a folder of this machine, an argument by itself",
    "runner_results_dir": "takes bench_results_dir",
    "teardown_results_dir": "takes bench_results_dir",
    "lab_host_ssh_dir": "a folder of this machine, an argument by itself",
    "postgresql_password": "by way of the environment; roles/postgresql",
    "vault_postgresql_password": "the same",
}
# Given by the playbooks to the roles they include, which wins over an inventory.
GIVEN = {
    "base_coming",
    "schedule_plan",
    "runner_plan", "server_application", "server_argv", "server_candidate", "server_variant",
    "proxy_variant",
    "server_knobs.upstream",
}  # fmt: skip
TEXT_TYPES = ("str", "path", "raw", "dict")


def options(spec, above=""):
    """Yield every option of an argument spec that may hold text, by its name."""
    for name, option in (spec or {}).items():
        full = f"{above}{name}"
        if option.get("options"):
            yield from options(option["options"], f"{full}.")
            continue
        kind = option.get("elements") if option.get("type") == "list" else option.get("type")
        if kind in TEXT_TYPES and "choices" not in option:
            yield full


def free_texts():
    paths = [ROOT / "playbooks/meta/argument_specs.yml"]
    paths += sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
    specs = [yaml.safe_load(path.read_text())["argument_specs"] for path in paths]
    found = {
        name for spec in specs for entry in spec.values() for name in options(entry["options"])
    }
    # What takes either a number or one of a few words is refused by the table above.
    return sorted(found - {"bench_blocks", "bench_twin"})


@pytest.mark.parametrize("name", free_texts())
def test_nothing_is_smuggled_in_by_any_text(name):
    if name in GIVEN:
        return
    put = PLACES.get(name) or as_is(name)
    if name.startswith("server_knobs.") and name not in PLACES:
        put = knobs_of(name.removeprefix("server_knobs."))
    passed = []
    for text in INJECTIONS:
        said = refusal(put(text))
        if said is None:
            passed.append(text)
        else:
            assert "\n" not in said
            assert "accepted" in said or "missing" in said
    if name not in DATA:
        assert passed == []


def knobs_of(name):
    if name == "extra_arguments":
        return lambda text: knobs(extra_arguments=[text])
    return lambda text: knobs(environment={"A": text})


def test_no_text_is_left_out():
    """Each is in a table, or has a rule by its own name."""
    unknown = set(DATA) | set(PLACES) | GIVEN
    assert unknown - set(free_texts()) - {"bench_matrix.interface", "server_knobs.upstream"} <= {
        "app_interfaces", "server_knobs.cpu_set"
    }  # fmt: skip
    for name in set(free_texts()) - set(DATA) - GIVEN:
        put = PLACES.get(name) or as_is(name)
        assert refusal(put("x; touch /tmp/pwned")) is not None, name
    for name, why in DATA.items():
        assert why, name


def test_what_is_data_keeps_out_of_unit_files_what_they_cannot_hold():
    for text in ("x\ny", "x\0y", "x\ry", "\ud800", "\ufffe"):
        assert refusal(knobs(extra_arguments=[text])) is not None
        assert refusal(knobs(environment={"A": text})) is not None


# -- through the playbooks and commands themselves --

TRIP = """#!/bin/sh
case " $* " in *" -G "*) exec ssh "$@" ;; esac
echo "$*" >> "{log}"
exit 255
"""


@pytest.fixture
def tripwire(tmp_path):
    """An ssh that notes each use, but for the question of what it would do."""
    log, program = tmp_path / "ssh.log", tmp_path / "ssh"
    program.write_text(TRIP.replace("{log}", str(log)))
    program.chmod(0o755)
    # sftp and scp would be ways around it.
    environment = {
        "ANSIBLE_SSH_EXECUTABLE": str(program),
        "ANSIBLE_SFTP_EXECUTABLE": str(program),
        "ANSIBLE_SCP_EXECUTABLE": str(program),
        "ANSIBLE_SSH_RETRIES": "0",
        "ANSIBLE_NOCOLOR": "1",
    }
    return log, environment


HOSTS = {"bench": {"hosts": {"web1": {"ansible_host": "192.0.2.1", "ansible_user": "root"}}}}


@pytest.fixture
def inventory(tmp_path):
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "hosts.yml").write_text(yaml.safe_dump(HOSTS))
    return folder


def execute(command, environment):
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def playbook(name, inventory, environment, *arguments):
    command = [ROOT / ".venv/bin/ansible-playbook", name, "-i", inventory, *arguments]
    status, said = execute(command, environment)
    lines = [one for one in said.splitlines() if one.startswith(("FAILED", "[ERROR]", "ERROR!"))]
    return status, lines, said


def test_the_tripwire_is_tripped_by_what_is_right(tripwire, inventory):
    log, environment = tripwire
    status, _, said = playbook("pull.yml", inventory, environment, "-e", "bench_run_id=x")
    assert status != 0
    assert log.exists(), said


THROUGH_PLAYBOOKS = [
    ("bench.yml", "connections-billion"),
    ("bench.yml", "interface-not-spoken"),
    ("bench.yml", "regex-explodes"),
    ("bench.yml", "header-line-break"),
    ("bench.yml", "environment-return"),
    ("bench.yml", "database-environment"),
    ("bench.yml", "root-quotes"),
    ("bench.yml", "host-option"),
    ("deploy.yml", "service-endpoint"),
    ("deploy.yml", "service-release-up"),
    ("deploy.yml", "proxy-static-url"),
    ("deploy.yml", "password-line-break"),
    ("pull.yml", "run-id-up"),
    ("teardown.yml", "packages-option"),
    ("playbooks/follow_run.yml", "host-user"),
]


@pytest.mark.parametrize(("name", "case"), THROUGH_PLAYBOOKS)
def test_a_playbook_refuses_it_before_a_host_is_touched(name, case, tripwire, inventory):
    log, environment = tripwire
    changes, words = WRONG[case]
    status, lines, said = playbook(name, inventory, environment, "-e", json.dumps(changes))
    assert status != 0
    (line_,) = lines
    assert words in line_
    assert "filter plugin" not in line_
    assert SECRET not in said
    assert "Traceback" not in said
    assert not log.exists(), log.read_text()


def latin(folder):
    hosts = folder / "hosts.yml"
    hosts.write_bytes(hosts.read_bytes() + b"# caf\xe9\n")
    return "hosts.yml: line 6 is not UTF-8; accepted: UTF-8"


def latin_variables(folder):
    (folder / "group_vars").mkdir()
    (folder / "group_vars/bench.yml").write_bytes(b"bench_seed: 1\nnote: caf\xe9\n")
    return "bench.yml: line 2 is not UTF-8; accepted: UTF-8"


def broken(folder):
    (folder / "hosts.yml").write_text(f"bench:\n  hosts: [{SECRET}\n")
    return "hosts.yml: line 3, column 1: did not find expected"


def bomb(folder):
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (folder / "hosts.yml").write_text(
        "bench:\n  hosts: {web1: {ansible_host: 192.0.2.1}}\n  vars:\n"
        + "".join(f"    {one}\n" for one in lines)
    )
    return "hosts.yml: comes to more than 200,000 values once its aliases"


def twice(folder):
    with (folder / "hosts.yml").open("a") as file:
        file.write("  vars: {bench_seed: 1, bench_seed: 2}\n")
    return "hosts.yml: line 6: 'bench_seed' twice; accepted: each name once"


def nobody(folder):
    (folder / "hosts.yml").write_text("web:\n  hosts: {web1: {ansible_host: 192.0.2.1}}\n")
    return "has no host in its group bench; see inventory/lab"


def nowhere(folder):
    (folder / "group_vars").mkdir()
    (folder / "group_vars/bench.yml").symlink_to("../nowhere.yml")
    return "group_vars/bench.yml: cannot be read: No such file or directory"


def one_machine(folder):
    (folder / "hosts.yml").write_text(
        "bench:\n  hosts:\n    web1: {ansible_host: 192.0.2.1}\n"
        "    web2: {ansible_host: '{{ address }}', ansible_port: 22, address: 192.0.2.1}\n"
    )
    return "ansible_host: got '192.0.2.1' for web1 and web2; accepted: each machine once"


def pipe(folder):
    (folder / "group_vars").mkdir()
    os.mkfifo(folder / "group_vars/bench.yml")
    return "group_vars/bench.yml: is no regular file; accepted: one"


def with_variable(text, words):
    """Return what puts a line of variables into an inventory."""

    def spoil(folder):
        (folder / "group_vars").mkdir()
        (folder / "group_vars/bench.yml").write_text(f"bench_blocks: 3\n{text}\n")
        return f"group_vars/bench.yml: line 2: {words}; accepted: "

    return spoil


def listed(folder):
    (folder / "host_vars").mkdir()
    (folder / "host_vars/web1.yml").write_text("---\n- bench_blocks: 3\n")
    return "host_vars/web1.yml: line 2: got a list or a text; accepted: name: value"


UNBUILT = [
    listed,
    with_variable(f"bench_seed: {'9' * 5000}", "got a number of hundreds of digits"),
    with_variable("app_ref: 2026-02-31", "got '2026-02-31', a date that is none"),
    with_variable("app_ref: !python/name:os.system x", "got the tag '!python/name:os.system'"),
    with_variable("? [a, b]\n: 1", "got a list or a mapping for a name"),
]


@pytest.mark.parametrize(
    "spoil",
    [latin, latin_variables, broken, bomb, twice, nobody, nowhere, one_machine, pipe, *UNBUILT],
)
def test_an_inventory_that_is_no_inventory_is_one_line(spoil, tripwire, inventory):
    log, environment = tripwire
    words = spoil(inventory)
    status, lines, said = playbook("bench.yml", inventory, environment)
    assert status != 0
    (line_,) = lines
    assert words in line_
    assert SECRET not in said
    assert "Traceback" not in said
    assert not log.exists(), log.read_text()


@pytest.mark.parametrize("given", ["bench_blocks: 3", "bench_blocks = 3", "bench_blocks"])
def test_what_would_set_no_variable_is_refused(given, tripwire, inventory):
    log, environment = tripwire
    status, (line_,), _ = playbook("bench.yml", inventory, environment, "-e", given)
    assert status != 0
    assert f"-e: got '{given}'; accepted: name=value without spaces" in line_
    assert not log.exists(), log.read_text()
    program = ROOT / ".venv/bin/serverbench"
    status, said = execute([program, "plan", "-i", inventory, "-e", given], environment)
    assert status != 0
    assert f"-e: got '{given}'; accepted: name=value" in " ".join(said.split())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"service_ready_timeout_s": "{{ nope }}"}, "service_ready_timeout_s: cannot be read: 'no"),
        ({"bench_seed": "{{ nope }}"}, "bench_seed: cannot be read: 'nope' is undefined"),
        ({"app_environment": {"A": "{{ nope.x }}"}}, "app_environment: cannot be read: 'nope' is"),
        ({"app_root_dir": "{{ bench_load.x }}"}, "app_root_dir: cannot be read: object of type"),
        ({"bench_blocks": "{{ 3 +"}, "bench_blocks: cannot be read: Syntax error in template"),
    ],
)
def test_what_cannot_be_made_is_refused_by_its_name(given, words, tripwire, inventory):
    log, environment = tripwire
    status, (line_,), _ = playbook("bench.yml", inventory, environment, "-e", json.dumps(given))
    assert status != 0
    assert f"web1: {words}" in line_
    assert not log.exists(), log.read_text()


@pytest.mark.parametrize("command", ["plan", "run", "doctor"])
def test_a_command_refuses_it_in_its_own_words(command, tripwire, inventory):
    log, environment = tripwire
    changes, words = WRONG["threads-none"]
    program = [ROOT / ".venv/bin/serverbench", command, "-i", inventory]
    status, said = execute([*program, "-e", json.dumps(changes)], environment)
    assert status != 0
    assert words in said, shlex.join(map(str, program))
    assert "Traceback" not in said
    status, said = execute([*program, "-e", "bench_blockz=3"], environment)
    assert status != 0
    assert "bench_blockz: is no variable of this kit; did you mean bench_blocks?" in said
    bomb_words = bomb(inventory)
    status, said = execute(program, environment)
    assert status != 0
    assert bomb_words in said
    assert "Traceback" not in said
    assert not log.exists(), log.read_text()


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - name: Write
      ansible.builtin.copy: {content: "{{ said }}", dest: "{{ folder }}/a", mode: "0600"}
    - name: Say
      ansible.builtin.command: {argv: [printf, "%s", "{{ said }}"]}
      register: answer
      changed_when: false
    - name: Fail
      ansible.builtin.fail: {msg: "{{ answer.stdout }}"}
"""


def test_what_a_host_says_to_ansible_acts_on_no_terminal(tmp_path):
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    said = {"said": "\x1b]0;owned\x07\x1b[2J\x9b31m", "folder": str(tmp_path)}
    status, lines, output = playbook(
        str(play), "localhost,", {"ANSIBLE_NOCOLOR": "1"}, "--diff", "-e", json.dumps(said)
    )
    assert status != 0
    assert ["owned" in one for one in lines] == [True]
    # In the difference too.
    assert output.count("owned") >= 2
    assert not {"\x1b", "\x07", "\x9b"} & set(output)


FETCH = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Fetch
      pull_results:
        run_id: run
        runs_dir: "{{ folder }}/runs"
        archive: "{{ folder }}/run.tar.gz"
        destination: "{{ folder }}/results/run/web1"
        limit_bytes: 100000
"""


@pytest.mark.parametrize(
    ("host_says", "words"),
    [
        (None, "run run packs to 2"),
        ("1", "{folder}/run.tar.gz sends more than 100,000 bytes"),
    ],
)
def test_a_host_that_sends_without_end_fills_no_disk(host_says, words, tmp_path):
    play = tmp_path / "play.yml"
    play.write_text(FETCH)
    (tmp_path / "runs/run").mkdir(parents=True)
    noise = random.Random(1).randbytes(200_000)  # noqa: S311 - not a secret
    (tmp_path / "runs/run/samples").write_bytes(noise)
    path = os.environ["PATH"]
    if host_says:
        # It lies about the size.
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/stat").write_text(f"#!/bin/sh\necho {host_says}\n")
        (tmp_path / "bin/stat").chmod(0o755)
        path = f"{tmp_path}/bin:{path}"
    status, lines, _ = playbook(
        str(play), "localhost,", {"PATH": path}, "-e", json.dumps({"folder": str(tmp_path)})
    )
    assert status != 0
    (said,) = lines
    assert f"localhost: {words.format(folder=tmp_path)}" in said
    # Neither here nor there is anything left of it.
    assert not (tmp_path / "run.tar.gz").exists()
    assert list((tmp_path / "results").glob("**/*.gz")) == []


@pytest.mark.parametrize("cores", ["abc", "-1", "9" * 5000, "", None, "2; reboot"])
def test_the_cores_that_a_host_says_it_has_are_a_number(cores):
    """They become workers: `workers: per_core` is in every profile of the kit."""
    plan = filter_loader.get("serverbench_plan").j2_function
    with pytest.raises(
        AnsibleFilterError, match=r"^cores: got .*; accepted: a whole number from 1"
    ):
        plan(KNOWN, "web1", cores)
