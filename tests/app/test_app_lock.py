"""The locks that a host installs from cover the app and each server, and pin everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app/requirements.txt"
SERVERS = ROOT / "roles/server/files/requirements.txt"


def read_requirements(path: Path) -> list[str]:
    """The entries of a requirements file, continuation lines joined, comments dropped."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    entries = (line.strip() for line in lines)
    return [entry for entry in entries if entry and not entry.startswith("#")]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=\[; ]", requirement, maxsplit=1)[0].lower()


@pytest.mark.parametrize(("lock", "least"), [(APP, 8), (SERVERS, 30)])
def test_every_entry_is_pinned_with_hashes(lock, least):
    entries = read_requirements(lock)
    assert len(entries) > least
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:", entry), entry


def test_the_locks_hold_what_the_app_and_the_servers_ask_for():
    locked = [entry.split()[0] for entry in read_requirements(SERVERS)]
    assert set(read_requirements(SERVERS.with_suffix(".in"))) <= set(locked)
    app = read_requirements(APP.with_suffix(".in"))
    assert {name_of(entry) for entry in app} <= {name_of(entry) for entry in read_requirements(APP)}


def test_the_two_locks_agree_on_what_both_need():
    # The app's win on a host, and then the servers' are not the ones that were tried.
    app, servers = (
        {tuple(entry.partition(" --hash")[0].split("==", 1)) for entry in read_requirements(lock)}
        for lock in (APP, SERVERS)
    )
    shared = {name for name, _ in app} & {name for name, _ in servers}
    assert shared
    assert {e for e in app if e[0] in shared} == {e for e in servers if e[0] in shared}


@pytest.mark.parametrize("lock", [APP, SERVERS])
def test_the_lock_names_no_index(lock):
    # A host takes packages from wherever it is told to, such as a mirror near it.
    assert "://" not in lock.read_text()
    assert "index" not in lock.read_text()
