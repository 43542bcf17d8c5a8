"""Does a host's sshd answer?"""

from __future__ import annotations

import socket
from functools import partial

from .command import wait_until

_PORT = 22
_BANNER = b"SSH-2.0"
_CONNECT_TIMEOUT_S = 0.2


def answers(address: str, patience_s: float) -> bool:
    """Ask sshd for its banner, the way a client would, and wait so long for it."""
    try:
        with socket.create_connection((address, _PORT), timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.settimeout(patience_s)
            # All of it: closing on unread bytes would be a reset, and an error in sshd's journal.
            return connection.recv(256).startswith(_BANNER)
    except OSError:
        return False


def answers_within(address: str, timeout_s: float) -> bool:
    """Ask again and again until it answers; false when time is up."""
    return wait_until(partial(answers, address, timeout_s / 5), timeout_s)
