"""Hand what apt said to `collect.packages`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collect.packages import newly_installed


def serverbench_newly_installed(said: str, asked: list[str]) -> list[str]:
    """Return which of the packages are new; see `collect.packages.newly_installed`."""
    return newly_installed(str(said), [str(name) for name in asked])


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this plugin."""
        return {"serverbench_newly_installed": serverbench_newly_installed}
