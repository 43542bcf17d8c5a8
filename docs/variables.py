"""Write docs/variables.md from the argument specs: `make docs`.

It stands beside the page it makes, and not in `collect`, which reads no YAML and is not concerned
with the documentation. Types and meanings come from the roles' argument specs and from
playbooks/meta/argument_specs.yml, defaults from what is really set: playbooks/group_vars/all for
the playbooks' variables, the specs for the roles' (a test holds those against the roles' defaults).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from collect.variants import KNOBS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/variables.md"
SPECS = "meta/argument_specs.yml"
_LONGEST_DEFAULT = 44
"""A default that is longer breaks the table: the page names the file instead."""
_FROM_OUTSIDE = {
    "ladder": False,
    "rates": None,
    "slo_p99_ms": None,
    "lab_kind": "container",
    "vault_postgresql_password": "",
}
"""Variables that the kit reads and sets nowhere, with what it takes without them."""
DERIVED = (
    "bench_plan",
    "bench_variables",
    "schedule_plan",
    "app_interfaces",
    "server_home_dir",
    "server_bind",
    "server_protocol",
    "service_requested",
    "service_release",
)
"""Variables of group_vars/all that are worked out from others and are not to be set."""


@dataclass(frozen=True, slots=True)
class Group:
    """Variables that serve one purpose."""

    title: str
    intro: str
    names: tuple[str, ...]


GROUPS = (
    Group(
        "What to measure",
        "In `group_vars/bench/bench.yml` of your inventory. "
        "[How it measures](method.md) has the reasons.",
        (
            "bench_profiles",
            "bench_matrix",
            "bench_endpoints",
            "bench_blocks",
            "bench_decide",
            "bench_time_budget_s",
            "bench_reruns_per_block",
            "bench_twin",
            "ladder",
            "bench_ladder",
            "rates",
            "bench_rates",
            "bench_rate_duration_s",
            "slo_p99_ms",
            "bench_slo_p99_ms",
            "bench_order",
            "bench_seed",
            "bench_load",
            "bench_timing",
            "bench_run_id",
            "bench_results_dir",
        ),
    ),
    Group(
        "When to measure",
        "On the command line of `schedule.yml`, or in the inventory; see "
        "[scheduled runs](scheduled-runs.md).",
        (
            "schedule_state",
            "schedule_times",
            "schedule_days",
            "schedule_blocks",
            "schedule_min_free_mb",
        ),
    ),
    Group(
        "Your own project",
        "In `group_vars/bench/app.yml`; [your own project](own-project.md) goes through them.",
        (
            "app_source",
            "app_ref",
            "app_root",
            "app_requirements",
            "app_constraints",
            "app_packages",
            "app_python",
            "app_settings_module",
            "app_wsgi",
            "app_asgi",
            "app_environment",
            "app_generated_secrets",
            "app_setup_commands",
            "app_endpoints",
        ),
    ),
    Group(
        "Its database",
        "[PostgreSQL instead of SQLite](database.md).",
        (
            "app_database",
            "vault_postgresql_password",
            "postgresql_password",
            "app_database_environment",
        ),
    ),
    Group(
        "What a host serves",
        "On the command line of `deploy.yml`, or in the inventory; see [deploying](deploying.md).",
        (
            "server",
            "interface",
            "proxy",
            "profile",
            "label",
            "app_release",
            "app_releases_kept",
            "service_endpoints",
            "service_ready_timeout_s",
            "service_stop_timeout_s",
            "service_candidate_port",
            "deploy_everything",
        ),
    ),
    Group(
        "The proxy in front",
        "For variants with `proxy: caddy` or `proxy: nginx`; see [proxies](proxies.md).",
        (
            "proxy_address",
            "proxy_port",
            "proxy_static_url",
            "proxy_static_root",
            "proxy_max_body_bytes",
            "proxy_read_timeout_s",
        ),
    ),
    Group(
        "Where packages come from",
        "In `group_vars/bench/mirrors.yml`; see [mirrors](real-hosts.md#mirrors).",
        ("apt_mirror", "pip_index_url", "base_apt_mirror", "app_pip_index_url"),
    ),
    Group(
        "What a host must be",
        "A host that does not fit is refused before anything is installed on it. How it is reached "
        "(`ansible_host`, `ansible_user`, keys) are Ansible's own variables: "
        "[real hosts](real-hosts.md#connection).",
        ("preflight_supported", "preflight_min_memory_mb", "preflight_min_disk_mb"),
    ),
    Group(
        "Taking it off again",
        "For `teardown.yml`; see [security](security.md#taking-it-all-off-again).",
        ("teardown_results",),
    ),
    Group(
        "The lab host",
        "In `inventory/lab`; see [the role's page](../roles/lab_host/README.md).",
        (
            "lab_kind",
            "lab_host_state",
            "lab_host_address",
            "lab_host_kind",
            "lab_host_release",
            "lab_host_cpus",
            "lab_host_memory_bytes",
            "lab_host_layer",
            "lab_host_nameservers",
            "runner_memory_limit_bytes",
        ),
    ),
    Group(
        "Servers and profiles",
        "[The servers](servers.md) has what each is set to, and why.",
        ("server_profiles", "server_catalogue", "bench_matrix_all_pairs"),
    ),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One row."""

    name: str
    type: str
    default: str
    meaning: str
    parts: tuple[Variable, ...] = field(default_factory=tuple)
    """The keys of a dictionary, or of each item of a list of dictionaries."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")


def page() -> str:
    """Return the page.

    Raises:
        SystemExit: a variable of the playbooks is in no group, or a group names an unknown one.
    """
    every = variables()
    placed = [name for group in GROUPS for name in group.names]
    astray = sorted(set(playbook_options()) - set(placed)) + sorted(set(placed) - set(every))
    if astray:
        sys.exit(
            f"docs/variables.py: {', '.join(astray)}: give each a group in GROUPS there, and a "
            f"meaning in playbooks/{SPECS} or in its role's argument specs"
        )
    parts = [_HEAD]
    for group in GROUPS:
        parts += [f"## {group.title}\n", f"{group.intro}\n"]
        parts += _tables([every[name] for name in group.names])
    parts += ["## Knobs\n", _KNOBS, _knobs(), _SECOND]
    parts += [f"{', '.join(f'`{name}`' for name in DERIVED)}.\n"]
    for role, rows in role_variables().items():
        left = [replace(row, parts=()) for row in rows if row.name not in placed]
        if left:
            parts += [f"### Role {role}\n", _table(left)]
    return "\n".join(parts)


def variables() -> dict[str, Variable]:
    """Return every variable that is documented, by name."""
    found = {row.name: row for rows in role_variables().values() for row in rows}
    defaults = group_vars()
    for name, option in playbook_options().items():
        value, file = defaults.get(name, (_FROM_OUTSIDE.get(name), ""))
        found[name] = _variable(name, option, {"default": value}, file)
    return found


def role_variables() -> dict[str, list[Variable]]:
    """Return each role's variables; those of the six servers are the role `server`'s."""
    servers = group_vars()["server_catalogue"][0]
    return {
        role: [
            _variable(name, option, option, f"roles/{role}/defaults/main.yml")
            for name, option in options.items()
        ]
        for role, options in role_options().items()
        if role not in servers
    }


def playbook_options() -> dict[str, dict[str, Any]]:
    """Return the options of the playbooks' own spec."""
    spec = yaml.safe_load((ROOT / "playbooks" / SPECS).read_text(encoding="utf-8"))
    options: dict[str, dict[str, Any]] = spec["argument_specs"]["main"]["options"]
    return options


