"""A run in windows of time: which blocks run when. Pure.

Each window has blocks of its own, so that a block never mixes two times of day: what is compared
inside a block was measured in the same window. Times are local to the host, in its own zone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collect.decode import decode
from collect.errors import DataError, shown
from collect.inputs import MAX_BLOCKS, check_whole
from collect.model import Window
from collect.plan import estimate_disk_bytes, estimate_s, plan_from_variables
from collect.variants import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.model import Plan

TIMES = "schedule_times"
DAYS = "schedule_days"
BLOCKS = "schedule_blocks"
DEFAULT_DAYS = 7
DEFAULT_BLOCKS = 2
MAX_DAYS = 60
ROOM = 1.25
"""From one start to the next, in units of what a window is estimated to take: servers that fail and
trials that run twice take longer than the estimate."""
LEAD = timedelta(minutes=1)
"""A window that starts earlier than this from now would be missed while the plan is on its way."""

_MINUTE = timedelta(minutes=1)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def plan_schedule(
    variables: Mapping[str, Any], *, host: str, cores: int, zone: str, now: datetime
) -> Plan:
    """Return the plan of a scheduled run.

    Args:
        variables: those of `plan_from_variables`, and `schedule_times` (a list of `HH:MM`),
            `schedule_days` (how many of each) and `schedule_blocks` (of each window). What ends a
            run early has no part in it: every window has the same number of blocks.
        host: the host's name in the inventory.
        cores: of the host.
        zone: the host's, as in `Asia/Shanghai`.
        now: with a zone, any; the first window is the first that starts after it.

    Raises:
        DataError: a variable does not fit; the message names it.
    """
    data = plain(variables)
    times = _check_times(data.get(TIMES))
    days = check_whole(data.get(DAYS, DEFAULT_DAYS), DAYS, 1, MAX_DAYS)
    each = check_whole(data.get(BLOCKS, DEFAULT_BLOCKS), BLOCKS, 1, MAX_BLOCKS)
    count = len(times) * days
    if count * each > MAX_BLOCKS:
        raise DataError(
            f"{DAYS}: {days} days with {len(times)} windows of {each} blocks are {count * each} "
            f"blocks; accepted: {MAX_BLOCKS} in all"
        )
    plan = plan_from_variables(
        {
            **data,
            "bench_blocks": count * each,
            "bench_decide": None,
            "bench_time_budget_s": None,
        },
        host=host,
        cores=cores,
        created_at=now.isoformat(timespec="seconds"),
    )
    if plan.order != "interleaved":
        raise DataError(
            f"bench_order: got {plan.order!r} for a scheduled run, whose windows each hold whole "
            "blocks; accepted: interleaved"
        )
    took = timedelta(seconds=window_s(plan, each))
    starts = _starts(times, count, find_zone(zone, host), now)
    return replace(plan, windows=_windows(starts, took, each))


def differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the parts in which a schedule on a host differs from the one that is wanted.

    Both are plans as dicts. When they were made, what the run is called and on which day it begins
    does not count.
    """

    def comparable(plan: Mapping[str, Any]) -> dict[str, Any]:
        starts = [str(window["starts_at"]) for window in plan.get("windows", ())]
        # The time of day with its offset: another zone is another time.
        shape = (len(starts), sorted({start[10:] for start in starts}))
        left_out = ("created_at", "run_id", "windows")
        rest = {name: value for name, value in plan.items() if name not in left_out}
        return {**rest, "windows": shape}

    one, other = comparable(begun), comparable(now)
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


