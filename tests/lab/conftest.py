"""What every lab test starts from: the lab host, up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from labkit import LAB_INVENTORY, run_playbook

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def lab() -> Path:
    """Have the lab host up, once; the value is its inventory."""
    run_playbook("lab.yml")
    return LAB_INVENTORY
