"""Refuse a variable that makes no sense, before any host is touched; see `collect.variables`."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from collect.errors import DataError, shown
from collect.kit_variables import check_names, kit_variables, own_values
from collect.variables import ENVIRONMENTS, RULES, check_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[3]
_UNDEFINED = re.compile(r"'(\w+)' is undefined")
_KNOWN_LATER = frozenset({"preflight_host", "server_item"})
"""What the playbooks set on their way."""
_CHECKED = frozenset({*RULES, *ENVIRONMENTS})


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
            declared = kit_variables(ROOT)
            check_names(known, declared)
            own = own_values(ROOT)
            # What somebody wrote comes before what the kit derives from it.
            given = {n: known[n] for n in sorted(declared | _CHECKED) if n in known}
            for name in sorted(given, key=lambda name: given[name] == own.get(name)):
                if name in _CHECKED or given[name] != own.get(name):
                    with contextlib.suppress(_UnknownHereError):
                        values[name] = self._value(given[name], name, declared, own)
            check_variables(values)
            _check_places(known)
        except DataError as error:
            return result | {"failed": True, "msg": f"{known['inventory_hostname']}: {error}"}
        return result

    def _value(
        self,
        given: Any,  # noqa: ANN401 - whatever the inventory holds
        name: str,
        declared: frozenset[str],
        own: Mapping[str, object],
    ) -> Any:  # noqa: ANN401 - the same
        try:
            return self._templar.template(given)
        except AnsibleError as error:
            missing = _UNDEFINED.search(str(error))
            if given == own.get(name) or (missing and missing[1] in declared | _KNOWN_LATER):
                # Derived from what is known at its place alone, as server_protocol is, or from a
                # variable that is named where the plan is made of it.
                raise _UnknownHereError from None
            raise DataError(f"{name}: cannot be read: {error}") from None


def _check_places(known: Mapping[str, Any]) -> None:
    """Raise `DataError` where two hosts of the play are one machine: it would refuse one of them.

    The first host looks for all: to ask for the variables of one takes milliseconds.
    """
    names = known.get("ansible_play_hosts_all", [])
    if known["inventory_hostname"] != next(iter(names), None):
        return
    found: dict[tuple[str, str], str] = {}
    for name in names:
        about = known["hostvars"][name]
        try:
            place = str(about.get("ansible_host", name)), str(about.get("ansible_port") or 22)
            if about.get("ansible_connection") == "local":
                place = "this machine", ""
        except AnsibleError:
            continue  # They are looked at where they are its own.
        if place in found:
            raise DataError(
                f"ansible_host: got {shown(place[0])} for {found[place]} and {name}; accepted: "
                "each machine once"
            )
        found[place] = name
