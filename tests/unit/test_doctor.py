"""What is concluded from what was found on a host."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import factory
import pytest
import yaml

from collect import cli
from collect.cli import doctor as command
from collect.doctor import Demand, Found, Ports, examine, worst
from collect.model import dumps

SAID = """\
user=ubuntu
systemd=257
available_mb=1500
results_free_mb=9000
wrk=/usr/bin/wrk
cpu_before=cpu  100 0 100 800 0 0 0 0 0 0
cpu_after=cpu  110 0 110 980 0 0 0 0 0 0
clock_here=1000.5
clock_there=1000.9
root=0
"""
DEMANDS = tuple(
    Demand(name, holds=True, otherwise=f"{name} is wrong")
    for name in ("system", "systemd", "Python", "run", "memory", "disk", "proxy", "database")
)


def found(said=SAID, **changes):
    known = Found(
        host="web1",
        why_unreachable="",
        # As ssh -tt hands it over.
        said=(said.replace("\n", "\r\n"),),
        why_no_root="",
        host_facts={"name": "Debian 13", "cores": "2", "memory_mb": "2000", "python": "3.13"},
        demands=DEMANDS,
        plan=factory.plan(),
        ports=Ports(9875, 9878, 9874),
    )
    return replace(known, **changes)


def line(findings, name):
    (one,) = [finding for finding in findings if finding.name == name]
    return one


def test_a_host_in_order_is_ok_throughout():
    findings = examine(found())
    assert worst(findings) == "ok"
    assert {finding.level for finding in findings} == {"ok"}
    assert line(findings, "memory").said == "2000 MB, 1500 MB available"
    assert line(findings, "app port").said == "9875 is free"


def test_a_host_that_does_not_answer_is_one_line():
    (only,) = examine(found(why_unreachable="Task failed: no\nroute to host"))
    assert (only.name, only.level, only.said) == ("reachable", "fail", "no route to host")
    assert "ssh" in only.remedy


@pytest.mark.parametrize("name", ["system", "systemd", "Python", "memory", "disk"])
def test_what_a_run_demands_fails_in_its_own_words(name):
    demands = tuple(replace(one, holds=one.name != name) for one in DEMANDS)
    findings = examine(found(demands=demands))
    assert (line(findings, name).level, line(findings, name).said) == ("fail", f"{name} is wrong")
    assert worst(findings) == "fail"


def test_without_sudo_ports_are_not_known():
    findings = examine(found(SAID.replace("root=0", "root=1000"), why_no_root="sudo:\nnot found"))
    assert (line(findings, "sudo").level, line(findings, "sudo").said) == (
        "fail",
        "sudo: not found",
    )
    assert line(findings, "app port").level == "warn"
    assert "not looked at" in line(findings, "app port").said


@pytest.mark.parametrize(
    ("port", "name", "holder", "level"),
    [
        (9875, "app port", "812 python3 web.service", "fail"),
        (9875, "app port", "812 python3 ", "fail"),
        (9878, "proxy port", "812 caddy caddy.service", "warn"),
        (9874, "candidate port", "812 nc ", "warn"),
        (9875, "app port", "812 granian serverbench-granian-wsgi.service", "ok"),
        (9875, "app port", "1 systemd serverbench-daphne-asgi.socket", "ok"),
    ],
)
def test_who_holds_a_port(port, name, holder, level):
    findings = examine(found(f"{SAID}port_{port}={holder}\n"))
    one = line(findings, name)
    assert one.level == level
    if level != "ok":
        assert one.said == f"{port} is held by {holder.split()[1]}, process 812"
        assert "systemctl status 812" in one.remedy
    others = {finding.level for finding in findings if finding.name != name}
    assert others == {"ok"}


def test_the_proxy_s_port_matters_to_a_plan_with_a_proxy():
    matrix = [{"server": "granian", "interface": "wsgi", "proxy": "caddy"}]
    plan = factory.plan(variants=factory.variants(matrix))
    findings = examine(found(f"{SAID}port_9878=812 apache2 apache2.service\n", plan=plan))
    assert line(findings, "proxy port").level == "fail"


def test_one_that_listens_beside_the_kit_does_not_hide_it():
    said = f"{SAID}port_9875=1 systemd \nport_9875=9 daphne serverbench-daphne-asgi.service\n"
    assert line(examine(found(said)), "app port").level == "ok"


@pytest.mark.parametrize(
    ("there", "level", "words"),
    [
        ("1002.4", "ok", "within 2 s"),
        ("1003.6", "warn", "3 s ahead of"),
        ("940.5", "warn", "60 s behind"),
        ("", "warn", "not read"),
    ],
)
def test_the_clock(there, level, words):
    said = SAID.replace("clock_there=1000.9", f"clock_there={there}")
    clock = line(examine(found(said)), "clock")
    assert clock.level == level
    assert words in clock.said


@pytest.mark.parametrize(
    ("after", "level", "words"),
    [
        # 200 ticks in all: 10 of them stolen are 5 %, and 11 are more than is let pass.
        ("cpu  110 0 110 970 0 0 0 10 0 0", "ok", "5 %"),
        ("cpu  110 0 110 958 0 0 0 22 0 0", "warn", "11 %"),
        ("cpu  1 2", "warn", "not read"),
        ("nonsense", "warn", "not read"),
        (f"cpu  {'9' * 400} 0 0 0 0 0 0 0", "warn", "not read"),
    ],
)
def test_steal(after, level, words):
    said = SAID.replace("cpu  110 0 110 980 0 0 0 0 0 0", after)
    steal = line(examine(found(said)), "steal")
    assert (steal.level, words in steal.said) == (level, True)


def test_disk_for_the_results_counts_too():
    findings = examine(found(SAID.replace("results_free_mb=9000", "results_free_mb=1")))
    assert line(findings, "disk").level == "fail"
    assert "bench_blocks" in line(findings, "disk").remedy


def test_a_run_under_way_one_core_and_no_wrk():
    facts = {"cores": "1", "running": "20260131-0200", "name": "Debian 13"}
    findings = examine(found(SAID.replace("wrk=/usr/bin/wrk", "wrk="), host_facts=facts))
    assert line(findings, "cores").level == "warn"
    assert line(findings, "run").level == "warn"
    assert "serverbench follow 20260131-0200" in line(findings, "run").remedy
    assert line(findings, "wrk").said == "not there yet; a run installs it"
    assert worst(findings) == "warn"


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Let the playbook, which is another process, have found these hosts."""
    (tmp_path / "inventory").mkdir()

    def stand_in(*hosts):
        def run_quietly(_playbook, _aim, variables):
            for host in hosts:
                (Path(variables["doctor_dir"]) / f"{host.host}.json").write_text(dumps(host))

        monkeypatch.setattr(command, "run_quietly", run_quietly)
        return ["doctor", "-i", str(tmp_path / "inventory")]

    return stand_in


