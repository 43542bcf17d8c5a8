"""Small parts that playbooks lean on, run for real: the unit check and the plan filter."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GOOD = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n"
SOCKET = "[Socket]\nListenStream=127.0.0.1:9875\n"


def verify_unit(tmp_path, text, name):
    unit = tmp_path / "source"
    unit.write_text(text)
    return subprocess.run(
        ["/bin/sh", ROOT / "roles/base/files/verify-unit", unit, name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GOOD, "serverbench-a.service"),
        (SOCKET, "serverbench-a.socket"),
        (GOOD.replace("true", "echo %i"), "serverbench-runner@.service"),
    ],
)
def test_a_right_unit_passes(tmp_path, text, name):
    done = verify_unit(tmp_path, text, name)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GOOD + "NoNewPriviledges=yes\n", "serverbench-a.service"),
        (GOOD.replace("/bin/true", "/no/such/program"), "serverbench-a.service"),
        (SOCKET + "Backlock=5\n", "serverbench-a.socket"),
        (GOOD + "Usr=root\n", "serverbench-runner@.service"),
        ("", "serverbench-a.service"),
    ],
)
def test_a_wrong_unit_is_refused_with_a_reason(tmp_path, text, name):
    done = verify_unit(tmp_path, text, name)
    assert done.returncode != 0
    assert done.stderr


def test_a_check_that_cannot_run_refuses(tmp_path):
    source = tmp_path / "source"
    source.write_text(GOOD)
    done = subprocess.run(
        ["/bin/sh", ROOT / "roles/base/files/verify-unit", source, "serverbench-a.service"],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "none")},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0


def ask(tmp_path, status, *, brought=False, unit_is="", program=False, ended=None):
    """What preflight's own script says of nginx; what it asks of the host is answered here."""
    (script,) = [
        task["ansible.builtin.raw"]
        for task in yaml.safe_load((ROOT / "roles/preflight/tasks/ask.yml").read_text())
        if "ansible.builtin.raw" in task
    ]
    (tmp_path / "bin").mkdir()
    for name, text in {
        "dpkg-query": f"test $3 = nginx || exit 1; printf '%s' '{status}'",
        "systemctl": f'test "$*" = "is-{unit_is} nginx"',
        "nginx": "",
    }.items():
        if name != "nginx" or program:
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "serverbench/before").mkdir(parents=True)
    notes = tmp_path / "serverbench/before/brought"
    notes.write_text("nginx\n" if brought else "nginx-extras\n")
    if ended is not None:
        converged = tmp_path / "serverbench/converged"
        converged.touch()
        os.utime(converged, (notes.stat().st_atime, notes.stat().st_mtime + ended))
    done = subprocess.run(
        ["/bin/sh"],
        input=script.replace("/var/lib/serverbench", f"{tmp_path}/serverbench"),
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    kinds = ("proxies", "awake_proxies", "own_proxies")
    return [kind for kind in kinds if "nginx" in said[kind].split()]


@pytest.mark.parametrize(
    ("host", "is_in"),
    [
        ({"status": "ii "}, ["proxies"]),
        ({"status": "hi ", "brought": True}, ["proxies"]),
        # The kit brought the package, and was cut off before it switched the service off.
        ({"status": "ii ", "brought": True, "unit_is": "enabled"}, ["proxies", "awake_proxies"]),
        ({"status": "ii ", "brought": True, "unit_is": "active"}, ["proxies", "awake_proxies"]),
        ({"status": "ii ", "unit_is": "enabled"}, ["proxies"]),
        # A deployment came to its end before that, or after it: then somebody switched it on since.
        (
            {"status": "ii ", "brought": True, "unit_is": "enabled", "ended": -60},
            ["proxies", "awake_proxies"],
        ),
        ({"status": "ii ", "brought": True, "unit_is": "enabled", "ended": 60}, ["proxies"]),
        # Cut off while it was installed.
        ({"status": "iF ", "brought": True, "program": True}, []),
        ({"status": "rc ", "program": True}, ["own_proxies"]),
        ({"status": "", "program": True}, ["own_proxies"]),
        ({"status": ""}, []),
    ],
)
def test_preflight_tells_whose_a_proxy_is(tmp_path, host, is_in):
    assert ask(tmp_path, **host) == is_in


def test_plans_of_one_run_are_compared_but_for_when_they_were_made():
    path = ROOT / "playbooks/plugins/filter/plan.py"
    spec = importlib.util.spec_from_file_location("plan_filter", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    begun = {"created_at": "then", "blocks": 3, "variants": [{"id": "a", "workers": 2}]}
    differences = module.serverbench_plan_differences
    assert differences(begun, {**begun, "created_at": "now"}) == []
    other = {**begun, "variants": [{"id": "a", "workers": 4}], "seed": 1}
    assert differences(begun, other) == ["seed", "variants"]
