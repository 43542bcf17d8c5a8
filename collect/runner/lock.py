"""One at a time: a runner, or whoever changes what the host serves."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from collect.errors import ServerbenchError

LOCK_FILE = Path("/run/serverbench/runner.lock")
"""One for each host."""


class HostBusyError(ServerbenchError):
    """A runner, or a deployment, works on this host."""

    def __init__(self, message: str, holder: str) -> None:
        """Keep who it is: `run 20260101-120000`, for instance; empty where nobody knows."""
        super().__init__(message)
        self.holder = holder


class HostLock:
    """Held until `release` or the end of the process, however it ends: the kernel sees to it."""

    def __init__(self, path: Path, holder: str, since: str) -> None:
        """Take the lock and write down who holds it: `run 20260101-120000`, for instance.

        Raises:
            HostBusyError: somebody else has it; the message says who, and since when.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(self._handle, 4096).decode("utf-8", "replace")
            os.close(self._handle)
            raise _busy(text) from None
        text = json.dumps({"holder": holder, "pid": os.getpid(), "since": since}) + "\n"
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._handle)


def _busy(text: str) -> HostBusyError:
    try:
        written = json.loads(text)
        holder = str(written["holder"])
        who = f"{holder}, pid {written['pid']}, since {written['since']}"
    except (ValueError, KeyError, TypeError):
        holder, who = "", "who it is, is not written down"
    kind, _, run_id = holder.partition(" ")
    end = ""
    if kind == "run":
        unit = f"serverbench-runner@{run_id}"
        end = f" (serverbench follow shows it), or end it: systemctl stop {unit}"
    return HostBusyError(f"this host is at work ({who}); wait for it{end}", holder)
