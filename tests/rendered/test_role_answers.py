"""What roles make of what a host says."""

import pytest
import yaml
from ansible.template import Templar, trust_as_template
from render import LOADER, ROOT, role_variables


def value_of(role, name, **variables):
    templar = Templar(LOADER, variables={**role_variables(role), **variables})
    return templar.template(trust_as_template(f"{{{{ {name} }}}}"))


def tasks(role, module=None):
    """The role's tasks, or what the module is given in each that has it."""
    every = yaml.safe_load((ROOT / "roles" / role / "tasks/main.yml").read_text())
    return every if module is None else [one[module] for one in every if module in one]


@pytest.mark.parametrize(
    "before", [[], [""], ["sudo: unable to resolve host web1: Name or service not known", ""]]
)
@pytest.mark.parametrize("python", ["3.13", "none"])
def test_pythons_version_is_found_below_what_sudo_says(before, python):
    found = {"stdout_lines": [*before, python, ".complete-0123456789ab", "app"]}
    assert str(value_of("app", "__app_python_version", __app_found=found)).strip() == python


@pytest.mark.parametrize(
    ("python", "installed", "release", "unpack"),
    [
        ("3.11", [], "r1", True),
        ("3.11", ["r1 3.11"], "r1", False),
        # The host's Python has become another: what serves keeps its own environment.
        ("3.13", ["r1 3.11"], "r1-3.13", True),
        ("3.13", ["r1 3.11", "r1-3.13 3.13"], "r1-3.13", False),
        ("3.13", ["r1-3.13 3.13"], "r1-3.13", False),
        ("3.13", ["r1 3.13"], "r1", False),
        # Another release whose name begins alike.
        ("3.13", ["r10 3.11"], "r1", True),
    ],
)
def test_an_environment_is_not_exchanged_below_what_serves(python, installed, release, unpack):
    def value(name, *lines):
        known = {"app_release": "", "__app_pack": {"id": "r1", "packages": "p1"}}
        return value_of("app", name, __app_found={"stdout_lines": [*lines]}, **known)

    stamps = [
        f"{one}/{value('__app_stamp', its)}" for one, its in (text.split() for text in installed)
    ]
    assert value("__app_release", python, *stamps) == release
    (handed_on,) = tasks("app", "ansible.builtin.set_fact")
    wanted = handed_on["__app_installation"]
    assert value(wanted["unpack"].strip("{} "), python, *stamps) is unpack
    assert value(wanted["release_dir"].strip("{} "), python).endswith("/releases/r1")


@pytest.mark.parametrize(
    ("run", "skip", "staged"),
    [
        (["all"], [], True),
        (["app"], [], True),
        (["granian"], [], True),
        (["gunicorn"], [], False),
        # The app comes along: a candidate is of its release.
        (["all"], ["granian"], True),
        (["all"], ["app"], True),
        (["all"], ["app", "granian"], False),
    ],
)
def test_the_units_of_the_service_come_along_with_the_app(run, skip, staged):
    (play,) = LOADER.load_from_file(
        str(ROOT / "playbooks/deploy_variants.yml"), trusted_as_template=True
    )
    service = {"id": "granian-wsgi", "server": "granian"}
    variables = {
        **play["vars"],
        "__host_recognised": {"service": service, "is_deployed": False},
        "ansible_run_tags": run,
        "ansible_skip_tags": skip,
        "deploy_everything": False,
    }
    templar = Templar(LOADER, variables=variables)
    loop = templar.template(trust_as_template("{{ __deploy_service_if_tagged }}"))
    assert loop == ([service] if staged else [])


@pytest.mark.parametrize(
    ("changed", "check", "awake", "off"),
    [
        (True, False, "", True),
        (False, False, "", False),
        (False, False, "caddy", False),
        # What an earlier deployment was cut off before.
        (False, False, "nginx", True),
        (False, True, "nginx", True),
        # There is no such unit before the package is installed.
        (True, True, "", False),
    ],
)
def test_a_proxys_own_service_is_kept_off(changed, check, awake, off):
    (task,) = (one for one in tasks("proxy") if one["name"].startswith("Keep the package's own"))
    variables = {
        "proxy_kind": "nginx",
        "preflight_host": {"awake_proxies": awake},
        "ansible_check_mode": check,
        "__proxy_installed": {"changed": changed},
    }
    assert bool(value_of("proxy", task["when"], **variables)) is off


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
