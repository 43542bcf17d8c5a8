"""A project's packages, from whatever file names them."""

import subprocess
import sys
from pathlib import Path

import pytest

from collect.errors import DataError
from collect.requirements import canonical_name, read_requirements

HASH = "sha256:" + "0" * 64
PYPROJECT = """
[project]
name = "site"
version = "1"
dependencies = ["Django>=5.2", "uWSGI==2.0.31"]
[project.optional-dependencies]
live = ["psycopg[binary]>=3"]
"""


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_toml", ".toml").replace("_txt", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_requirements_file_with_what_it_includes(tmp_path):
    write(
        tmp_path,
        requirements__live_txt="# ours\n-r base.txt\n-c ../pins.txt\npsycopg  # the driver\n",
        requirements__base_txt=f"Django==5.2 \\\n  --hash={HASH} \\\n  --hash={HASH}\n\nredis\n",
        pins_txt="redis==8.1.0\n",
    )
    found = read_requirements(tmp_path, "requirements/live.txt", "")
    assert found.text.splitlines() == [
        f"Django==5.2 --hash={HASH} --hash={HASH}", "redis", "psycopg",
    ]  # fmt: skip
    assert found.constraints == "redis==8.1.0\n"
    assert not found.has_local


def test_the_kits_uwsgi_stands_in_for_the_projects(tmp_path):
    write(tmp_path, requirements_txt="uWSGI==2.0.28\ngunicorn==23.0.0\nuwsgi-tools\n")
    found = read_requirements(tmp_path, "requirements.txt", "")
    assert found.text == "gunicorn==23.0.0\nuwsgi-tools\n"


@pytest.mark.parametrize(
    ("line", "is_local"),
    [
        (".", True),
        ("./vendor/a.whl", True),
        ("../a", True),
        (".[live]", True),
        ("-e .", True),
        ("--editable=src/a", True),
        ("a @ file:///srv/a.whl", True),
        ("-e git+https://example.com/a.git#egg=a", False),
        ("a @ https://example.com/a.whl", False),
        ("a.b==1", False),
        ("--find-links vendor", False),
    ],
)
def test_a_folder_of_the_project_is_known(tmp_path, line, is_local):
    write(tmp_path, requirements_txt=f"{line}\n")
    found = read_requirements(tmp_path, "requirements.txt", "")
    assert (found.text, found.has_local) == (f"{line}\n", is_local)