def test_the_command_shows_each_host_and_fails_if_one_does(answers, capsys):
    arguments = answers(found(), found(host="web2", why_unreachable="no route"))
    assert cli.main(arguments) == 1
    out = capsys.readouterr().out
    assert "web1: fit for a run" in out
    assert "web2: not fit for a run: 1 fail" in out
    assert "no route" in out


def test_a_warning_alone_is_no_failure(answers, capsys):
    arguments = answers(found(SAID.replace("clock_there=1000.9", "clock_there=5")))
    assert cli.main(arguments) == 0
    assert "web1: fit for a run: 1 warning" in capsys.readouterr().out


def test_an_inventory_without_hosts_is_named(answers, capsys):
    assert cli.main(answers()) == 1
    assert "no host in its group bench" in capsys.readouterr().err


def test_a_host_writes_nothing_to_the_terminal(answers, capsys):
    cli.main(answers(found(why_unreachable="\x1b[2Jgone")))
    assert "\x1b" not in capsys.readouterr().out


def test_a_host_that_says_much_is_cut(answers, capsys):
    cli.main(answers(found(SAID.replace("user=ubuntu", f"user={'x' * 300_000}"))))
    assert len(capsys.readouterr().out) < 20_000


def test_what_is_decoded_is_what_the_playbook_writes():
    """Each key that the playbook writes is a field, and no other."""
    root = Path(__file__).resolve().parents[2]
    plays = yaml.safe_load((root / "playbooks/examine_hosts.yml").read_text())
    (write,) = [task for task in plays[1]["tasks"] if "ansible.builtin.copy" in task]
    fields = {field.name for field in dataclasses.fields(Found)}
    assert set(write["vars"]["__doctor_found"]) == fields
    demands = yaml.safe_load((root / "roles/preflight/vars/main.yml").read_text())
    named = {demand["name"] for demand in demands["__preflight_demands"]}
    assert named == {demand.name for demand in DEMANDS}
    assert json.loads(dumps(found()))["demands"][0]["name"] == "system"


def test_a_schedule_is_named():
    facts = {"name": "Debian 13", "cores": "2", "schedule": "day-and-night"}
    said = line(examine(found(host_facts=facts)), "run")
    assert (said.level, said.said) == ("ok", "none under way; day-and-night is scheduled")
