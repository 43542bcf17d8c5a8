"""What `-e server=…` may say, and what it comes to."""

import json
from pathlib import Path

import pytest
import yaml

from collect.activation import dump
from collect.decode import encode
from collect.errors import DataError
from collect.request import make_activation, recorded_service, requested_variant

GROUP_VARS = Path(__file__).resolve().parents[2] / "playbooks/group_vars/all"
VARS = {
    name: value
    for file in ("catalogue.yml", "profiles.yml", "app.yml")
    for name, value in yaml.safe_load((GROUP_VARS / file).read_text()).items()
}
CATALOGUE = VARS["server_catalogue"]


def request(**given):
    return requested_variant({**VARS, "bench_profiles": ["parity"], **given}, 2)


def test_nothing_is_asked_for():
    assert request() is None
    assert request(server="", proxy="none") is None


def test_the_first_interface_and_profile_are_taken():
    variant = request(server="granian")
    assert (variant.id, variant.proxy, variant.profile) == ("granian-wsgi", "none", "parity")
    assert request(server="granian", bench_profiles="study").id == "granian-wsgi-study"
    assert request(server="granian", interface="asgi").id == "granian-asgi"


def test_a_server_that_can_takes_its_socket_from_systemd_under_a_name_of_its_own():
    variant = request(server="gunicorn")
    assert variant.id == "gunicorn-wsgi-socket"
    assert variant.socket_unit == "serverbench-gunicorn-wsgi-socket.socket"
    assert variant.knobs["socket"] is True
    # One that has none, and one that has it anyhow, keep theirs.
    assert request(server="granian").socket_unit is None
    assert request(server="daphne").id == "daphne-asgi"
    assert request(server="daphne").socket_unit == "serverbench-daphne-asgi.socket"


def test_a_proxied_service_has_its_proxys_unit_and_port():
    variant = request(server="granian", proxy="caddy")
    assert variant.proxy_unit == "serverbench-granian-wsgi-caddy-proxy.service"
    assert variant.port == 9878
    assert request(server="granian", proxy="caddy", proxy_port=9999).port == 9999


def test_a_label_takes_the_knobs_of_its_line():
    matrix = [
        {"server": "gunicorn", "interface": "wsgi"},
        {
            "server": "gunicorn",
            "interface": "wsgi",
            "label": "sync",
            "knobs": {"worker_class": "sync", "keepalive_s": 0},
        },
    ]
    variant = request(server="gunicorn", label="sync", bench_matrix=matrix)
    assert variant.id == "gunicorn-wsgi-sync-socket"
    assert variant.knobs["worker_class"] == "sync"
    with pytest.raises(DataError, match="label: got 'fast'; accepted for gunicorn-wsgi: sync"):
        request(server="gunicorn", label="fast", bench_matrix=matrix)
    with pytest.raises(DataError, match="no line of bench_matrix has one"):
        request(server="uvicorn", label="fast", bench_matrix=matrix)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"server": "granain"}, "server: got 'granain'; accepted: uwsgi, gunicorn, granian"),
        ({"server": "uwsgi", "interface": "asgi"}, "interface: got 'asgi'; accepted: wsgi"),
        ({"server": "uwsgi", "proxy": "haproxy"}, "proxy: got 'haproxy'; accepted: none, caddy"),
        ({"server": "uwsgi", "profile": "best"}, "profile: got 'best'; accepted: study, parity"),
        ({"profile": "study"}, "profile: got 'study' without a server"),
        ({"interface": "asgi"}, "interface: got 'asgi' without a server"),
    ],
)
def test_what_is_not_known_is_named_with_what_is(given, words):
    with pytest.raises(DataError) as caught:
        request(**given)
    assert words in str(caught.value)


def activation(**changes):
    parts = {
        "release": "r1",
        "releases_kept": 3,
        "variant": request(server="granian"),
        "takes_over": True,
        "endpoints": VARS["app_endpoints"],
        "names": None,
        "measured": ["movie"],
        "ports": {"address": "127.0.0.1", "port": 9875, "candidate_port": 9874},
        "ready_timeout_s": "30",
        "stop_timeout_s": 20,
    }
    return make_activation(**{**parts, **changes})


def names(one):
    return [endpoint.name for endpoint in one.endpoints]


def test_the_endpoints_that_are_measured_prove_a_release_unless_others_are_named():
    assert names(activation()) == ["movie"]
    assert names(activation(names=["health"])) == ["health"]
    with pytest.raises(DataError, match="service_endpoints: got 'healt'; accepted: health"):
        activation(names=["healt"])


@pytest.mark.parametrize(
    ("variant", "port"),
    [({"server": "granian"}, 9875), ({"server": "granian", "proxy": "caddy"}, 9878)],
)
def test_a_release_is_not_tried_on_the_port_of_the_service(variant, port):
    ports = {"address": "127.0.0.1", "port": 9875, "candidate_port": port}
    with pytest.raises(DataError, match=f"service_candidate_port: got {port}, where the service"):
        activation(variant=request(**variant), ports=ports)


def test_a_trial_writes_nothing_into_the_data_of_what_serves():
    order = {"name": "order", "path": "/orders", "method": "POST", "body": "{}"}
    health = {"name": "health", "path": "/health"}
    assert names(activation(endpoints=[order, health], measured=["order"])) == ["health"]
    with pytest.raises(DataError, match="service_endpoints: got nothing"):
        activation(endpoints=[order], measured=["order"])
    assert names(activation(endpoints=[order], names=["order"])) == ["order"]


def test_numbers_may_come_from_the_command_line():
    assert activation(releases_kept="5").releases_kept == 5
    with pytest.raises(DataError, match="app_releases_kept: got 0"):
        activation(releases_kept=0)


def test_what_a_host_serves_is_read_from_its_record():
    assert recorded_service("", "vm1", CATALOGUE) is None
    record = {
        "variant": encode(request(server="granian")),
        "release": "r1",
        "since": "2026-01-01",
        "previous_release": None,
    }
    service = recorded_service(json.dumps(record), "vm1", CATALOGUE)
    assert recorded_service(dump(service), "vm1", CATALOGUE) == service
    assert service.variant.id == "granian-wsgi"
    with pytest.raises(DataError, match=r"vm1: /etc/serverbench/service\.json: not JSON"):
        recorded_service("{", "vm1", CATALOGUE)
