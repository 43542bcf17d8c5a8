"""Hand what hosts say of their runs to `collect.follow`; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from collect.errors import DataError
from collect.follow import choose_run, has_run


def serverbench_run_to_follow(listings: dict[str, Any], wanted: str) -> str:
    """Return the id of the run to follow; see `collect.follow.choose_run`."""
    try:
        return choose_run({str(host): str(text) for host, text in listings.items()}, str(wanted))
    except DataError as error:
        raise AnsibleFilterError(str(error)) from None


def serverbench_has_run(listing: str, run_id: str) -> bool:
    """Tell whether a host has the run, by what it says of its runs."""
    return has_run(str(listing), str(run_id))


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this plugin."""
        return {
            "serverbench_has_run": serverbench_has_run,
            "serverbench_run_to_follow": serverbench_run_to_follow,
        }
