"""Fetch one file from a host, and no more of it than is allowed.

`ansible.builtin.fetch` writes whatever the host sends: one that sends without end would fill the
disk of this machine. Here the kernel stops whoever writes, be it sftp or Ansible itself.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """`fetch_bounded: {src, dest, limit_bytes}`, as the connecting user, without sudo."""

    _requires_connection = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `failed` and leave nothing here when the file is larger, or cannot be fetched."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "src": {"type": "str", "required": True},
                "dest": {"type": "path", "required": True},
                "limit_bytes": {"type": "int", "required": True},
            }
        )
        host = (task_vars or {}).get("inventory_hostname", "host")
        dest, limit = Path(arguments["dest"]), arguments["limit_bytes"]
        dest.parent.mkdir(parents=True, exist_ok=True)
        # Each task has a process of its own, and what that starts inherits the limit.
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            self._connection.fetch_file(arguments["src"], str(dest))
        except (AnsibleError, OSError) as error:
            is_too_large = dest.exists() and dest.stat().st_size >= limit
            dest.unlink(missing_ok=True)
            why = (
                f"sends more than {limit:,} bytes"
                if is_too_large
                else f"cannot be fetched: {error}"
            )
            return result | {"failed": True, "msg": f"{host}: {arguments['src']} {why}"}
        return result
