"""Stop a Python server in order: it takes no new connection, finishes those it has, then ends.

The servers on asyncio close, when told to end, connections they have accepted and not read from
yet, and Daphne and Hypercorn drop requests they are working on. On a socket that systemd keeps none
of these need be lost: whoever has not been accepted is served by the next instance.

So units whose server needs it have this folder on PYTHONPATH, which makes every Python process of
theirs import this module and listen for one more signal. As a program, run by systemd before it
sends SIGTERM, it sends that signal and waits until the connections are gone:

    sitecustomize.py MAIN_PID LIMIT_S
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

# No server uses a realtime signal.
TAKE_NOTHING_NEW = signal.SIGRTMIN + 5
LOOK_EVERY_S = 0.02
# What was accepted a moment before the signal is read by then, and seen as a connection.
SETTLE_S = 0.1


def take_nothing_new(*_: object) -> None:
    """Take every listening socket out of this process's event loops, which then accept no more."""
    listening, polls = [], []
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        # The folder is listed through a descriptor of its own, which may be gone.
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target == "anon_inode:[eventpoll]":
                polls.append(descriptor)
            elif target.startswith("socket:") and _listens(descriptor):
                listening.append(descriptor)
    for poll in polls:
        # A copy, because the object closes its descriptor when it goes.
        with select.epoll.fromfd(os.dup(poll)) as events:
            for descriptor in listening:
                with contextlib.suppress(OSError):
                    events.unregister(descriptor)


def _listens(descriptor: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        return bool(copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def processes_of(main_pid: int) -> list[int]:
    """Return the process and all that came from it."""
    found = [main_pid]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def listens_for_it(pid: int) -> bool:
    """Tell whether the process has this module's handler; the signal would end it otherwise."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (TAKE_NOTHING_NEW - 1) & 1)
    return False


def connections_of(pids: list[int]) -> set[str]:
    """Return the sockets over which these processes are connected to their clients."""
    mine: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    mine.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    # A client's connection has the port, or the path, of a socket that listens.
    tcp = [*_table("tcp", 10), *_table("tcp6", 10)]
    ports = {row[1].rpartition(":")[2] for row in tcp if row[3] == "0A" and row[9] in mine}
    unix = _table("unix", 8)
    paths = {row[7] for row in unix if row[3] == "00010000" and row[6] in mine}
    return {
        *(row[9] for row in tcp if row[3] == "01" and row[1].rpartition(":")[2] in ports),
        *(row[6] for row in unix if row[5] == "03" and row[7] in paths),
    } & mine


def _table(name: str, columns: int) -> list[list[str]]:
    rows = (line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:])
    return [row for row in rows if len(row) >= columns]


def stop_in_order(main_pid: int, limit_s: float) -> None:
    """Have the service take nothing new, and return when it has nothing left or time is up."""
    pids = [pid for pid in processes_of(main_pid) if listens_for_it(pid)]
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, TAKE_NOTHING_NEW)
    deadline = time.monotonic() + limit_s
    time.sleep(SETTLE_S)
    while connections_of(pids) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    stop_in_order(int(sys.argv[1]), float(sys.argv[2]))
else:
    signal.signal(TAKE_NOTHING_NEW, take_nothing_new)
