"""Hand an activation and its release to the host's own tool, and tell what it did.

One command over the open connection: no module, and so no second Python, is started for it.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from collect.activation import Outcome
from collect.decode import decode
from collect.errors import DataError

MAX_ANSWER = 1024 * 1024


class ActionModule(ActionBase):
    """`activate_service: {tool, activation, archive}`; fails with why, and a server's last lines.

    The archive goes along where the activation says that it is to be unpacked. A tool that
    `is_outdated` would not know what it is asked, so that check mode only foresees another.
    """

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
                "archive": {"type": "path", "default": ""},
                "is_outdated": {"type": "bool", "default": False},
            }
        )
        host = (task_vars or {}).get("inventory_hostname", "host")
        if arguments["is_outdated"] and self._task.check_mode:
            what = f"{arguments['tool']} changes"
            why = f"{host}: {what} first; what would change after that, only the new one can tell"
            return result | {"changed": True, "what": [what], "warnings": [why]}
        wanted = arguments["activation"]
        sent = json.dumps(wanted).encode() + b"\n"
        if (wanted.get("install") or {}).get("unpack") and not self._task.check_mode:
            sent += Path(arguments["archive"]).read_bytes()
        # Debian's, as in the runner's unit: another one in the PATH has none of its packages.
        command = ["/usr/bin/python3", "-B", arguments["tool"], "activate", "-"]
        if self._task.check_mode:
            command.append("--check")
        said = self._low_level_execute_command(shlex.join(command), in_data=sent)
        try:
            # What the host says is not trusted to be what its tool would say.
            outcome = decode(Outcome, json.loads(said["stdout"][:MAX_ANSWER]), arguments["tool"])
        except (ValueError, RecursionError, DataError):
            why = (said["stderr"] or said["stdout"]).strip() or f"exit status {said['rc']}"
            return result | {"failed": True, "msg": f"{host}: {arguments['tool']}: {why}"}
        if outcome.failed:
            return result | {
                "failed": True,
                "msg": f"{host}: {outcome.message}",
                "stderr": outcome.journal,
                "temporary": outcome.temporary,
            }
        return result | {
            "changed": outcome.changed,
            "what": list(outcome.what),
            "warnings": list(outcome.warnings),
            "diff": [
                {
                    "before": one.before or "",
                    "after": one.after or "",
                    "before_header": one.path,
                    "after_header": one.path,
                }
                for one in outcome.differences
            ],
        }
