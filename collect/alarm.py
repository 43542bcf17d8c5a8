"""A limit on work that looks at nothing but itself, such as the matching of an expression.

Standard library only, Python 3.10: it ships with the host runner.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` inside once that many seconds are over; in the main thread only.

    The `re` module looks for signals every 4096 steps, and a step reads the text to its end at
    most: on a text of 128 KiB the alarm gets through within a second.
    """

    def ring(_signal: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
