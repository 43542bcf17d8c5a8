"""The runner as one file, and releases."""

import ast
import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from collect import pack

ALLOWED = {*sys.stdlib_module_names, "psutil"}


@pytest.fixture(scope="module")
def pyz(tmp_path_factory):
    path = tmp_path_factory.mktemp("pyz") / "serverbench-runner.pyz"
    assert pack.pack_runner(path)["changed"] is True
    return path


def start(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")


def test_the_zipapp_starts_alone(pyz):
    done = start("-I", str(pyz), "--help")
    assert done.returncode == 0, done.stderr
    assert "--run-dir" in done.stdout


def test_the_zipapp_names_what_is_missing(pyz):
    # -S: without site-packages, and so without psutil.
    done = start("-I", "-S", str(pyz), "--help")
    assert done.returncode == 1
    assert "apt-get install python3-psutil" in done.stderr


def test_the_zipapp_imports_nothing_that_does_not_ship(pyz):
    with zipfile.ZipFile(pyz) as archive:
        names = archive.namelist()
        for name in names:
            source = archive.read(name).decode()
            # Python 3.10 is the oldest that a supported host has.
            ast.parse(source, name, feature_version=(3, 10))
            for module in pack.imported_modules(source):
                path = module.replace(".", "/")
                ships = module == "collect" or {f"{path}.py", f"{path}/__init__.py"} & set(names)
                # `from collect.x import y` may name a function of x.
                is_name = f"{path.rpartition('/')[0]}.py" in names
                is_name = is_name or f"{path.rpartition('/')[0]}/__init__.py" in names
                assert ships or is_name or module.split(".")[0] in ALLOWED, f"{name}: {module}"
    assert {"collect/runner/loop.py", "collect/model.py", "collect/upgrade.py"} <= set(names)
    assert {name.split("/")[1].removesuffix(".py") for name in names if "/" in name} == {
        "__init__", "activation", "alarm", "attempts", "checks", "decide", "decode", "errors",
        "files", "lang", "model", "runner", "service", "upgrade",
    }  # fmt: skip


def test_imports_for_types_only_do_not_ship():
    source = """
from typing import TYPE_CHECKING
import os.path
from collect.checks import verdict
if TYPE_CHECKING:
    from collect.store import Run
def late():
    from collect import model
"""
    assert pack.imported_modules(source) == {
        "typing", "typing.TYPE_CHECKING", "os.path", "collect.checks", "collect.checks.verdict",
        "collect", "collect.model",
    }  # fmt: skip


def test_the_same_sources_give_the_same_bytes(pyz, tmp_path):
    again = tmp_path / "again.pyz"
    assert pack.pack_runner(again)["changed"] is True
    assert again.read_bytes() == pyz.read_bytes()
    stamp = again.stat().st_mtime_ns
    assert pack.pack_runner(again)["changed"] is False
    assert again.stat().st_mtime_ns == stamp


def write(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def release(source, output_dir):
    return pack.pack_release(pack.read_project(source), output_dir)


def names_in(result):
    with tarfile.open(result["path"]) as tar:
        return {member.name for member in tar if not member.isdir()}


NOISE = (
    "db.sqlite3",
    "app/__pycache__/a.cpython-311.pyc",
    "app/b.pyc",
    "node_modules/x/index.js",
    "env/pyvenv.cfg",
    "env/bin/python",
)


def test_a_release_without_git(tmp_path):
    source = tmp_path / "site"
    write(source, "manage.py", "app/a.py", "with space/ü.txt", *NOISE)
    (source / "manage.py").chmod(0o700)
    (source / "app" / "link.py").symlink_to("a.py")
    result = release(source, tmp_path / "out")
    assert names_in(result) == {"manage.py", "app/a.py", "app/link.py", "with space/ü.txt"}
    assert result["files"] == 4
    assert result["path"].endswith(f"/{result['id']}.tar.gz")
    with tarfile.open(result["path"]) as tar:
        modes = {member.name: member.mode for member in tar}
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar.getmembers()} == {(0, 0, 0, "")}
    assert modes["manage.py"] == 0o755
    assert modes["app/a.py"] == 0o644
    assert modes["app"] == 0o755


def test_a_release_is_the_same_whenever_it_is_made(tmp_path):
    write(tmp_path / "a", "manage.py", "x/y.py")
    write(tmp_path / "b", "x/y.py", "manage.py")
    os.utime(tmp_path / "b" / "manage.py", (1, 1))
    (tmp_path / "b" / "manage.py").chmod(0o600)
    first = release(tmp_path / "a", tmp_path / "one")
    second = release(tmp_path / "b", tmp_path / "two")
    assert first["id"] == second["id"]
    one, two = (tmp_path / d / f"{first['id']}.tar.gz" for d in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert release(tmp_path / "a", tmp_path / "one")["changed"] is False
    (tmp_path / "a" / "manage.py").chmod(0o755)
    assert release(tmp_path / "a", tmp_path / "one")["id"] != first["id"]


def git(root, *arguments):
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


def test_a_release_from_a_checkout_heeds_gitignore(tmp_path):
    git(tmp_path, "init", "-q")
    source = tmp_path / "site"
    write(source, "manage.py", ".env", "new.py", "gone.py", *NOISE)
    (tmp_path / ".gitignore").write_text(".env\n")
    git(tmp_path, "add", "-f", "site/manage.py", "site/gone.py", "site/db.sqlite3")
    (source / "gone.py").unlink()
    result = release(source, tmp_path / "out")
    assert names_in(result) == {"manage.py", "new.py"}


def test_a_checkout_that_git_refuses_is_not_packed_with_its_secrets(tmp_path):
    write(tmp_path, "manage.py", ".env", ".git/HEAD")
    with pytest.raises(pack.DataError, match="git cannot list it"):
        release(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "..", "app/../../secret"])
def test_a_link_that_leads_outside_is_refused(tmp_path, target):
    source = tmp_path / "site"
    write(source, "manage.py", "app/a.py")
    write(tmp_path, "secret")
    (source / "link").symlink_to(target)
    with pytest.raises(pack.DataError, match="link to"):
        release(source, tmp_path / "out")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(pack.DataError, match="holds no file"):
        release(tmp_path, tmp_path / "out")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(pack.DataError, match=r"^app_source: .*none: no such folder"):
        pack.read_project(tmp_path / "none")


def test_what_is_added_changes_the_release(tmp_path):
    write(tmp_path / "site", "manage.py")
    entries = pack.read_project(tmp_path / "site")
    added = pack.Entry(".serverbench/servers.txt", b"gunicorn==27\n", executable=False, link=None)
    result = pack.pack_release([*entries, added], tmp_path / "out")
    assert names_in(result) == {"manage.py", ".serverbench/servers.txt"}
    assert result["id"] != pack.pack_release(entries, tmp_path / "out")["id"]


def test_a_file_that_is_saved_meanwhile_is_packed_as_its_id_says(tmp_path, monkeypatch):
    write(tmp_path / "site", "manage.py")
    reads = []

    def read_bytes(path):
        reads.append(path)
        return f"as saved for the {len(reads)}. time".encode()

    monkeypatch.setattr(pack.Path, "read_bytes", read_bytes)
    result = release(tmp_path / "site", tmp_path / "out")
    monkeypatch.undo()
    with tarfile.open(result["path"]) as tar:
        assert tar.extractfile("manage.py").read() == b"as saved for the 1. time"
    (tmp_path / "site/manage.py").write_text("as saved for the 1. time")
    assert release(tmp_path / "site", tmp_path / "out")["id"] == result["id"]


def test_the_command_line(tmp_path, capsys):
    assert pack.main(["runner", "--output", str(tmp_path / "r.pyz")]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"path", "sha256", "changed"}
