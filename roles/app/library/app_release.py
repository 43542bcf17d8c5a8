#!/usr/bin/python
"""Ansible module: a release with its environment, settings, secrets and state."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.serverbench_app.environment import Environment, InstallError, finish

DOCUMENTATION = r"""
---
module: app_release
short_description: Have a release installed and its state prepared
description:
  - In one go what would be a task each, for a task costs a third of a second - unpacks the release,
    makes the virtual environment unless it is complete, installs the project's packages and then
    the kit's servers from their lock, writes the application's environment, makes its secrets, and
    runs the commands that prepare its state.
  - A package that the project and the kit both need stays at the project's version; a server is
    always the kit's. What does not go together then is an error.
  - Each step leaves its stamp last, so that one that was cut off is done again.
options:
  archive:
    description: The packed release on the control machine. Empty where nothing is to be installed.
    type: path
    default: ""
  release_dir: {description: Where it is unpacked., type: path, required: true}
  root: {description: Folder in it that the servers work in., type: str, default: ""}
  venv_dir: {description: The virtual environment., type: path, required: true}
  stamp:
    description: File that says the release is complete; written last.
    type: path
    required: true
  python: {description: Interpreter of this host to make it with., type: str, required: true}
  requirements: {description: The file that names the packages., type: str, required: true}
  index_url:
    description: Package index instead of pip's own; may hold a password.
    type: str
    default: ""
  cache_dir: {description: Where pip keeps what it downloaded., type: path, required: true}
  environment_file:
    description: The application's settings; root alone reads it.
    type: path
    required: true
  environment: {description: What stands in it; shown nowhere., type: str, required: true}
  generated_file: {description: Secrets that never leave the host., type: path, required: true}
  generated:
    description: Their names; one that is there keeps its value.
    type: list
    elements: str
    default: []
  setup:
    description: The command that prepares the state.
    type: list
    elements: str
    required: true
  setup_stamp: {description: File that says it went well., type: path, required: true}
attributes:
  check_mode: {description: Says what it would do., support: full}
author: [serverbench]
"""

EXAMPLES = r"""
- name: Install the release
  app_release:
    archive: .build/0123456789ab.tar.gz
    release_dir: /opt/serverbench/releases/0123456789ab
    venv_dir: /opt/serverbench/venvs/ba9876543210
    stamp: /opt/serverbench/releases/0123456789ab/.complete-ba9876543210
    python: python3
    requirements: pyproject.toml
    cache_dir: /opt/serverbench/cache/pip
    environment_file: /etc/serverbench/service/app.env
    environment: "DJANGO_SETTINGS_MODULE=config.settings\n"
    generated_file: /etc/serverbench/secret.env
    generated: [DJANGO_SECRET_KEY]
    setup: [/bin/sh, -c, python manage.py migrate]
    setup_stamp: /var/lib/serverbench/app/.setup-0123456789ab
"""

RETURN = r"""
what: {description: What was or would be done., type: list, elements: str, returned: success}
temporary: {description: Whether it looks like the network's fault., type: bool, returned: failed}
"""


class Release:
    """One release on this host; each step says in words what it did, or would do."""

    def __init__(self, module: AnsibleModule) -> None:
        """Take the module's parameters."""
        self._module = module
        self._given = module.params

    def steps(self) -> list[str]:
        """Do what is left to do, in the order in which one thing needs another.

        Raises:
            InstallError: what cannot be done, in one line.
            OSError: a file cannot be written.
        """
        return [*self._installed(), *self._settings(), *self._secrets(), *self._prepared()]

    def _installed(self) -> list[str]:
        given = self._given
        if not given["archive"]:
            return []
        if not self._module.check_mode:
            _unpack(given["archive"], given["release_dir"])
            environment = Environment(given)
            if not (Path(given["venv_dir"]) / ".complete").exists():
                environment.make()
            finish(given)
            for warning in environment.warnings:
                self._module.warn(warning)
        return [f"{given['release_dir']} is unpacked and installed"]

    def _settings(self) -> list[str]:
        path, text = Path(self._given["environment_file"]), self._given["environment"]
        if _read(path) == text and _is_private(path):
            return []
        if not self._module.check_mode:
            _write_private(path, text)
        return [f"{path} changes"]

    def _secrets(self) -> list[str]:
        path = Path(self._given["generated_file"])
        text = _read(path)
        missing = [
            name
            for name in self._given["generated"]
            if not re.search(f"^{re.escape(name)}=", text, re.MULTILINE)
        ]
        if not missing and _is_private(path):
            return []
        if not self._module.check_mode:
            made = (f"{name}={secrets.token_urlsafe(50)}\n" for name in missing)
            _write_private(path, text + "".join(made))
        return [f"{name} is made" for name in missing] or [f"{path} changes"]

    def _prepared(self) -> list[str]:
        if Path(self._given["setup_stamp"]).exists():
            return []
        if not self._module.check_mode:
            status, stdout, stderr = self._module.run_command(
                self._given["setup"], expand_user_and_vars=False, errors="replace"
            )
            if status != 0:
                # The last line says which command it was, those before it why.
                why, _, last = stderr.rstrip().rpartition("\n")
                self._module.fail_json(
                    msg=last or f"app_setup_commands ended with status {status}",
                    stderr=why,
                    stdout=stdout,
                    temporary=False,
                )
        return ["app_setup_commands run"]


def _unpack(archive: str, release_dir: str) -> None:
    # Over whatever an unpacking that was cut off has left.
    folder = Path(release_dir)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    command = ["tar", "--extract", "--gzip", "--no-same-owner", "--file", archive]
    done = subprocess.run(
        [*command, "--directory", release_dir],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    Path(archive).unlink()
    if done.returncode != 0:
        raise InstallError(f"{release_dir}: tar cannot unpack the release: {done.stderr.strip()}")


def _is_private(path: Path) -> bool:
    return path.exists() and (path.stat().st_mode & 0o7777, path.stat().st_uid) == (
        0o600,
        os.geteuid(),
    )


def _write_private(path: Path, text: str) -> None:
    # In one step, and at no moment readable for others.
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "path", "default": ""},
            "release_dir": {"type": "path", "required": True},
            "root": {"type": "str", "default": ""},
            "venv_dir": {"type": "path", "required": True},
            "stamp": {"type": "path", "required": True},
            "python": {"type": "str", "required": True},
            "requirements": {"type": "str", "required": True},
            "index_url": {"type": "str", "default": "", "no_log": True},
            "cache_dir": {"type": "path", "required": True},
            "environment_file": {"type": "path", "required": True},
            "environment": {"type": "str", "required": True, "no_log": True},
            "generated_file": {"type": "path", "required": True},
            "generated": {"type": "list", "elements": "str", "default": []},
            "setup": {"type": "list", "elements": "str", "required": True},
            "setup_stamp": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    try:
        what = Release(module).steps()
    except InstallError as error:
        module.fail_json(msg=str(error), temporary=error.temporary)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}", temporary=False)
    module.exit_json(
        changed=bool(what), what=what, diff={"prepared": "".join(f"{line}\n" for line in what)}
    )


if __name__ == "__main__":
    main()
