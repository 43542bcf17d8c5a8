"""Stop what serves on the host before the run, and start it again after it, however that ends.

What serves need not be in the plan: the host may serve one variant and measure six others. It is
written down in a small file beside the results, which outlives a runner that was killed and a host
that was switched off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from collect.errors import ServerbenchError
from collect.runner.systemd import SERVING_UNIT, start_failure
from collect.runner.trial_folder import sync, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collect.runner.seams import Clock, Services

_UNREADABLE = (ValueError, KeyError, TypeError)
_WATCHED_S = 1.0
"""A port that is taken, a file that is gone: a server that cannot start ends within that time."""


class Restore:
    """Holds what was serving while the run needs the port and both cores."""

    def __init__(
        self,
        path: Path,
        units: Sequence[str],
        services: Services,
        clock: Clock,
        stop_timeout_s: float,
    ) -> None:
        """Keep what is needed; `units` are those of the plan."""
        self._path = path
        self._units = tuple(units)
        self._services = services
        self._clock = clock
        self._stop_timeout_s = stop_timeout_s

    def take_over(self) -> str | None:
        """Write down what serves, then stop it; return what could not be stopped, in words.

        What an earlier session wrote down stays: it knew what served before the run began. The
        service that the boot started again, in the middle of the run, is stopped once more.
        """
        active = self._services.serving()
        try:
            self._read()
        except (OSError, *_UNREADABLE):
            # Not there, or damaged, as by a power cut: what the boot started is what serves here.
            write_atomically(self._path, json.dumps({"active": active}) + "\n")
            sync(self._path)
        return self._services.stop(active, self._stop_timeout_s) if active else None

    def is_needed(self) -> bool:
        """Tell whether something served before the run that was not put back yet."""
        return self._path.exists()

    def put_back(self) -> str | None:
        """Stop what the run started and start again what served before; return what went wrong.

        Safe to call again: once all is back there is nothing left to do. While the host goes down
        nothing can be started; the file stays then, for the session after the boot.
        """
        if self._services.is_shutting_down():
            return None
        try:
            before = self._read()
        except FileNotFoundError:
            return None
        except (OSError, *_UNREADABLE) as error:
            return f"{self._path}: cannot be read ({error}); start the service yourself"
        # Only such as could have been written down: the file might have been edited.
        units = [unit for unit in before if unit in self._units or _may_serve(unit)]
        try:
            problem = self._put_back(units)
        except ServerbenchError as error:
            problem = str(error)
        if problem:
            return f"{', '.join(units)} ran before and could not be started again: {problem}"
        self._path.unlink(missing_ok=True)
        return None

    def _read(self) -> list[Any]:
        found: list[Any] = json.loads(self._path.read_text("utf-8"))["active"]
        return found

    def _put_back(self, units: Sequence[str]) -> str | None:
        # A runner that was killed left the variant under test on the port.
        left = [u for u in self._services.active(self._units) if u not in units]
        if left and (problem := self._services.stop(left, self._stop_timeout_s)):
            return problem
        if not units:
            return None
        return self._services.start(units) or self._failure(units)

    def _failure(self, units: Sequence[str]) -> str | None:
        """Watch the units for a moment, since a start is only queued; return what ended."""
        until_s = self._clock.monotonic() + _WATCHED_S
        while True:
            for unit in units:
                if problem := start_failure(self._services.state(unit)):
                    return f"{unit}: {problem}"
            if self._clock.monotonic() >= until_s:
                return None
            self._clock.sleep(_WATCHED_S / 4)


def _may_serve(unit: object) -> bool:
    return isinstance(unit, str) and SERVING_UNIT.fullmatch(unit) is not None
