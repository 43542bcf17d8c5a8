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


# One for each host, since they run different releases.
LAYER = "deployed-{{ inventory_hostname }}"


@pytest.fixture(scope="session")
def layer(inventory: Path) -> str:
    """The state of both hosts once every variant of the quick matrix is installed."""
    run_playbook("deploy.yml", inventory)
    run_playbook("lab.yml", inventory, lab_host_state="saved", lab_host_layer=LAYER)
    return LAYER


@pytest.fixture(scope="module")
def deployed(inventory: Path, layer: str) -> Path:
    """The same two hosts, deployed; whatever the tests of another module did to them is gone."""
    run_playbook("lab.yml", inventory, lab_host_state="reset", lab_host_layer=layer)
    return inventory