def test_pyproject_with_extras_and_pins(tmp_path):
    write(tmp_path, pyproject_toml=PYPROJECT, pins_txt=f"Django==5.2.19 --hash={HASH}\n")
    plain = read_requirements(tmp_path, "pyproject.toml", "")
    assert (plain.text, plain.constraints) == ("Django>=5.2\n", "")
    live = read_requirements(tmp_path, "pyproject.toml[live]", "pins.txt")
    assert live.text == "Django>=5.2\npsycopg[binary]>=3\n"
    assert live.constraints == f"Django==5.2.19 --hash={HASH}\n"


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("missing.txt", {"requirements__base_txt": ""}, "; it has requirements/base.txt"),
        ("../other.txt", {}, r"got '\.\./other\.txt'; accepted: a requirements file"),
        ("/etc/hostname", {}, "accepted: a requirements file"),
        ("r.txt", {"r_txt": "-r gone.txt\n"}, "includes 'gone.txt', which is no file"),
        ("r.txt", {"r_txt": "-r r.txt\n"}, "includes itself"),
        ("r.txt[live]", {"r_txt": "a\n"}, "extras go with pyproject.toml or uv.lock only"),
        ("pyproject.toml", {"pyproject_toml": "[tool.poetry.group]\na=1"}, "poetry export"),
        ("pyproject.toml", {"pyproject_toml": "project.dynamic=['dependencies']"}, "another"),
        ("pyproject.toml", {"pyproject_toml": "[project"}, "is not TOML"),
        ("pyproject.toml", {"pyproject_toml": "a=" + "[" * 5000}, "is not TOML"),
        ("pyproject.toml", {"pyproject_toml": "[project]\ndependencies=5"}, "a list of texts"),
        ("a\0b.txt", {}, r"got 'a\\x00b\.txt'; accepted"),
        ("pyproject.toml[dev]", {"pyproject_toml": PYPROJECT}, "are live"),
        ("pylock.toml", {"pylock_toml": "lock-version = '2.0'"}, "accepted: version 1.x"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line_that_names_the_variable(tmp_path, name, files, message):
    write(tmp_path, **files)
    with pytest.raises(DataError, match=message) as caught:
        read_requirements(tmp_path, name, "")
    assert str(caught.value).startswith("app_requirements: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["poetry.lock", "Pipfile.lock", "setup.py", "pdm.lock"])
def test_other_locks_say_how_to_make_a_requirements_file(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=r"app_requirements: .*(writes one from|requirements.txt)"):
        read_requirements(tmp_path, name, "")


def test_a_file_of_another_encoding(tmp_path):
    # What PowerShell's `pip freeze > requirements.txt` writes.
    (tmp_path / "requirements.txt").write_bytes("Django==5.2\n".encode("utf-16"))
    with pytest.raises(DataError, match="is not UTF-8; save it as UTF-8"):
        read_requirements(tmp_path, "requirements.txt", "")


def test_constraints_that_are_not_there(tmp_path):
    write(tmp_path, requirements_txt="Django\n")
    with pytest.raises(DataError, match=r"^app_constraints: got 'pins.txt', which is no file"):
        read_requirements(tmp_path, "requirements.txt", "pins.txt")


def test_a_pylock(tmp_path):
    write(
        tmp_path,
        pylock_toml=f"""
lock-version = "1.0"
created-by = "somebody"
[[packages]]
name = "django"
version = "5.2.19"
sdist = {{name = "d.tar.gz", hashes = {{sha256 = "{"1" * 64}"}}}}
wheels = [{{name = "d.whl", hashes = {{sha256 = "{"2" * 64}"}}}}]
[[packages]]
name = "tzdata"
version = "2026.1"
marker = "sys_platform == 'win32'"
wheels = [{{name = "t.whl", hashes = {{sha256 = "{"3" * 64}"}}}}]
""",
    )
    assert read_requirements(tmp_path, "pylock.toml", "").text.splitlines() == [
        f"django==5.2.19 --hash=sha256:{'2' * 64} --hash=sha256:{'1' * 64}",
        f"tzdata==2026.1 ; sys_platform == 'win32' --hash=sha256:{'3' * 64}",
    ]


def test_a_pylock_with_a_folder_in_it(tmp_path):
    lock = 'lock-version="1.0"\n[[packages]]\nname="a"\ndirectory={path="."}\n'
    write(tmp_path, pylock_toml=lock)
    with pytest.raises(DataError, match="a comes from a folder, a repository or an address"):
        read_requirements(tmp_path, "pylock.toml", "")


def test_a_lock_of_uv(tmp_path):
    """A lock that uv itself wrote, of a project without packages from an index."""
    write(tmp_path, pyproject_toml='[project]\nname="site"\nversion="1"\ndependencies=[]\n')
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "lock", "--quiet", "--offline"], cwd=tmp_path, check=True)
    assert read_requirements(tmp_path, "uv.lock", "").text == ""
    write(tmp_path, pyproject_toml='[project]\nname="site"\nversion="1"\ndependencies=["a"]\n')
    (tmp_path / "uv.lock").write_text("not a lock")
    with pytest.raises(DataError, match=r"^app_requirements: .*uv\.lock: uv said: "):
        read_requirements(tmp_path, "uv.lock", "")


def test_names_are_compared_in_one_form():
    assert canonical_name("Zope.Interface_X >= 3") == "zope-interface-x"
    assert canonical_name("--index-url x") == ""
