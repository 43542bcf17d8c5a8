import re
from pathlib import Path

import pytest

from collect.errors import DataError
from collect.kit_variables import check_names, kit_variables

ROOT = Path(__file__).parents[2]
KNOWN = kit_variables(ROOT)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bench_blockz", "bench_blocks"),
        ("bench_endpoint", "bench_endpoints"),
        ("server_profile", "server_profiles"),
        ("app_enviroment", "app_environment"),
        ("app_databse", "app_database"),
        ("interfce", "interface"),
        # Nothing is like it, and still: what begins like this is the kit's.
        ("bench_connections", "bench_"),
    ],
)
def test_a_name_that_was_meant_for_the_kit_is_refused_with_the_right_one(name, meant):
    with pytest.raises(
        DataError, match=f"^{name}: is no variable of this kit; did you mean {meant}"
    ):
        check_names([*KNOWN, name], KNOWN)


@pytest.mark.parametrize(
    "name",
    ["app_domain", "app_hosts", "server_name", "my_proxy", "domain", "ansible_hosts", "__bench_x"],
)
def test_a_name_of_somebody_s_own_is_left_alone(name):
    check_names([*KNOWN, name, "inventory_hostname", "groups", "hostvars", "environment"], KNOWN)


def test_each_variable_of_the_reference_is_known():
    named = re.findall(r"^\| `(\w+)`", (ROOT / "docs/variables.md").read_text(), re.MULTILINE)
    assert len(named) > 100
    assert {name for name in named if name.startswith(("bench_", "app_", "proxy_"))} <= KNOWN
