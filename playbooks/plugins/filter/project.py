"""Hand the project's variables to `collect.project`; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from collect.errors import DataError
from collect.inputs import check_environment


def serverbench_is_environment(variables: Any) -> bool:  # noqa: ANN401 - whatever the inventory holds
    """Return True for a mapping that an environment file can hold; no message repeats a value."""
    try:
        check_environment(variables)
    except DataError as error:
        raise AnsibleFilterError(str(error)) from None
    return True


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this plugin."""
        return {"serverbench_is_environment": serverbench_is_environment}
