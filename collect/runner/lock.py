"""One runner per host."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError

if TYPE_CHECKING:
    from pathlib import Path


class HostBusyError(ServerbenchError):
    """Another runner works on this host."""


class HostLock:
    """Held until `release` or the end of the process, however it ends: the kernel sees to it."""

    def __init__(self, path: Path, run_id: str, since: str) -> None:
        """Take the lock and write down who holds it.

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
            raise HostBusyError(_describe(text)) from None
        holder = {"run_id": run_id, "pid": os.getpid(), "since": since}
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, (json.dumps(holder) + "\n").encode(), 0)

    def release(self) -> None:
        """Let the next runner in."""
        os.close(self._handle)


def _describe(text: str) -> str:
    try:
        holder = json.loads(text)
        who = f"run {holder['run_id']}, pid {holder['pid']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "it has not written down who it is"
    return f"another runner works on this host ({who}); wait for it, or stop its unit"