def is_over(begun: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether the last window of a plan, as a dict, has closed; a plan without any is over."""
    ends = [datetime.fromisoformat(window["ends_at"]) for window in begun.get("windows", ())]
    return all(end <= now for end in ends)


def describe(plan: Plan, zone: str) -> str:
    """Say when a plan with windows runs, how long each takes, and what it takes on the disk."""
    first, last = (datetime.fromisoformat(plan.windows[place].starts_at) for place in (0, -1))
    times = sorted({datetime.fromisoformat(w.starts_at).strftime("%H:%M") for w in plan.windows})
    each = plan.windows[0].last_block - plan.windows[0].first_block + 1
    return (
        f"run {plan.run_id}: {len(plan.windows)} windows at {' and '.join(times)} ({zone}), from "
        f"{first:%a %d %b %H:%M} to {last:%a %d %b %H:%M}; each has {each} blocks and takes about "
        f"{window_s(plan, each) / 60:.0f} min, in which the host's own service is stopped. "
        f"Results: at most {estimate_disk_bytes(plan) / 1e6:.0f} MB"
    )


def window_s(plan: Plan, blocks: int) -> float:
    """Return how long a window of so many blocks is estimated to take, in seconds."""
    return estimate_s(plan).total_s * blocks / plan.blocks


def find_zone(name: str, host: str) -> ZoneInfo:
    """Return the time zone; `DataError` where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(
            f"{host}: is in time zone {name!r}, which this machine knows nothing of; set the "
            "host's with timedatectl set-timezone"
        ) from error


def _check_times(given: object) -> list[time]:
    known = plain(given)
    accepted = "a list of times of day in quotes, as in ['15:00', '04:00']"
    for item in known if isinstance(known, list) else []:
        if isinstance(item, int) and not isinstance(item, bool):
            # YAML 1.1 reads 15:00 as a number of base 60.
            raise DataError(f"{TIMES}: got the number {item}; accepted: {accepted}")
    if not known:
        raise DataError(f"{TIMES}: got nothing; accepted: {accepted}")
    if isinstance(known, str):
        known = [known]
    found = []
    for index, text in enumerate(decode(tuple[str, ...], known, TIMES)):
        match = _TIME.fullmatch(text.strip())
        if match is None:
            raise DataError(f"{TIMES}[{index}]: got {shown(text)}; accepted: {accepted}")
        moment = time(int(match[1]), int(match[2]))
        if moment in found:
            raise DataError(f"{TIMES}[{index}]: got {text!r} twice; accepted: each time once")
        found.append(moment)
    return sorted(found)


def _starts(times: Sequence[time], count: int, zone: ZoneInfo, now: datetime) -> list[datetime]:
    found: list[datetime] = []
    day: date = now.astimezone(zone).date()
    while len(found) < count:
        # A time that a clock leaves out in spring is an hour off that day, and no worse.
        starts = [datetime.combine(day, moment, zone) for moment in times]
        found += [start for start in starts if start.timestamp() >= (now + LEAD).timestamp()]
        day += timedelta(days=1)
    return found[:count]


def _windows(starts: Sequence[datetime], took: timedelta, each: int) -> tuple[Window, ...]:
    windows = []
    for index, start in enumerate(starts):
        # In UTC: the clock of a zone jumps twice a year.
        ends = start.astimezone(timezone.utc) + 2 * took
        if index + 1 < len(starts):
            following = starts[index + 1]
            gap = following.astimezone(timezone.utc) - start.astimezone(timezone.utc)
            if gap < ROOM * took:
                raise DataError(
                    f"{TIMES}: {start:%H:%M} and {following:%H:%M} are {gap // _MINUTE} minutes "
                    f"apart, and a window of {each} blocks takes about {took / _MINUTE:.0f}; "
                    f"accepted: times further apart, or fewer {BLOCKS}"
                )
            # The last block must be over when the next window opens.
            ends = min(ends, following.astimezone(timezone.utc) - took / each)
        windows.append(
            Window(
                starts_at=start.isoformat(timespec="seconds"),
                ends_at=ends.astimezone(start.tzinfo).isoformat(timespec="seconds"),
                first_block=index * each + 1,
                last_block=(index + 1) * each,
            )
        )
    return tuple(windows)
