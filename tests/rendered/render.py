"""Render a role's templates through Ansible's own templar, the way a play would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
LOADER = DataLoader()
init_plugin_loader([])
filter_loader.add_directory(str(ROOT / "playbooks/plugins/filter"))


def group_vars() -> dict[str, Any]:
    """Return the catalogue, the profiles and the defaults of a run."""
    merged: dict[str, Any] = {}
    for path in sorted((ROOT / "playbooks/group_vars/all").glob("*.yml")):
        merged |= yaml.safe_load(path.read_text())
    return merged


def role_variables(role: str) -> dict[str, Any]:
    """Return a role's defaults and vars, trusted, so that templates inside them are followed."""
    merged: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        path = ROOT / "roles" / role / name / "main.yml"
        if path.exists():
            merged |= LOADER.load_from_file(str(path), trusted_as_template=True) or {}
    return merged


def render(role: str, template: str, variables: dict[str, Any]) -> str:
    """Return the text of `roles/<role>/templates/<template>`."""
    text = (ROOT / "roles" / role / "templates" / template).read_text()
    return Templar(LOADER, variables=variables).template(trust_as_template(text))


def unit_files(variant: dict[str, Any], **more: Any) -> dict[str, str]:
    """Return the unit files of a variant, by name, as roles/server/tasks/deploy.yml writes them."""
    server = variant["server"]
    (task,) = yaml.safe_load((ROOT / "roles" / server / "tasks/main.yml").read_text())
    parameters = {
        name: trust_as_template(value) if isinstance(value, str) else value
        for name, value in task["vars"].items()
    }
    variables = {
        **role_variables("server"),
        **role_variables(server),
        **parameters,
        "ansible_managed": "Ansible managed",
        "server_variant": variant["id"],
        "server_interface": variant["interface"],
        "server_application": f"config.{variant['interface']}:application",
        "server_knobs": variant["knobs"],
        **more,
    }
    unit = f"serverbench-{variant['id']}"
    files = {f"{unit}.service": render("server", "unit.service.j2", variables)}
    if variant["knobs"]["socket"]:
        files[f"{unit}.socket"] = render("server", "unit.socket.j2", variables)
    return files
