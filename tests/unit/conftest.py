"""Snapshots: files under tests/data/ that hold what a renderer must give.

After a wanted change: `pytest tests/unit --update-snapshots`, then read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture
def data():
    return DATA


@pytest.fixture
def check_snapshot(request):
    def check(name: str, content: str) -> None:
        path = DATA / name
        if request.config.getoption("update_snapshots", default=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        assert path.exists(), f"{path} is missing; run pytest with --update-snapshots"
        assert content == path.read_text(encoding="utf-8")

    return check
