"""What the roles promise in their argument specs is what they ship."""

import re
from pathlib import Path

import pytest
import yaml

from collect.variants import KNOBS

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
CATALOGUE = yaml.safe_load((ROOT / "playbooks/group_vars/all/catalogue.yml").read_text())[
    "server_catalogue"
]


def load(role, *path):
    file = ROOT.joinpath("roles", role, *path)
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_equal_argument_specs(role):
    promised = {}
    for entry_point in load(role, "meta", "argument_specs.yml")["argument_specs"].values():
        for name, option in entry_point["options"].items():
            if "default" in option:
                promised[name] = option["default"]
    assert load(role, "defaults", "main.yml") == promised


@pytest.mark.parametrize("role", ROLES)
def test_each_entry_point_is_specified(role):
    specified = set(load(role, "meta", "argument_specs.yml")["argument_specs"])
    entry_points = {path.stem for path in ROOT.joinpath("roles", role, "tasks").glob("*.yml")}
    assert specified <= entry_points
    assert "main" in specified or role == "server"


@pytest.mark.parametrize("role", ROLES)
def test_variables_carry_the_name_of_their_role(role):
    public = set(load(role, "defaults", "main.yml"))
    private = set(load(role, "vars", "main.yml"))
    assert {name for name in public if not name.startswith(f"{role}_")} == set()
    assert {name for name in private if not name.startswith((f"__{role}_", f"{role}_"))} == set()


def test_the_catalogue_is_what_is_on_disk():
    thin = {
        path.parents[1].name
        for path in (ROOT / "roles").glob("*/tasks/main.yml")
        if "name: server\n" in path.read_text()
    }
    assert thin == set(CATALOGUE)


@pytest.mark.parametrize("server", CATALOGUE)
def test_the_catalogue_and_the_role_speak_the_same_interfaces(server):
    spec = load(server, "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert spec["server_interface"]["choices"] == CATALOGUE[server]["interfaces"]


def test_the_knobs_of_the_plan_are_those_of_the_role():
    options = load("server", "meta", "argument_specs.yml")["argument_specs"]["deploy"]["options"]
    assert set(options["server_knobs"]["options"]) == set(KNOBS)


@pytest.mark.parametrize("server", CATALOGUE)
def test_the_catalogue_and_the_role_agree_on_who_has_workers(server):
    (task,) = load(server, "tasks", "main.yml")
    assert task["vars"].get("server_prefork", False) == CATALOGUE[server].get("prefork", False)


@pytest.mark.parametrize("server", CATALOGUE)
def test_each_server_is_locked(server):
    package = CATALOGUE[server]["package"]
    lock = (ROOT / "roles/server/files/requirements.txt").read_text()
    wish = (ROOT / "roles/server/files/requirements.in").read_text()
    (pin,) = [line for line in wish.splitlines() if line.startswith(f"{package}==")]
    assert f"\n{pin} \\\n" in f"\n{lock}"


def packages_asked_for(role):
    """Names that the role's apt tasks give, its own variables filled in."""
    known = load(role, "defaults", "main.yml") | load(role, "vars", "main.yml")
    for file in ROOT.joinpath("roles", role, "tasks").glob("*.yml"):
        for task in flattened(yaml.safe_load(file.read_text()) or []):
            name = task.get("ansible.builtin.apt", {}).get("name", [])
            if variable := re.fullmatch(r"{{ (\w+) }}", str(name)):
                name = known[variable[1]]
            elif field := re.fullmatch(r"{{ (\w+)\[\w+\]\.(\w+) }}", str(name)):
                name = [entry[field[2]] for entry in known[field[1]].values()]
            yield from [name] if isinstance(name, str) else name


def flattened(tasks):
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from flattened(task.get(part, []))


def test_teardown_knows_every_package_that_a_role_asks_for():
    roles = set(ROLES) - {"lab_host"}  # that one installs on the machine it runs on
    asked_for = {name for role in roles for name in packages_asked_for(role)}
    assert {"wrk", "redis-server", "python3-venv"} <= asked_for
    assert asked_for - set(load("teardown", "vars", "main.yml")["__teardown_packages"]) == set()


def test_locks_name_no_index():
    folders = (".", "app", "roles/server/files", "tests/fuzz")
    locks = [lock for folder in folders for lock in (ROOT / folder).glob("requirements*.txt")]
    assert len(locks) == 5
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text
        assert "--index-url" not in text


def test_host_key_checking_is_on_everywhere():
    ways_off = (
        "host_key_checking = False",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    )
    for pattern in ("ansible.cfg", "inventory/**/*.yml", "playbooks/**/*.yml", "roles/**/*"):
        for path in ROOT.glob(pattern):
            if path.is_file() and path.suffix != ".pyc":
                assert not [way for way in ways_off if way in path.read_text()], path


def commands(tasks):
    for task in tasks:
        if "ansible.builtin.command" in task:
            yield task["ansible.builtin.command"]
        for part in ("block", "always", "rescue"):
            yield from commands(task.get(part) or [])


def test_no_command_expands_a_variable_in_what_a_user_wrote():
    """`ansible.builtin.command` puts root's own $HOME into an argument unless it is told not to."""
    paths = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml")]
    found = [one for path in paths for one in commands(yaml.safe_load(path.read_text()) or [])]
    assert len(found) > 3
    for one in found:
        if "{{" in str(one["argv"]):
            assert one["expand_argument_vars"] is False, one
