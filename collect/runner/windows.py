"""When a scheduled run may work, and what it says of a window that it had to miss."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

from collect.runner.seams import iso
from collect.runner.trial_folder import CHECKSUMS, write_run_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collect.model import Plan, Window

MISSED = "missed.jsonl"
MIN_FREE_BYTES = 200 * 1024**2
"""A host whose disk is full serves nobody: no window begins below this."""
EARLY_S = 5.0
"""A timer may be this much early: the host's clock was set while it waited."""
# Of host.json: figures under one of these cannot be compared with figures under another.
_MUST_STAY = ("release", "packages", "units", "settings")


def open_window(plan: Plan, now_s: float) -> Window | None:
    """Return the window that is open at this time (seconds since the epoch), if one is."""
    for window in plan.windows:
        if _seconds(window.starts_at) - EARLY_S <= now_s < _seconds(window.ends_at):
            return window
    return None


def has_closed(window: Window, now_s: float) -> bool:
    """Tell whether no further block may begin in the window."""
    return now_s >= _seconds(window.ends_at)


def outlook(plan: Plan, now_s: float) -> str | None:
    """Say when the next window opens; None after the last."""
    for window in plan.windows:
        if _seconds(window.starts_at) - EARLY_S > now_s:
            return f"the next window opens at {window.starts_at}"
    return None


def obstacle(run_dir: Path, facts: Mapping[str, Any]) -> str | None:
    """Say why nothing may be measured now, or None.

    Args:
        run_dir: folder of the run; its `host.json` says what the first window found.
        facts: what there is now, in the same form.
    """
    free_bytes = shutil.disk_usage(run_dir).free
    if free_bytes < MIN_FREE_BYTES:
        return (
            f"the disk of {run_dir} has {free_bytes // 2**20} MiB left, and a window begins with "
            f"{MIN_FREE_BYTES // 2**20} or more: make room, or pull and remove other runs"
        )
    try:
        first = json.loads((run_dir / "host.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # The first window, or a file that somebody spoilt: nothing to compare with.
    # What a runner of before did not write down cannot be compared.
    known = [name for name in _MUST_STAY if isinstance(first, dict) and name in first]
    changed = [name for name in known if first[name] != facts[name]]
    if not changed:
        return None
    return (
        f"what is deployed is not what the first window measured ({', '.join(changed)} differ from "
        "host.json): schedule anew"
    )


def note_missed(run_dir: Path, window: Window, now_s: float, why: str) -> None:
    """Add a line to `missed.jsonl`: which window, when that was found out, and why."""
    line = json.dumps({"window": window.starts_at, "at": iso(now_s), "why": why})
    with (run_dir / MISSED).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    if (run_dir / CHECKSUMS).exists():
        write_run_sums(run_dir)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
