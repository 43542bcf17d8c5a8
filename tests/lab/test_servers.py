"""All pairs on a real host: each answers, hardened, and is restarted without losing a request.

In a profile of its own, so that no unit of another test is rewritten: parity on systemd's sockets.
"""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from labkit import REPO, run_playbook, ssh

HOST = "labb13"
PATHS = [
    "/api/django-starter/monitoring/health",
    "/api/demo/movie/movie",
    "/api/django-starter/monitoring/health/async",
    "/api/django-starter/monitoring/health/sync",
]
KNOWN = yaml.safe_load((REPO / "playbooks/group_vars/all/profiles.yml").read_text())
PAIRS = KNOWN["bench_matrix_all_pairs"]
KEPT = {**KNOWN["server_profiles"]["parity"], "matrix": PAIRS}
KEPT["knobs"] = KEPT["knobs"] | {"socket": True}


def name(pair):
    return "-".join(filter(None, (pair["server"], pair["interface"], pair.get("label"))))


@pytest.fixture(scope="module")
def kept(deployed):
    run_playbook(
        "deploy.yml",
        deployed,
        limit=HOST,
        bench_profiles=["kept"],
        bench_matrix=PAIRS,
        server_profiles={"kept": KEPT},
    )


@pytest.mark.lab
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("pair", PAIRS, ids=name)
def test_each_pair_answers_hardened_and_is_restarted_without_loss(pair):
    # Granian cannot take a socket from anybody: requests are refused until it is back.
    restart = "no" if pair["server"] == "granian" else "yes"
    script = (Path(__file__).parent / "restart_under_load.py").read_text()
    unit = f"serverbench-{name(pair)}-kept"
    report = json.loads(
        ssh(HOST, shlex.join(["python3", "-", unit, "9875", restart, *PATHS]), stdin=script)
    )
    assert set(report["statuses"].values()) == {200}
    assert report["exposure"] <= 2.0
    if restart == "yes":
        assert set(report["outcomes"]) == {"200"}, report


@pytest.mark.lab
@pytest.mark.usefixtures("kept")
def test_the_app_can_neither_change_its_own_files_nor_read_its_secret():
    find = "cd / && runuser -u serverbench -- find /opt/serverbench/ -not -type l"
    assert int(ssh(HOST, f"{find} | wc -l")) > 1000
    assert ssh(HOST, f"{find} -writable") == ""
    ssh(HOST, "runuser -u serverbench -- test ! -r /etc/serverbench/secret.env")
