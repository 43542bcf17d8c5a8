"""Quote values for systemd unit files, whose rules are not those of a shell (systemd.syntax(7))."""

from __future__ import annotations

import re
from collections.abc import Callable

_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_\[\]{}()*?-]+")


def systemd_quote_environment_file(value: object) -> str:
    """Quote a value of an `EnvironmentFile=`, where neither `%` nor `$` has a meaning.

    In quotes a line break is kept. No message repeats the value: it may be a secret, and what a
    filter says is shown even where a task is not.
    """
    text = str(value)
    if "\0" in text:
        raise ValueError("an environment cannot hold NUL")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def systemd_quote(value: object) -> str:
    """Quote one item of a setting such as `Environment=`: specifiers (`%`) lose their meaning."""
    if "\n" in str(value):
        raise ValueError("a setting of a unit cannot hold a line break")
    return systemd_quote_environment_file(value).replace("%", "%%")


def systemd_quote_exec(value: object) -> str:
    """Quote one argument of `ExecStart=`, where `$` would start a variable as well."""
    return systemd_quote(value).replace("$", "$$")


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[[object], str]]:
        """Return the filters of this plugin."""
        return {
            "systemd_quote": systemd_quote,
            "systemd_quote_environment_file": systemd_quote_environment_file,
            "systemd_quote_exec": systemd_quote_exec,
        }
