"""Hand inventory variables to `collect.schedule`; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError

from collect import schedule
from collect.decode import decode, encode
from collect.errors import DataError
from collect.inputs import check_whole
from collect.model import Plan
from collect.plan import estimate_disk_bytes
from collect.variants import MAX_CORES


def serverbench_schedule(
    variables: dict[str, Any], host: str, cores: int | str, zone: str
) -> dict[str, Any]:
    """Return the plan of one host's scheduled run, `collect.model.Plan` as a dict.

    Args:
        variables: what `collect.schedule.plan_schedule` reads, under the inventory's names.
        host: the host's name in the inventory.
        cores: processor cores of the host, for `workers: per_core`.
        zone: the host's time zone by its name; empty is UTC.
    """
    now = datetime.now(timezone.utc)
    try:
        plan = schedule.plan_schedule(
            variables,
            host=host,
            cores=check_whole(cores, "cores", 1, MAX_CORES),
            zone=zone or "UTC",
            now=now,
        )
    except DataError as error:
        raise AnsibleFilterError(str(error)) from None
    return encode(plan)


def serverbench_schedule_differences(begun: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Name the parts in which a schedule differs; see `collect.schedule.differences`."""
    return schedule.differences(begun, wanted)


def serverbench_schedule_is_over(begun: dict[str, Any]) -> bool:
    """Tell whether the last window of a plan has closed."""
    return schedule.is_over(begun, datetime.now(timezone.utc))


def serverbench_schedule_words(plan: dict[str, Any], zone: str) -> str:
    """Say in a sentence or two when a plan runs and what it takes."""
    return schedule.describe(decode(Plan, plan, "schedule"), zone or "UTC")


def serverbench_schedule_size_mb(plan: dict[str, Any]) -> int:
    """Say how much the results of a plan take on the host's disk, in MB."""
    return round(estimate_disk_bytes(decode(Plan, plan, "schedule")) / 1e6)


def serverbench_on_calendar(starts_at: str) -> str:
    """Write a moment as systemd's OnCalendar= takes it."""
    moment = datetime.fromisoformat(starts_at).astimezone(timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this plugin."""
        return {
            "serverbench_on_calendar": serverbench_on_calendar,
            "serverbench_schedule": serverbench_schedule,
            "serverbench_schedule_differences": serverbench_schedule_differences,
            "serverbench_schedule_is_over": serverbench_schedule_is_over,
            "serverbench_schedule_size_mb": serverbench_schedule_size_mb,
            "serverbench_schedule_words": serverbench_schedule_words,
        }
