"""What roles make of what a host says."""

import pytest
from ansible.template import Templar, trust_as_template
from render import LOADER, role_variables


def value_of(role, name, **variables):
    templar = Templar(LOADER, variables={**role_variables(role), **variables})
    return templar.template(trust_as_template(f"{{{{ {name} }}}}"))


@pytest.mark.parametrize(
    "before", [[], [""], ["sudo: unable to resolve host web1: Name or service not known", ""]]
)
@pytest.mark.parametrize("python", ["3.13", "none"])
def test_pythons_version_is_found_below_what_sudo_says(before, python):
    found = {"stdout_lines": [*before, python, ".complete-0123456789ab", "app"]}
    assert str(value_of("app", "__app_python_version", __app_found=found)).strip() == python


@pytest.mark.parametrize(
    ("host", "proxies", "database", "refused"),
    [
        ({"own_proxies": "caddy ", "own_database": "yes"}, ["none", "nginx"], "sqlite", []),
        ({"own_proxies": "nginx caddy "}, ["none", "caddy"], "sqlite", ["proxy"]),
        ({"own_database": "yes"}, ["caddy"], "postgresql", ["database"]),
        ({"own_proxies": "", "own_database": "no"}, ["caddy"], "postgresql", []),
    ],
)
def test_what_somebody_has_there_is_not_replaced(host, proxies, database, refused):
    host |= {
        "distribution": "debian 13", "name": "Debian 13", "init": "systemd", "python": "3.13",
        "running": "", "memory_mb": "2000", "free_mb": "9000", "provisioned": "no",
    }  # fmt: skip
    found = value_of(
        "preflight",
        "__preflight_refused",
        preflight_host=host,
        preflight_proxies=proxies,
        preflight_database=database,
    )
    assert [demand["name"] for demand in found] == refused
