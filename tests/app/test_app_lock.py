"""The lock that a host installs from covers the app and each server, and pins everything."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "app" / "requirements.txt"


def read_requirements(path: Path) -> list[str]:
    """The entries of a requirements file, continuation lines joined, comments dropped."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=\[; ]", requirement, maxsplit=1)[0].lower()


def test_every_entry_is_pinned_with_hashes():
    entries = read_requirements(LOCK)
    assert len(entries) > 30
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:", entry), entry


def test_the_lock_holds_what_the_app_and_the_servers_ask_for():
    locked = [entry.split()[0] for entry in read_requirements(LOCK)]
    servers = read_requirements(ROOT / "roles" / "server" / "files" / "requirements.in")
    assert set(servers) <= set(locked)
    app = read_requirements(ROOT / "app" / "requirements.in")
    assert {name_of(entry) for entry in app} <= {name_of(entry) for entry in locked}


def test_the_lock_names_no_index():
    # A host takes packages from wherever it is told to, such as a mirror near it.
    assert "://" not in LOCK.read_text()
    assert "index" not in LOCK.read_text()
