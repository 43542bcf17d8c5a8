"""Both proxies, rendered: where they listen, what they ask, and what their units allow them."""

from __future__ import annotations

import shlex

import pytest
import yaml
from ansible.template import Templar, trust_as_template
from render import LOADER, ROOT, group_vars, render, role_variables

from collect.decode import encode
from collect.variants import PROXY_PORT, expand_variants

VARS = group_vars()
KINDS = ("caddy", "nginx")


def proxied(server="granian", proxy="caddy", **knobs):
    """Return a proxied variant, as the plan has it."""
    entry = {"server": server, "interface": "wsgi", "proxy": proxy}
    entry |= {"label": "x", "knobs": knobs} if knobs else {}
    (variant,) = expand_variants(
        [entry], VARS["server_catalogue"], VARS["server_profiles"], ["parity"], 2
    )
    return encode(variant)


def given(variant, **more):
    """Return the role's variables, as playbooks/tasks/deploy_variant.yml passes them."""
    tasks = yaml.safe_load((ROOT / "playbooks/tasks/deploy_variant.yml").read_text())
    (task,) = [one for one in tasks if one["ansible.builtin.include_role"]["name"] == "proxy"]
    derived = {
        name: trust_as_template(value) if isinstance(value, str) else value
        for name, value in {
            **task["vars"],
            **{name: VARS[name] for name in ("server_bind", "server_protocol")},
        }.items()
    }
    return {
        **role_variables("proxy"),
        **derived,
        "ansible_managed": "Ansible managed",
        "server_item": variant,
        "preflight_host": {"cores": "2"},
        **more,
    }


def config(variant, **more):
    variables = given(variant, **more)
    name = trust_as_template("{{ __proxy_kinds[proxy_kind].template }}")
    return render("proxy", Templar(LOADER, variables=variables).template(name), variables)


def unit(variant, **more):
    return render("proxy", "unit.service.j2", given(variant, **more))


def test_the_plan_and_the_role_agree_on_the_port():
    assert role_variables("proxy")["proxy_port"] == PROXY_PORT == VARS["proxy_port"]
    assert proxied()["port"] == PROXY_PORT


@pytest.mark.parametrize("kind", KINDS)
def test_it_listens_on_loopback_unless_asked(kind):
    text = config(proxied(proxy=kind))
    listens = "bind 127.0.0.1\n" if kind == "caddy" else "listen 127.0.0.1:9878 default_server"
    assert listens in text
    assert "0.0.0.0" not in text  # noqa: S104 - rendered, not bound
    assert "[::]" not in text


def test_another_address_is_listened_to_beside_loopback():
    text = config(proxied(), proxy_address="192.0.2.7", proxy_port=8080)
    assert "http://:8080 {" in text
    assert "bind 127.0.0.1 192.0.2.7\n" in text
    text = config(proxied(proxy="nginx"), proxy_address="2001:db8::7")
    assert "listen 127.0.0.1:9878 " in text
    assert "listen [2001:db8::7]:9878 " in text
    text = config(proxied(proxy="nginx"), proxy_address="::")
    # Or nginx would not answer on 127.0.0.1, where the runner asks.
    assert "listen [::]:9878 default_server backlog=2048 ipv6only=off;" in text
    text = config(proxied(proxy="nginx"), proxy_address="0.0.0.0")  # noqa: S104 - as above
    assert text.count("listen ") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_tcp_and_unix_socket(kind):
    assert "127.0.0.1:9875" in config(proxied("gunicorn", kind))
    over_socket = config(proxied("gunicorn", kind, upstream="unix"))
    path = f"/run/serverbench/gunicorn-wsgi-x-{kind}/server.sock"
    assert (f"unix/{path} {{" if kind == "caddy" else f"server unix:{path};") in over_socket
    assert "9875" not in over_socket


def test_nginx_and_uwsgi_speak_uwsgi():
    text = config(proxied("uwsgi", "nginx"))
    assert "uwsgi_pass application;" in text
    assert "proxy_pass" not in text
    assert "keepalive 1024" not in text
    assert "reverse_proxy 127.0.0.1:9875" in config(proxied("uwsgi", "caddy"))
    assert "proxy_pass http://application;" in config(proxied("gunicorn", "nginx"))


@pytest.mark.parametrize(("keepalive_s", "idle"), [(5, "2500ms"), (1, "500ms"), (None, "1000ms")])
def test_idle_connections_are_given_up_before_the_server_does(keepalive_s, idle):
    caddy, nginx = (proxied("gunicorn", kind) for kind in KINDS)
    for variant in (caddy, nginx):
        variant["knobs"]["keepalive_s"] = keepalive_s
    assert f"keepalive {idle}" in config(caddy)
    assert f"keepalive_timeout {idle};" in config(nginx)


def test_a_server_that_closes_each_connection_is_asked_on_new_ones():
    assert "keepalive off" in config(proxied("gunicorn", "caddy", keepalive_s=0))
    assert "keepalive 1024" not in config(proxied("gunicorn", "nginx", keepalive_s=0))


@pytest.mark.parametrize(("kind", "log"), [("caddy", "output stdout"), ("nginx", "syslog:")])
def test_static_files_and_access_log(kind, log):
    text = config(proxied(proxy=kind))
    assert "/static/" in text
    assert "/var/lib/serverbench/app/static" in text
    assert log not in text
    text = config(proxied(proxy=kind, access_log=True), proxy_static_root="")
    assert "/static/" not in text
    assert log in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_belongs_to_its_server_and_sees_little(kind):
    text = unit(proxied(proxy=kind))
    server = f"serverbench-granian-wsgi-{kind}.service"
    assert f"\nRequires={server}\n" in text
    assert f"After=network.target {server}\n" in text
    assert "\nUser=serverbench\n" in text
    assert "\nTemporaryFileSystem=/var/lib/serverbench:ro\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart="))
    assert words[0] == {"caddy": "/usr/bin/caddy", "nginx": "/usr/sbin/nginx"}[kind]
    assert f"/etc/serverbench/proxy/granian-wsgi-{kind}.{kind}" in words


def test_as_many_workers_as_cores():
    assert "worker_processes 2;" in config(proxied(proxy="nginx"))
    assert "\nEnvironment=GOMAXPROCS=2\n" in unit(proxied(proxy="caddy"))
