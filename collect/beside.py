"""Work in a process beside this one.

The process is a copy of this one and sees all that is here, so that only what it makes has to be
sent. A pool of `concurrent.futures` would have the figures of a whole run sent to it, which takes
longer than what it is to do with them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
_WORTH_IT = 2_000
"""Trials from which on it gains more than a process takes to start."""
_PIPE_BYTES = 2**20
"""As much as whoever is not root may ask for, unless told otherwise. In the usual 64 KiB the two
wait for each other all the time, which was a tenth of what reading a long run took."""


def is_worth_it(trials: int) -> bool:
    """Tell whether work on so many trials is better divided, and can be."""
    return trials >= _WORTH_IT and can_be_apart()


def can_be_apart() -> bool:
    """Tell whether two processes are faster than one here, and this one can be copied.

    A copy of a process has only one of its threads, whatever the others held just then; and what
    macOS brings does not bear being copied.
    """
    if (os.cpu_count() or 1) == 1 or sys.platform != "linux":
        return False
    # Not those of Python alone: the JavaScript that draws charts brings its own.
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - their number is all


def beside(parts: Callable[[], Iterable[T]], *, apart: bool, niceness: int = 0) -> Iterator[T]:
    """Return the parts of a work that begins at once, in a process of its own.

    It waits while more than a MiB of it has not been asked for. What it could not do is done here:
    then whatever is wrong shows where it can be told.

    Args:
        parts: gives the same each time, changes nothing that is needed here, and makes what pickle
            can take.
        apart: False does it all here, part by part as they are asked for.
        niceness: how far the process steps back where cores are few; see nice(2).
    """
    if not apart:
        return iter(parts())
    # Take their time, or are not there everywhere, and are needed for long runs only.
    import fcntl  # noqa: PLC0415
    import multiprocessing  # noqa: PLC0415

    fork = multiprocessing.get_context("fork")
    try:
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=_send, args=(parts, receiver, sender, niceness), daemon=True)
        process.start()
    except OSError:
        return iter(parts())  # No memory for a copy, or no more processes allowed.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # The host allows less.
            fcntl.fcntl(receiver.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    sender.close()
    return _received(parts, receiver, process)


def end_all() -> None:
    """End what nobody has asked for any more, as when Ctrl-C comes before a first part is taken.

    For a process that ends without Python's own clearing up, which would see to it.
    """
    if multiprocessing := sys.modules.get("multiprocessing"):
        for process in multiprocessing.active_children():
            process.kill()


def _send(
    parts: Callable[[], Iterable[T]], receiver: Connection, sender: Connection, niceness: int
) -> None:
    # Ctrl-C reaches every process; the first one says so for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    receiver.close()
    try:
        os.nice(niceness)
        for part in parts():
            sender.send((part,))
        sender.send(None)
    except Exception:  # noqa: S110 - the first process meets it again, or does not listen
        pass


def _received(
    parts: Callable[[], Iterable[T]], receiver: Connection, process: BaseProcess
) -> Iterator[T]:
    done = 0
    try:
        while (got := receiver.recv()) is not None:
            done += 1
            yield got[0]
    except (EOFError, OSError):  # Its end between two parts, and within one.
        yield from islice(parts(), done, None)
    finally:
        receiver.close()
        process.kill()
        process.join()
