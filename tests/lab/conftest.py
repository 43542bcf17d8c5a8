"""What lab tests start from: hosts that are bare, or deployed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from labkit import BENCH_HOSTS, BENCH_NETWORK, REPO, run_playbook

# Units as the roles render them, where a whole playbook would take too long.
sys.path.append(str(REPO / "tests/rendered"))

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def inventory() -> Iterator[Path]:
    """Two bare lab hosts, Debian 13 and 12; gone at the end, whatever happened."""
    # Two levels below the checkout, like inventory/lab, whose variables it shares.
    folder = REPO / ".build/lab-test"
    folder.mkdir(parents=True, exist_ok=True)
    group_vars = folder / "group_vars"
    if not group_vars.is_symlink():
        group_vars.symlink_to(REPO / "inventory/lab/group_vars")
    lab_hosts = {"hosts": BENCH_HOSTS, "vars": BENCH_NETWORK}
    (folder / "hosts.yml").write_text(
        yaml.safe_dump({"bench": {"children": {"lab_hosts": lab_hosts}}})
    )
    run_playbook("lab.yml", folder, lab_host_state="absent")
    run_playbook("lab.yml", folder, lab_host_state="reset")
    try:
        yield folder
    finally:
        run_playbook("lab.yml", folder, lab_host_state="absent")


@pytest.fixture(scope="session")
def deployed(inventory: Path) -> Path:
    """The same two hosts with every variant of the quick matrix installed."""
    run_playbook("deploy.yml", inventory)
    return inventory


@pytest.fixture(scope="module")
def scratch(deployed: Path) -> Iterator[str]:
    """The first of those hosts, to do anything to: it is put back to how it was afterwards."""
    host = next(iter(BENCH_HOSTS))
    layer = {"limit": host, "lab_host_layer": "scratch"}
    run_playbook("lab.yml", deployed, lab_host_state="saved", **layer)
    try:
        yield host
    finally:
        run_playbook("lab.yml", deployed, lab_host_state="reset", **layer)
