"""Asking QEMU to do something, over its control socket."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TIMEOUT_S = 10


def ask(path: Path, command: str) -> bool:
    """Have QEMU execute a command without arguments; false when it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            with connection.makefile("rw") as lines:
                # It greets, and takes commands once its capabilities are settled.
                lines.readline()
                for word in ("qmp_capabilities", command):
                    lines.write(json.dumps({"execute": word}) + "\n")
                    lines.flush()
                    if not _succeeded(lines.readline):
                        return False
    except (OSError, ValueError):
        return False
    return True


def _succeeded(read_line: Callable[[], str]) -> bool:
    while line := read_line():
        answer = json.loads(line)
        # Events come in between.
        if "event" not in answer:
            return "return" in answer
    return False
