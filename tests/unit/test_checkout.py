"""Commits of real git repositories, fetched the ways a user names them."""

import os
import subprocess

import pytest

from collect.checkout import fetch, is_git_url, without_password
from collect.errors import DataError


def git(folder, *arguments):
    environment = {
        **os.environ,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Three commits on main, the second tagged, and a branch."""
    folder = tmp_path_factory.mktemp("origin") / "a site"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in (1, 2, 3):
        (folder / "number.txt").write_text(str(number))
        git(folder, "add", ".")
        git(folder, "commit", "-qm", f"commit {number}")
        if number == 2:
            git(folder, "tag", "-am", "second", "v2")
            git(folder, "branch", "feature/x")
    return folder


def number(checkout):
    return (checkout.folder / "number.txt").read_text()


@pytest.mark.parametrize(
    ("ref", "expected"), [("", "3"), ("main", "3"), ("v2", "2"), ("feature/x", "2")]
)
def test_a_branch_a_tag_or_the_default_branch(repository, tmp_path, ref, expected):
    checkout = fetch(repository.as_uri(), ref, tmp_path / "here")
    assert number(checkout) == expected
    assert git(checkout.folder, "rev-list", "--count", "HEAD") == "1"  # one commit came
    assert checkout.commit == git(checkout.folder, "rev-parse", "HEAD")


def test_a_path_serves_as_well_as_a_url(repository, tmp_path):
    assert number(fetch(str(repository), "v2", tmp_path / "here")) == "2"


@pytest.mark.parametrize("length", [7, 40])
def test_a_commit_in_short_or_whole(repository, tmp_path, length):
    first = git(repository, "rev-list", "--max-parents=0", "HEAD")
    # After a shallow fetch of something else, as on a second deploy.
    fetch(repository.as_uri(), "main", tmp_path / "here")
    assert number(fetch(repository.as_uri(), first[:length], tmp_path / "here")) == "1"


def test_a_whole_commit_that_is_here_needs_no_network(repository, tmp_path):
    commit = git(repository, "rev-parse", "main")
    fetch(repository.as_uri(), "main", tmp_path / "here")
    assert number(fetch("https://127.0.0.1:9/gone.git", commit, tmp_path / "here")) == "3"


def test_a_branch_that_moved_moves_and_what_lay_about_is_gone(repository, tmp_path):
    url = repository.as_uri()
    folder = fetch(url, "v2", tmp_path / "here").folder
    (folder / "number.txt").write_text("changed")
    (folder / "left.pyc").write_text("over")
    assert number(fetch(url, "main", folder)) == "3"
    assert not (folder / "left.pyc").exists()


def test_a_ref_that_is_not_there_names_the_variable(repository, tmp_path):
    url = repository.as_uri()
    with pytest.raises(
        DataError, match=r"^app_ref: got 'nope', which file://.* does not have"
    ) as e:
        fetch(url, "nope", tmp_path / "here")
    assert "couldn't find remote ref nope" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("ref", ["--upload-pack=touch x", "-x", "a b", "a:b", "+main", "refs/*"])
def test_what_is_no_ref_is_not_given_to_git(repository, tmp_path, ref):
    with pytest.raises(DataError, match=r"^app_ref: got .*accepted: a branch"):
        fetch(repository.as_uri(), ref, tmp_path / "here")


def test_a_repository_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(
        DataError, match=r"^app_source: cannot fetch main from file:///no/such"
    ) as e:
        fetch("file:///no/such/repository", "main", tmp_path / "here")
    assert "git said: fatal:" in str(e.value)
    assert "\n" not in str(e.value)


def test_a_password_in_the_url_is_in_no_message_and_no_file(tmp_path):
    url = "http://someone:canary-secret@127.0.0.1:9/site.git"
    with pytest.raises(DataError, match="app_source: cannot fetch") as caught:
        fetch(url, "main", tmp_path / "here")
    assert "canary-secret" not in str(caught.value)
    assert "http://***@127.0.0.1:9/site.git" in str(caught.value)
    for path in (tmp_path / "here").rglob("*"):
        assert not path.is_file() or b"canary-secret" not in path.read_bytes()


def test_a_repository_with_a_submodule(repository, tmp_path, monkeypatch):
    # Git refuses submodules from files of its own accord, since 2022.
    for name, value in (("COUNT", "1"), ("KEY_0", "protocol.file.allow"), ("VALUE_0", "always")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "submodule", "-q", "add", repository.as_uri(), "inner")
    git(outer, "commit", "-qm", "outer")
    checkout = fetch(outer.as_uri(), "main", tmp_path / "here")
    assert (checkout.folder / "inner/number.txt").read_text() == "3"


def test_git_is_not_led_astray_by_a_hook(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/no/such/place")
    assert number(fetch(repository.as_uri(), "v2", tmp_path / "here")) == "2"


@pytest.mark.parametrize(
    ("source", "is_url"),
    [
        ("https://example.com/a.git", True),
        ("ssh://git@example.com/a", True),
        ("file:///srv/a.git", True),
        ("git@example.com:group/a.git", True),
        ("/srv/a.git", False),
        ("~/a", False),
        ("../a", False),
        ("/srv/with@at:colon", False),
    ],
)
def test_what_is_a_url(source, is_url):
    assert is_git_url(source) is is_url


def test_the_user_of_scp_is_no_secret():
    assert without_password("git@example.com:a.git") == "git@example.com:a.git"
    assert without_password("https://x:y@example.com/a") == "https://***@example.com/a"
