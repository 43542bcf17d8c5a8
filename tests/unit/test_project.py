"""What is wrong with a project's variables is told in one line, before a host is touched."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from collect.errors import DataError
from collect.inputs import check_environment
from collect.project import check_project, pack_project

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "roles/server/files"
FOREIGN = {
    "app_source": str(ROOT / "tests/foreign_project"),
    "app_root": "src",
    "app_requirements": "pyproject.toml",
    "app_settings_module": "noticeboard.settings.production",
    "app_wsgi": "noticeboard.web:application",
    "app_asgi": "noticeboard.live:application",
    "app_setup_commands": ["python manage.py migrate"],
    "app_something_else": "ignored",
}
BOTH = ("wsgi", "asgi")


def pack(tmp_path, interfaces=BOTH, **changes):
    project = check_project({**FOREIGN, **changes}, interfaces)
    return pack_project(project, interfaces, tmp_path / "build", SERVERS)


def content(result, name):
    with tarfile.open(result["path"]) as tar:
        return tar.extractfile(name).read().decode()


def test_a_foreign_project_is_packed_with_what_pip_needs(tmp_path):
    result = pack(tmp_path)
    assert result["commit"] is None
    assert content(result, ".serverbench/requirements.txt") == "Django>=5.2,<7\n"
    assert "gunicorn==" in content(result, ".serverbench/servers.txt")
    assert json.loads(content(result, ".serverbench/project.json")) == {
        "root": "src",
        "python": "python3",
    }
    assert "def about" in content(result, "src/bulletin/views.py")
    again = pack(tmp_path)
    assert (again["id"], again["packages"]) == (result["id"], result["packages"])
    assert again["changed"] is False


def test_other_packages_make_another_environment_and_other_code_does_not(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "conf.py").write_text("")
    (folder / "requirements.txt").write_text("Django==5.2\n")
    changes = {
        "app_source": str(folder),
        "app_root": "",
        "app_requirements": "requirements.txt",
        "app_settings_module": "conf",
        "app_wsgi": "conf:application",
        "app_setup_commands": [],
    }
    first = pack(tmp_path, ["wsgi"], **changes)
    (folder / "conf.py").write_text("DEBUG = False\n")
    second = pack(tmp_path, ["wsgi"], **changes)
    assert (first["id"] == second["id"], first["packages"] == second["packages"]) == (False, True)
    (folder / "requirements.txt").write_text("Django==5.2.19\n")
    third = pack(tmp_path, ["wsgi"], **changes)
    assert third["packages"] != second["packages"]
    # Built from the project's own files, an environment belongs to one release.
    (folder / "requirements.txt").write_text("Django==5.2.19\n.\n")
    fourth = pack(tmp_path, ["wsgi"], **changes)
    (folder / "conf.py").write_text("DEBUG = True\n")
    assert pack(tmp_path, ["wsgi"], **changes)["packages"] != fourth["packages"]


def test_whatever_decides_the_environment_makes_another_release(tmp_path):
    """Or what serves would get its packages exchanged, with no candidate tried."""
    first = pack(tmp_path)
    assert pack(tmp_path, app_python="python3.12")["id"] != first["id"]
    project = check_project(FOREIGN, BOTH)
    for name in ("requirements.in", "requirements.txt"):
        servers = shutil.copytree(SERVERS, tmp_path / name)
        (servers / name).write_text((servers / name).read_text() + "# other\n")
        other = pack_project(project, BOTH, tmp_path / "build", servers)
        assert other["packages"] != first["packages"]
        assert other["id"] != first["id"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"app_source": ""}, "app_source: got nothing; accepted: a folder or a git URL"),
        ({"app_source": "../site"}, "app_source: got '../site'; accepted: an absolute path"),
        ({"app_source": "/no/such"}, "app_source: /no/such: no such folder"),
        ({"app_source": "/no/such", "app_ref": "main"}, "app_source: /no/such: no such folder"),
        ({"app_ref": 1.1}, "app_ref: "),
        ({"app_root": "../x"}, "app_root: got '../x'; accepted: a folder inside app_source"),
        ({"app_root": "source"}, "app_root: got 'source', which is no folder in "),
        ({"app_requirements": "requirements.txt"}, "app_requirements: got 'requirements.txt'"),
        ({"app_requirements": None}, "app_requirements: "),
        ({"app_python": "python3 -S"}, "app_python: got 'python3 -S'; accepted: python3.12"),
        ({"app_settings_module": "noticeboard/settings"}, "app_settings_module: got 'noticeboard/"),
        (
            {"app_settings_module": "noticeboard.prod"},
            "app_settings_module: got the module 'noticeboard.prod', and the project has no src/",
        ),
        ({"app_wsgi": "noticeboard.web"}, "app_wsgi: got 'noticeboard.web'; accepted: module:name"),
        ({"app_wsgi": "noticebored.web:application"}, "app_wsgi: got the module 'noticebored.web'"),
        ({"app_asgi": ""}, "app_asgi: got ''; accepted: module:name"),
        ({"app_setup_commands": "migrate"}, "app_setup_commands: "),
        ({"app_setup_commands": ["true", " "]}, "app_setup_commands[1]: got nothing"),
        (
            {"app_setup_commands": ["python3 src/manage.py migrate"]},
            "app_setup_commands[0]: got 'python3 src/manage.py migrate', and the project has no ",
        ),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(tmp_path, changes, message):
    with pytest.raises(DataError) as caught:
        pack(tmp_path, **changes)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_interface_that_is_not_served_need_not_be_there(tmp_path):
    assert pack(tmp_path, ["wsgi"], app_asgi="no.such:thing")["id"]
    assert pack(tmp_path, ["wsgi"], app_asgi="")["id"]


def test_a_project_without_manage_py(tmp_path):
    assert pack(tmp_path, app_setup_commands=["django-admin migrate"])["id"]


@pytest.mark.parametrize(
    "environment", [{"A": "two\rlines"}, {"A B": "x"}, {"A=": "x"}, {1: "x"}, {"A": ["canary"]}, []]
)
def test_an_environment_that_no_file_can_hold(environment):
    with pytest.raises(DataError, match=r"^app_environment") as caught:
        check_environment(environment)
    assert "canary" not in str(caught.value)
    assert "lines" not in str(caught.value)


def test_an_environment():
    check_environment({"A": "x y'\"$%", "B": 5, "C": True, "_D": ""})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"app_root": "x"}, "app_root: got 'x'"),
        ({"app_source": "/no where"}, "app_source: /no where: no such folder"),
    ],
)
def test_the_action_of_the_playbooks(tmp_path, changes, said):
    arguments = {
        "variables": {**FOREIGN, "interfaces": ["wsgi"], **changes},
        "build_dir": str(tmp_path),
        "servers_dir": str(SERVERS),
    }
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible"), "localhost", "--inventory=localhost,",
            "--module-name=pack_project", f"--args={json.dumps(arguments)}",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_LOAD_CALLBACK_PLUGINS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode == 0) == (not said), done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    if not said:
        assert '"packages"' in done.stdout or "packages:" in done.stdout
        assert [*tmp_path.glob("*.tar.gz")]
