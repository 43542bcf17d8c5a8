"""Refuse a host whose SSH host key would not be checked, and name the place that switched it off.

Whoever does not check the key talks to anybody who answers at that address, with root's rights.
Looked at is what Ansible would really use: settings, variables and environment as the connection
resolves them, and then what ssh makes of all that and of its own configuration (`ssh -G`).
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import Any

from ansible.plugins.action import ActionBase

ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args", "sftp_extra_args", "scp_extra_args")
# As one -o option, in the two ways that ssh reads it.
_OFF = re.compile(
    r"""(stricthostkeychecking[=\s]+["']?(no|off)\b|userknownhostsfile[=\s]+["']?(/dev/null|none)\b)""",
    re.IGNORECASE,
)


class ActionModule(ActionBase):
    """`check_host_keys:` fails where the key of this host would not be checked."""

    _requires_connection = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `failed` with the places that switch the check off."""
        result = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        # A local connection has no key to check.
        if self._connection.transport not in {"ssh", "paramiko", "paramiko_ssh"}:
            return result
        places = self._places()
        if not places and self._connection.transport == "ssh":
            places = self._of_ssh_itself()
        if not places:
            return result
        host = (task_vars or {}).get("inventory_hostname", "host")
        return result | {
            "failed": True,
            "msg": f"{host}: its SSH host key would not be checked, so anybody could answer in its"
            f" place: {'; '.join(places)}. Take that out. StrictHostKeyChecking=accept-new takes a"
            " new host's key without a question and refuses one that has changed.",
        }

    def _places(self) -> list[str]:
        places = []
        if not self._option("host_key_checking")[0]:
            places.append(f"host_key_checking is off ({self._option('host_key_checking')[1]})")
        for name in ARGUMENTS:
            value, origin = self._option(name)
            if found := _OFF.search(str(value or "")):
                places.append(f"{name} holds {found[0]} ({origin})")
        return places

    def _option(self, name: str) -> tuple[Any, str]:
        try:
            value, origin = self._connection.get_option_and_origin(name)
        except KeyError:
            # paramiko knows no arguments of ssh.
            return (True, "") if name == "host_key_checking" else (None, "")
        return value, str(origin)

    def _of_ssh_itself(self) -> list[str]:
        """Ask ssh what it would do for this host, its own configuration included."""
        option = self._connection.get_option
        program = shutil.which(option("ssh_executable"))
        if program is None:
            return []
        command = [program, "-G"]
        for name in ARGUMENTS[:3]:
            command += shlex.split(option(name) or "")
        host = option("host") or self._play_context.remote_addr
        done = subprocess.run(
            [*command, str(host)], capture_output=True, text=True, check=False, timeout=20
        )
        found = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
        is_off = {
            "StrictHostKeyChecking": found.get("stricthostkeychecking") in {"no", "off", "false"},
            "UserKnownHostsFile": set(found.get("userknownhostsfile", "").split())
            in ({"/dev/null"}, {"none"}),
        }
        return [
            f"{name} is off in ssh's own configuration (~/.ssh/config or /etc/ssh)"
            for name, holds in is_off.items()
            if holds
        ]
