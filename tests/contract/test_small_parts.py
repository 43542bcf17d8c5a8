"""Small parts that playbooks lean on, run for real: the unit check and the plan filter."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

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