def role_options() -> dict[str, dict[str, dict[str, Any]]]:
    """Return each role's options, of all its entry points, by role."""
    found = {}
    for path in sorted((ROOT / "roles").glob(f"*/{SPECS}")):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        found[path.parents[1].name] = {
            name: option for entry in spec.values() for name, option in entry["options"].items()
        }
    return found


def group_vars() -> dict[str, tuple[Any, str]]:
    """Return each variable of group_vars/all with its value and its file."""
    found = {}
    for path in sorted((ROOT / "playbooks/group_vars/all").glob("*.yml")):
        for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            found[name] = (value, str(path.relative_to(ROOT)))
    return found


def _variable(name: str, option: dict[str, Any], default: dict[str, Any], file: str) -> Variable:
    value = default.get("default")
    keys = option.get("options", {})
    parts = []
    for key, sub in keys.items():
        own = {"default": value[key]} if isinstance(value, dict) and key in value else sub
        item = "[]" if option["type"] == "list" else ""
        parts.append(_variable(f"{name}{item}.{key}", sub, own, file))
    if "default" not in default:
        said = "required" if option.get("required") else ""
    elif parts and isinstance(value, dict):
        said = "below"
    else:
        said = _default(value, file)
    return Variable(name, _type(option), said, _meaning(option), tuple(parts))


