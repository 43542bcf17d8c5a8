"""Ansible's playbooks, started as programs: nothing of Ansible is imported."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from collect.cli.places import project_root
from collect.documents import check_document
from collect.errors import DataError, ServerbenchError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

# As the kit's own callback prints it: host, task, reason.
_FAILED = re.compile(r"^FAILED (?P<host>\S+), (?P<task>[^:]*): (?P<why>.*)$", re.MULTILINE)
# As Ansible prints what stops it before the first task.
_ERROR = re.compile(r"^(?:\[ERROR\]|ERROR!): ?(.*)$|^ERROR! (.*)$", re.MULTILINE)
_UNREAD = re.compile(r"Completely failed to parse inventory source (?P<path>.*)")
_WHY = re.compile(
    r"\[WARNING\]: Failed to parse inventory with '(?P<plugin>\w+)' plugin: (?P<why>.*?)\n\nFailed",
    re.DOTALL,
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Aim:
    """The hosts and variables of a playbook, as given on the command line."""

    inventory: str
    limit: str | None = None
    extra_vars: tuple[str, ...] = ()
    """Each as Ansible's `-e` takes it: `name=value`, JSON, or `@file`."""
    ask_become_pass: bool = False
    ask_vault_pass: bool = False
    vault_password_file: str | None = None

    def arguments(self) -> list[str]:
        """Return it as arguments for ansible-playbook, which is started in the kit's folder."""
        arguments = ["-i", _from_root(self.inventory)]
        for value in self.extra_vars:
            known = f"@{_from_root(value[1:])}" if value.startswith("@") else value
            arguments += ["-e", known]
        if self.limit:
            arguments += ["--limit", self.limit]
        if self.ask_become_pass:
            arguments.append("--ask-become-pass")
        if self.ask_vault_pass:
            arguments.append("--ask-vault-pass")
        if self.vault_password_file:
            arguments += ["--vault-password-file", _from_root(self.vault_password_file)]
        return arguments


def add_aim(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the options that name hosts and variables, as ansible-playbook has them."""
    command.add_argument(
        "-i", "--inventory", required=required, metavar="INVENTORY", help="the hosts, as a folder"
    )
    command.add_argument("--limit", metavar="HOSTS", help="only these hosts")
    command.add_argument(
        "-e",
        "--extra-vars",
        action="append",
        default=[],
        metavar="VARIABLES",
        help="name=value, JSON or @file; as often as needed",
    )
    command.add_argument(
        "-K", "--ask-become-pass", action="store_true", help="ask for the password of sudo"
    )
    command.add_argument(
        "-J", "--ask-vault-pass", action="store_true", help="ask for the password of the vault"
    )
    command.add_argument("--vault-password-file", metavar="FILE", help="read it from there")


def aim_of(options: argparse.Namespace) -> Aim:
    """Return what was given for the options of `add_aim`; `DataError` without such an inventory."""
    # With a comma it is a list of hosts and no path.
    if "," not in options.inventory and not Path(options.inventory).expanduser().exists():
        raise DataError(
            f"{options.inventory}: no such inventory; inventory/lab is one that is here"
        )
    files = [value[1:] for value in options.extra_vars if value.startswith("@")]
    for name in filter(None, [*files, options.vault_password_file]):
        if not Path(name).expanduser().is_file():
            raise DataError(f"{name}: no such file")
    for name in files:
        # Ansible would put the blame on the inventory.
        check_document(Path(name).expanduser())
    for value in options.extra_vars:
        _check_json(value)
    return Aim(
        inventory=options.inventory,
        limit=options.limit,
        extra_vars=tuple(options.extra_vars),
        ask_become_pass=options.ask_become_pass,
        ask_vault_pass=options.ask_vault_pass,
        vault_password_file=options.vault_password_file,
    )


def _check_json(value: str) -> None:
    """Raise `DataError` for broken JSON or YAML: Ansible would put the blame on the inventory."""
    if not value.lstrip().startswith(("{", "[")):
        return
    try:
        yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Not the value: it may hold a secret.
        mark = getattr(error, "problem_mark", None)
        where = f", at character {mark.index + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or "it cannot be read"
        raise DataError(
            f"-e: broken JSON{where}: {why}; accepted: name=value, JSON or @file"
        ) from None


def find_program() -> str:
    """Return ansible-playbook of this very environment, or else the one on the path."""
    beside = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("ansible-playbook")
    if program is None:
        raise ServerbenchError("ansible-playbook: not found; run this inside the kit's environment")
    return program


def run_quietly(playbook: str, aim: Aim, variables: Mapping[str, object]) -> None:
    """Run a playbook without showing what it prints.

    Args:
        playbook: from the kit's folder.
        aim: hosts and variables.
        variables: more of them, which win.

    Raises:
        ServerbenchError: it failed; the message is its own reason.
    """
    done = subprocess.run(
        [find_program(), playbook, *aim.arguments(), "-e", json.dumps(variables)],
        cwd=project_root(),
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise ServerbenchError(reason_of(done.stdout, done.stderr, done.returncode, playbook))


def reason_of(stdout: str, stderr: str, status: int, playbook: str) -> str:
    """Return why a playbook failed, in its own words if it has any."""
    stdout, stderr = (_COLOUR.sub("", words) for words in (stdout, stderr))
    whys = dict.fromkeys(found["why"] for found in _FAILED.finditer(stdout))
    if whys:
        return "; ".join(whys)
    if found := _ERROR.search(f"{stderr}\n{stdout}"):
        words = next(group for group in found.groups() if group is not None)
        if unread := _UNREAD.fullmatch(words):
            # Each plugin says why it cannot read it; the one that the name promises is meant.
            is_yaml = unread["path"].endswith((".yml", ".yaml"))
            whys = {one["plugin"]: " ".join(one["why"].split()) for one in _WHY.finditer(stderr)}
            why = str(whys.get("yaml" if is_yaml else "ini", "no plugin reads it"))
            why = why.removeprefix("Failed to parse inventory: ")
            return f"{unread['path']}: {why}; accepted: an inventory, such as inventory/lab"
        return words
    last = (stderr.strip() or stdout.strip() or "it said nothing").splitlines()[-1]
    return f"{playbook}: ansible-playbook ended with status {status}: {last}"


def _from_root(name: str) -> str:
    """Return a path that holds from the kit's folder too; what is no path stays as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name
