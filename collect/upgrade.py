"""Lift what an older serverbench wrote to the shape of today, or say why that cannot be done.

Pure functions from dict to dict, one for each version and kind of file. Nothing is invented: what
an old run did not measure becomes null. Ships with the host runner: standard library, Python 3.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from collect.errors import DataError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["plan", "trial", "decision"]


def upgrade(data: dict[str, Any], kind: Kind, current: int, where: str) -> dict[str, Any]:
    """Return `data` as version `current` would have written it; the argument stays as it is.

    Args:
        data: what the JSON parser returned.
        kind: which file it is.
        current: the version that this serverbench writes.
        where: names the file in messages.

    Raises:
        DataError: the version is newer than this serverbench, or none at all.
    """
    version = data.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DataError(
            f"{where}: schema_version is {shown(version)}; accepted: 1 to {current}. Was this file "
            "written by serverbench?"
        )
    if version > current:
        raise DataError(
            f"{where}: schema_version is {shown(version)}; this serverbench reads {current} and "
            "older. Update this checkout (git pull), or read the run with the version that made it"
        )
    while version < current:
        step = _STEPS.get((version, kind))
        data = {**data} if step is None else step(data)
        version += 1
        data["schema_version"] = version
    return data


def _plan_1_to_2(data: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 ran all its blocks and no trial twice; its variants had no twin."""
    return {**data, "stopping": {"min_blocks": data.get("blocks")}}


def _trial_1_to_2(data: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 measured neither the runner nor other processes, nor the trend in a trial."""
    return {
        **data,
        "attempt": 1,
        "cpu": _with(data.get("cpu"), "runner_s", "others"),
        "host_state": _with(data.get("host_state"), "trend_ratio"),
    }


def _trial_2_to_3(data: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2 had no proxies."""
    return {**data, "proxy_figures": None}


def _with(part: object, *names: str) -> object:
    """Add unknown figures to a part; one that is not there stays away."""
    return {**part, **dict.fromkeys(names)} if isinstance(part, dict) else part


_STEPS: dict[tuple[int, str], Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    (1, "plan"): _plan_1_to_2,
    (1, "trial"): _trial_1_to_2,
    (2, "trial"): _trial_2_to_3,
}