def _type(option: dict[str, Any]) -> str:
    kind = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true/false",
        "path": "path",
        "dict": "dictionary",
        "raw": "see there",
    }
    if option["type"] == "list":
        return {"str": "list of texts", "dict": "list of dictionaries", "path": "list of paths"}[
            option["elements"]
        ]
    return kind[option["type"]]


def _default(value: object, file: str) -> str:
    if value is None:
        return "`null`"
    if value == "":
        return "empty"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    # A text that needs no quotes in YAML needs none here: what counts is that it can be read.
    text = value if isinstance(value, str) else text.removesuffix("...\n").strip()
    if len(text) > _LONGEST_DEFAULT:
        return f"[{'/'.join(Path(file).parts[1:])}](../{file})"
    return f"`{text}`".replace("|", "\\|")


def _meaning(option: dict[str, Any]) -> str:
    words = option.get("description", "")
    words = words if isinstance(words, str) else " ".join(words)
    words = re.sub(r"[CP]\((.+?)\)(?=$|[\s.,;:)/'])", r"`\1`", words)
    words = re.sub(r"L\((.+?),(.+?)\)", r"[\1](\2)", words)
    if choices := option.get("choices"):
        # YAML reads a bare `none` as text and a bare `no` as false: written as it is set.
        words += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    return " ".join(words.split()).replace("|", "\\|")


def _tables(rows: list[Variable]) -> list[str]:
    parts = [_table(rows)]
    for row in rows:
        if row.parts:
            parts += [f"Inside `{row.name}`:\n", _table([*_flat(row.parts)])]
    return parts


def _flat(rows: tuple[Variable, ...]) -> list[Variable]:
    return [one for row in rows for one in (row, *_flat(row.parts))]


def _table(rows: list[Variable]) -> str:
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.name}` | {row.type} | {row.default} | {row.meaning} |" for row in rows]
    return "\n".join(lines) + "\n"


def _knobs() -> str:
    options = role_options()["server"]["server_knobs"]["options"]
    catalogue = group_vars()["server_catalogue"][0]
    lines = ["| knob | accepted | meaning | no setting for it |", "|---|---|---|---|"]
    for name, knob in KNOBS.items():
        without = [
            f"{server}-{interface}"
            for server, entry in catalogue.items()
            for interface, names in entry["not_honoured"].items()
            if name in names
        ]
        meaning = _meaning(options[name])
        lines.append(f"| `{name}` | {knob.accepted} | {meaning} | {', '.join(without)} |")
    return "\n".join(lines) + "\n"


_HEAD = f"""\
# Variables

<!-- Made by `make docs` (docs/variables.py) from the argument specs. Change playbooks/{SPECS}
or the role's {SPECS}, and run it again. -->

Set yours in `inventory/<yours>/group_vars/bench/`, for one host in its `host_vars`, or on the
command line: `-e bench_blocks=8`, and as JSON where the value is more than a word:
`-e '{{"bench_profiles": ["tuned"]}}'`. What does not fit is refused before a host is touched, with
the variable's name, what it got and what it accepts. So is a name that is misspelt: `bench_blockz`.
"""

_KNOBS = """\
What a profile, or a line of the matrix under a label, sets for a server. `null`, or leaving one
out, keeps the server's own default. Of several settings the most specific counts: the line's own,
the profile's for the pair (`servers.granian-wsgi`), for the server (`servers.granian`), for all
(`knobs`).
"""

_SECOND = """\
# What the roles pass to each other

For those who change the kit. To set one of these is possible and seldom sensible: other roles, and
the runner, count on the default. Worked out from others, and never to be set:
"""


if __name__ == "__main__":
    main()
