"""Sample the service beside the load, in a thread that costs as little as it can."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from collect.runner.seams import Sample


MEMORY_EVERY = 2
"""Samples, of which one has the memory: the kernel walks through all pages for it, which is nearly
all that a sample costs. Counters that cost nothing are read each time."""


class Sampler:
    """Takes a sample at once, then one per interval, and a last one when it is stopped.

    Samples stay in memory until the load is over: nothing is written to disk meanwhile.
    """

    def __init__(self, take: Callable[[float, bool], Sample], interval_s: float) -> None:
        """Start the thread; `take` gets the seconds since now, and whether to measure memory."""
        self._take = take
        self._interval_s = interval_s
        self._start_s = time.monotonic()
        self._samples: list[Sample] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> list[Sample]:
        """End the sampling and return the samples in their order."""
        self._enough.set()
        self._thread.join()
        return self._samples

    def _run(self) -> None:
        due_s = self._start_s
        taken = 0
        while True:
            last = self._enough.is_set()
            # A lost sample shows as a gap in the coverage; the load goes on.
            with contextlib.suppress(Exception):
                measures = last or taken % MEMORY_EVERY == 0
                self._samples.append(self._take(time.monotonic() - self._start_s, measures))
            if last:
                return
            taken += 1
            due_s += self._interval_s
            # After a stall the missed moments are not made up for: that would be a burst of work.
            due_s = max(due_s, time.monotonic())
            self._enough.wait(due_s - time.monotonic())
