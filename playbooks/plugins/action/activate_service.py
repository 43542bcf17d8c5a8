"""Hand an activation to the host's own tool, and tell its answer as a task's result.

One command over the open connection: no module, and so no second Python, is started for it.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """`activate_service: {tool, activation}`; fails with why, and the server's last lines."""

    _requires_connection = True
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `changed` and `what`; in check mode what would be changed."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "tool": {"type": "path", "required": True},
                "activation": {"type": "dict", "required": True},
            }
        )
        host = (task_vars or {}).get("inventory_hostname", "host")
        command = ["python3", "-B", arguments["tool"], "activate", "-"]
        if self._task.check_mode:
            command.append("--check")
        said = self._low_level_execute_command(
            shlex.join(command), in_data=json.dumps(arguments["activation"]).encode()
        )
        try:
            outcome = json.loads(said["stdout"])
        except ValueError:
            why = (said["stderr"] or said["stdout"]).strip() or f"exit status {said['rc']}"
            return result | {"failed": True, "msg": f"{host}: {arguments['tool']}: {why}"}
        if outcome["failed"]:
            return result | {
                "failed": True,
                "msg": f"{host}: {outcome['message']}",
                "stderr": outcome["journal"],
            }
        return result | {"changed": outcome["changed"], "what": outcome["what"]}
