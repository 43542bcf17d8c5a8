"""CPU time of everybody else on the host: one look just before the load, and one just after it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collect.model import ENDED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    Processes = Mapping[tuple[int, int], "ProcessCpu"]

LEAST_S = 0.05
"""Processes that spent less are left out: five ticks of the kernel's clock."""
MOST_NAMES = 8
_PROC = Path("/proc")
_KERNEL = 2  # kthreadd, the parent of all kernel threads.


@dataclass(frozen=True, slots=True)
class ProcessCpu:
    """CPU seconds of one process since its start."""

    name: str
    ppid: int
    own_s: float
    ended_s: float
    """Of its children that have ended, and theirs."""


def scan(left_out: Collection[int]) -> Processes:
    """Look at all processes but these, by process id and start time (ids are used again).

    Reads `/proc/PID/stat` only: psutil would take ten times as long.
    """
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    found = {}
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal() or int(entry.name) in left_out:
            continue
        try:
            text = (_PROC / entry.name / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # It has ended.
        # The name, in brackets, may hold anything; what follows the last bracket is regular.
        head, _, tail = text.rpartition(")")
        words = tail.split()
        name, ppid = head.partition("(")[2], int(words[1])
        if ppid == _KERNEL:
            name = name.partition("/")[0]  # kworker/0:1-events and its many siblings
        user, system, ended_user, ended_system = (int(word) * tick_s for word in words[11:15])
        found[int(entry.name), int(words[19])] = ProcessCpu(
            name, ppid, user + system, ended_user + ended_system
        )
    return found


def spent(before: Processes, after: Processes) -> dict[str, float]:
    """Return CPU seconds between two looks by name, the most expensive first.

    A process that ended meanwhile shows in the time its parent has for ended children. What it had
    spent before the first look is taken off there, and the parent is named `systemd (ended)`.
    """
    alive = {pid for pid, _ in after}
    parents = {pid: process.ppid for (pid, _), process in before.items()}
    old_s: dict[int, float] = {}
    for key, process in before.items():
        if key in after:
            continue
        heir = process.ppid
        while heir not in alive and heir in parents:
            heir = parents[heir]
        old_s[heir] = old_s.get(heir, 0.0) + process.own_s + process.ended_s
    totals: dict[str, float] = {}
    for (pid, begun), process in after.items():
        earlier = before.get((pid, begun))
        own_s, ended_s = process.own_s, process.ended_s
        if earlier is not None:
            own_s -= earlier.own_s
            ended_s -= earlier.ended_s
        ended_s -= old_s.get(pid, 0.0)
        for name, seconds in ((process.name, own_s), (f"{process.name}{ENDED}", ended_s)):
            if seconds > 0:
                totals[name] = totals.get(name, 0.0) + seconds
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return {name: round(s, 2) for name, s in ranked[:MOST_NAMES] if s >= LEAST_S - 1e-9}
