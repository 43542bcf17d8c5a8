"""What the module that brings a release does besides installing it, step by step."""

import importlib
import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "roles/app/module_utils"))
environments = importlib.import_module("serverbench_app.environment")
# Ansible packs what the module imports under names of its own.
sys.modules["ansible.module_utils.serverbench_app"] = sys.modules["serverbench_app"]
sys.modules["ansible.module_utils.serverbench_app.environment"] = environments
_spec = importlib.util.spec_from_file_location(
    "app_release", ROOT / "roles/app/library/app_release.py"
)
app_release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(app_release)


class FailedError(Exception):
    pass


def fail_json(**said):
    raise FailedError(said)


@pytest.fixture
def module(tmp_path):
    """The module's parameters, with a release that is installed already."""
    for folder in ("release", "settings", "state"):
        (tmp_path / folder).mkdir()
    ran = []

    def run_command(command, **_options):
        ran.append(command)
        (tmp_path / "state/.setup-1").touch()
        return one.answer

    one = SimpleNamespace(
        params={
            "archive": "",
            "release_dir": str(tmp_path / "release"),
            "stamp": str(tmp_path / "release/.complete-1"),
            "environment_file": str(tmp_path / "settings/app.env"),
            "environment": "A=1\n",
            "generated_file": str(tmp_path / "settings/secret.env"),
            "generated": ["KEY"],
            "setup": ["prepare"],
            "setup_stamp": str(tmp_path / "state/.setup-1"),
        },
        check_mode=False,
        ran=ran,
        answer=(0, "", ""),
        run_command=run_command,
        fail_json=fail_json,
    )
    return one


def steps(module):
    return app_release.Release(module).steps()


def test_a_second_time_there_is_nothing_to_do(module, tmp_path):
    settings = tmp_path / "settings"
    module.check_mode = True
    foreseen = steps(module)
    assert list(settings.iterdir()) == module.ran == []
    module.check_mode = False
    assert steps(module) == foreseen
    assert foreseen == [f"{settings}/app.env changes", "KEY is made", "app_setup_commands run"]
    assert {path.stat().st_mode & 0o777 for path in settings.iterdir()} == {0o600}
    assert steps(module) == []
    assert module.ran == [["prepare"]]


def test_a_secret_keeps_its_value_when_another_one_is_asked_for(module, tmp_path):
    steps(module)
    first = (tmp_path / "settings/secret.env").read_text()
    # A name that begins like another one, or has a meaning to regular expressions, is none of it.
    module.params["generated"] = ["KEY", "KE", "K.Y"]
    assert steps(module) == ["KE is made", "K.Y is made"]
    both = (tmp_path / "settings/secret.env").read_text()
    assert both.startswith(first)
    assert [line.partition("=")[0] for line in both.splitlines()] == ["KEY", "KE", "K.Y"]


@pytest.mark.parametrize("name", ["app.env", "secret.env"])
def test_a_file_that_somebody_opened_up_is_closed(module, tmp_path, name):
    steps(module)
    path = tmp_path / "settings" / name
    before = path.read_text()
    path.chmod(0o644)
    assert steps(module) == [f"{path} changes"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == before


def test_a_setup_command_that_fails_is_named_with_what_it_said(module):
    last = "app_setup_commands[0] ended with status 1: python manage.py migrate"
    module.answer = (1, "", f"Traceback\nno such table\n{last}\n")
    with pytest.raises(FailedError) as caught:
        steps(module)
    (said,) = caught.value.args
    assert said["msg"] == last
    # Without the message itself: what stands in it already is not shown a second time.
    assert said["stderr"] == "Traceback\nno such table"
    assert not said["temporary"]


def test_a_release_is_unpacked_over_one_that_was_cut_off(tmp_path):
    archive = tmp_path / "incoming.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        info = tarfile.TarInfo("manage.py")
        info.size, info.mode = 2, 0o755
        packed.addfile(info, io.BytesIO(b"ok"))
    (tmp_path / "release").mkdir()
    (tmp_path / "release/manage.py").write_text("half of")
    app_release._unpack(str(archive), str(tmp_path / "release"))
    assert (tmp_path / "release/manage.py").read_text() == "ok"
    assert not archive.exists()
    archive.write_bytes(b"cut off")
    with pytest.raises(environments.InstallError, match=f"{tmp_path}/release: tar cannot unpack"):
        app_release._unpack(str(archive), str(tmp_path / "release"))
