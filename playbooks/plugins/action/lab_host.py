"""Look at a lab host in this process, and start the module only where something is to be done.

Mostly the host is up and as asked. To find that out takes a tenth of a second, and to start a
module on this machine for it half of one more.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.append(str(Path(__file__).resolve().parents[3] / "roles/lab_host/module_utils"))

from serverbench_lab.command import LabError, Steps
from serverbench_lab.host import LabHost
from serverbench_lab.records import ARGUMENT_SPEC, REQUIRED_IF, Wanted


class ActionModule(ActionBase):
    """`lab_host: {…}`; the module's documentation has the rest."""

    _requires_connection = True
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the module does, or that there is nothing to do."""
        result = super().run(tmp, task_vars)
        if os.geteuid() == 0 and self._task.args.get("state") == "present" and self._is_there():
            return result | {"changed": False, "actions": [], "timings_s": {}}
        return result | self._execute_module(task_vars=task_vars)

    def _is_there(self) -> bool:
        # As in check mode: what would be done, and what goes wrong, is the module's business.
        _, given = self.validate_argument_spec(ARGUMENT_SPEC, required_if=REQUIRED_IF)
        steps = Steps(check_mode=True)
        try:
            LabHost(Wanted.of(given), steps).present()
        except (LabError, OSError, ValueError):
            return False
        return not steps.actions
