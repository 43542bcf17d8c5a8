"""Hand inventory variables to `collect.plan`; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError

from collect.decode import encode
from collect.errors import DataError
from collect.inputs import check_whole
from collect.plan import plan_from_variables
from collect.variants import MAX_CORES


def serverbench_plan(variables: dict[str, Any], host: str, cores: int | str) -> dict[str, Any]:
    """Return the plan of one host, `collect.model.Plan` as a dict.

    Args:
        variables: what `collect.plan.plan_from_variables` reads, under the inventory's names.
        host: the host's name in the inventory.
        cores: processor cores of the host, for `workers: per_core`.
    """
    created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        return encode(
            plan_from_variables(
                variables,
                host=host,
                cores=check_whole(cores, "cores", 1, MAX_CORES),
                created_at=created_at,
            )
        )
    except DataError as error:
        raise AnsibleFilterError(str(error)) from None


def serverbench_plan_differences(begun: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name the parts in which two plans of one run differ; when they were made does not count."""
    names = sorted({*begun, *now} - {"created_at"})
    return [name for name in names if begun.get(name) != now.get(name)]


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this plugin."""
        return {
            "serverbench_plan": serverbench_plan,
            "serverbench_plan_differences": serverbench_plan_differences,
        }
