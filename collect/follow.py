"""Which of the runs on the hosts somebody means who wants to follow one. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = 3
_SECONDS = re.compile(r"[0-9]{1,12}")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class _HostRun:
    run_id: str
    is_under_way: bool
    planned_at_s: int


def choose_run(listings: Mapping[str, str], wanted: str = "") -> str:
    """Return the id of the run to follow.

    Args:
        listings: what each host says of its runs, a line each: `now` or `past`, the time of its
            plan in seconds since 1970, its id.
        wanted: the id that was asked for. Empty: the run under way, or else the one planned last.

    Raises:
        DataError: no host has such a run.
    """
    runs = [run for text in listings.values() for run in _parse(text)]
    hosts = ", ".join(sorted(listings))
    if not runs:
        raise DataError(f"{hosts}: no run is there; serverbench run begins one")
    if wanted:
        if wanted not in {run.run_id for run in runs}:
            newest = sorted(runs, key=lambda run: -run.planned_at_s)
            known = list(dict.fromkeys(run.run_id for run in newest))[:_NAMED]
            raise DataError(f"{wanted}: no such run on {hosts}; there are {', '.join(known)}")
        return wanted
    return max(runs, key=lambda run: (run.is_under_way, run.planned_at_s)).run_id


def has_run(listing: str, run_id: str) -> bool:
    """Tell whether a host has the run, by its listing as in `choose_run`."""
    return any(run.run_id == run_id for run in _parse(listing))


def _parse(text: str) -> list[_HostRun]:
    """Take the lines that are runs; a shell may say other things around them."""
    found = []
    for line in text.splitlines():
        words = line.split()
        # The id becomes the name of a folder here: a host does not choose another place with it.
        if (
            len(words) == _PARTS
            and words[0] in {"now", "past"}
            and _SECONDS.fullmatch(words[1])
            and _RUN_ID.fullmatch(words[2])
        ):
            found.append(_HostRun(words[2], words[0] == "now", int(words[1])))
    return found
