"""Refuse a variable that makes no sense, before any host is touched; see `collect.variables`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase

from collect.errors import DataError, shown
from collect.kit_variables import check_names, kit_variables
from collect.variables import ENVIRONMENTS, RULES, check_variables

ROOT = Path(__file__).resolve().parents[3]


class _UnknownHereError(Exception):
    """What the variable is derived from is not known in this place."""


class ActionModule(ActionBase):
    """`check_variables:` fails with the first variable of the host that does not fit."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `failed` with a line that names the variable and what it accepts."""
        result = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        known = task_vars or {}
        values: dict[str, Any] = {}
        if "_raw_params" in known:
            # Ansible takes it for the words of a command, and says nothing.
            got = shown(str(known["_raw_params"]))
            accepted = "name=value without spaces around the =, JSON, or @file"
            return result | {"failed": True, "msg": f"-e: got {got}; accepted: {accepted}"}
        try:
            check_names(known, kit_variables(ROOT))
            for name in (*RULES, *ENVIRONMENTS):
                if name in known:
                    with contextlib.suppress(_UnknownHereError):
                        values[name] = self._value(known[name], name)
            check_variables(values)
        except DataError as error:
            return result | {"failed": True, "msg": f"{known['inventory_hostname']}: {error}"}
        return result

    def _value(self, given: Any, name: str) -> Any:  # noqa: ANN401 - whatever the inventory holds
        try:
            return self._templar.template(given)
        except AnsibleUndefinedVariable:
            # Derived from what is known at its place alone, as server_bind is.
            raise _UnknownHereError from None
        except AnsibleError as error:
            if "The filter plugin 'serverbench_" in str(error):
                # It names a variable this one is derived from: told where the plan is made of it.
                raise _UnknownHereError from None
            raise DataError(f"{name}: cannot be read: {error}") from None
