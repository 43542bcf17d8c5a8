"""The environment of a release: real environments, real pip, a small index of our own."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from package_index import serve, wheel
from service_fakes import installation

from collect.service import environment as environments

WHEELS = dict(
    wheel(name, version, *requires)
    for name, version, *requires in [
        ("django", "6.0", "asgiref>=1"),
        ("asgiref", "1.0"),
        ("asgiref", "2.0"),
        ("gunicorn", "23.0"),
        ("gunicorn", "27.0", "asgiref>=1"),
        ("daphne", "4.0", "asgiref>=2"),
        ("extra", "1.0"),
    ]
)


@pytest.fixture
def index(monkeypatch):
    # This machine's own settings for pip name other places.
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with serve(WHEELS) as served:
        yield served


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


@pytest.fixture
def made(bare, monkeypatch):
    """An environment that is there at once: a copy, where making one is not the point."""

    def copy(environment):
        shutil.copytree(bare, environment._dir, symlinks=True, dirs_exist_ok=True)

    monkeypatch.setattr(environments.Environment, "_create", copy)


def lock(*pins):
    lines = []
    for pin in pins:
        content = WHEELS[f"{pin.replace('==', '-')}-py3-none-any.whl"]
        lines.append(f"{pin} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    return "".join(lines)


def release(folder, index_url, requirements, servers, **changes):
    """What is wanted of an unpacked release."""
    own = folder / "release/.serverbench"
    own.mkdir(parents=True, exist_ok=True)
    (folder / "release/src").mkdir(exist_ok=True)
    (folder / "release/src/a.py").write_text("A = 1\n")
    (folder / "release/src/template.py").write_text("{{ not python }}\n")
    (own / "requirements.txt").write_text(requirements)
    (own / "constraints.txt").write_text("")
    names = [line.split()[0] for line in servers.splitlines() if "==" in line]
    (own / "servers.in").write_text("\n".join(n for n in names if not n.startswith("asgiref")))
    (own / "servers.txt").write_text(servers)
    return replace(installation(folder), root="src", index_url=index_url, **changes)


def version(wanted, name):
    python = Path(wanted.release_dir) / "src/.venv/bin/python"
    code = f"import {name}; print({name}.VERSION)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()  # noqa: PLW1510 - an empty text fails


def test_a_shared_package_is_the_projects_and_a_server_is_the_kits(tmp_path, index):
    servers = lock("gunicorn==27.0", "asgiref==2.0")
    given = release(
        tmp_path, f"{index.url}/simple", "django\nasgiref==1.0\ngunicorn==23.0\n", servers
    )
    environment = environments.Environment(given)
    environment.make()
    environments.finish(given)
    assert version(given, "asgiref") == "1.0"
    assert version(given, "gunicorn") == "27.0"
    (warning,) = environment.warnings
    assert "The project asks for gunicorn 23.0; the kit measures 27.0" in warning
    assert (tmp_path / "release/.complete-1").exists()
    assert list((tmp_path / "release/src").glob("__pycache__/a.*.pyc"))

    # Another package: everything else comes from the host's own cache.
    assert "/files/asgiref-1.0-py3-none-any.whl" in index.asked
    index.asked.clear()
    given = release(tmp_path, f"{index.url}/simple", "django\nasgiref==1.0\nextra\n", servers)
    environments.Environment(given).make()
    fetched = {path for path in index.asked if path.startswith("/files/")}
    assert fetched == {"/files/extra-1.0-py3-none-any.whl"}


@pytest.mark.usefixtures("made")
def test_versions_that_do_not_go_together_are_named(tmp_path, index):
    given = release(
        tmp_path,
        f"{index.url}/simple",
        "django\nasgiref==1.0\n",
        lock("daphne==4.0", "asgiref==2.0"),
    )
    with pytest.raises(environments.InstallError, match="app_requirements: the versions in") as e:
        environments.Environment(given).make()
    assert "daphne 4.0 has requirement asgiref>=2, but you have asgiref 1.0" in str(e.value)
    assert not (tmp_path / "venv/.complete").exists()


@pytest.mark.usefixtures("made")
def test_a_server_that_is_not_what_the_lock_says_is_refused(tmp_path, index):
    forged = lock("gunicorn==27.0").replace("sha256:", "sha256:0")[:-1]
    given = release(tmp_path, f"{index.url}/simple", "django\n", forged[:-1] + "\n")
    with pytest.raises(environments.InstallError, match="HASHES"):
        environments.Environment(given).make()


def test_an_interpreter_that_is_not_there(tmp_path):
    given = release(tmp_path, "", "django\n", "", python="python3.99")
    with pytest.raises(environments.InstallError, match=r"app_python: there is no python3.99 on"):
        environments.Environment(given).make()


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("requirements", "message"),
    [
        ("extra\n", "app_requirements: pyproject.toml brings no Django"),
        ("django==9\n", "No matching distribution found for django==9"),
    ],
)
def test_what_fails_is_one_line_with_the_variable(tmp_path, index, requirements, message):
    given = release(tmp_path, f"{index.url}/simple", requirements, lock("gunicorn==27.0"))
    with pytest.raises(environments.InstallError) as caught:
        environments.Environment(given).make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not caught.value.temporary


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("KILL", r"pip cannot install pyproject.toml: it was killed \(SIGKILL\), .* out of memory"),
        ("TERM", "pip cannot install pyproject.toml: it was ended by signal 15"),
    ],
)
def test_a_pip_that_is_killed_is_told(tmp_path, monkeypatch, how, message):
    def create(environment):
        python = environment._dir / "bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\nkill -{how} $$\n")
        python.chmod(0o755)

    monkeypatch.setattr(environments.Environment, "_create", create)
    with pytest.raises(environments.InstallError, match=message) as caught:
        environments.Environment(release(tmp_path, "", "django\n", "")).make()
    assert not caught.value.temporary


def test_a_stamp_is_written_once_all_else_is_on_the_disk(tmp_path, monkeypatch):
    def create(environment):
        python = environment._dir / "bin/python"
        python.parent.mkdir(parents=True)
        # To pip it says what there is, to compileall nothing.
        python.write_text("""#!/bin/sh\necho '[{"name": "django", "version": "6.0"}]'\n""")
        python.chmod(0o755)

    def sync():
        seen.append([path.exists() for path in stamps])

    given = release(tmp_path, "", "django\n", "")
    seen, stamps = [], [tmp_path / "venv/.complete", Path(given.stamp)]
    monkeypatch.setattr(environments.Environment, "_create", create)
    monkeypatch.setattr(os, "sync", sync)
    environments.Environment(given).make()
    environments.finish(given)
    assert seen == [[False, False], [True, False]]
    assert all(path.exists() for path in stamps)


@pytest.mark.usefixtures("index", "made")
def test_an_index_that_does_not_answer_is_worth_another_try(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")
    given = release(tmp_path, "http://127.0.0.1:9/simple", "django\n", "")
    with pytest.raises(environments.InstallError, match="is pip_index_url right") as caught:
        environments.Environment(given).make()
    assert caught.value.temporary


def test_entries_of_a_lock_go_with_their_hashes():
    text = (
        "a==1 ; python_version < '3' \\\n  --hash=x\nA_B.c==2 \\\n    --hash=y\n    # via a\nd==1\n"
    )
    assert environments.without(text, {"a-b-c"}) == text.replace(
        "A_B.c==2 \\\n    --hash=y\n    # via a\n", ""
    )
    assert environments.first_names("# a\nGunicorn==27\n\nuvloop==1\n") == {"gunicorn", "uvloop"}
