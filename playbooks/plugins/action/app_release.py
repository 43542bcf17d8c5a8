"""Send a packed release to the host and have the module of the same name install it.

`ansible.builtin.unarchive` would be a task of its own, and go to the host and back five times.
"""

from __future__ import annotations

import shlex
import uuid
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """`app_release: {archive, …}`; the module's documentation has the rest."""

    _requires_connection = True
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the module does; in check mode the archive stays here."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("archive") and not self._task.check_mode:
            target = f"{arguments['cache_dir']}/incoming-{uuid.uuid4().hex}.tar.gz"
            quoted = shlex.quote(target)
            # Over the open connection, as root from the start.
            sent = self._low_level_execute_command(
                f"umask 022; mkdir -p {shlex.quote(arguments['cache_dir'])} && umask 077"
                f" && cat > {quoted} || {{ rm -f {quoted}; exit 1; }}",
                in_data=Path(arguments["archive"]).read_bytes(),
            )
            if sent["rc"] != 0:
                host = (task_vars or {}).get("inventory_hostname", "host")
                why = (sent["stderr"] or sent["stdout"]).strip() or f"exit status {sent['rc']}"
                return result | {"failed": True, "msg": f"{host}: {target}: {why}"}
            arguments["archive"] = target
        return result | self._execute_module(
            "app_release", module_args=arguments, task_vars=task_vars
        )
