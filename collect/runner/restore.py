"""Stop what serves on the host before the run, and start it again after it, however that ends.

What serves need not be in the plan: the host may serve one variant and measure six others. It is
written down in a small file beside the results, which outlives a runner that was killed and a host
that was switched off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError
from collect.runner.systemd import SERVING_UNIT
from collect.runner.trial_folder import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collect.runner.seams import Services


class Restore:
    """Holds what was serving while the run needs the port and both cores."""

    def __init__(
        self, path: Path, units: Sequence[str], services: Services, stop_timeout_s: float
    ) -> None:
        """Keep what is needed; `units` are those of the plan."""
        self._path = path
        self._units = tuple(units)
        self._services = services
        self._stop_timeout_s = stop_timeout_s

    def take_over(self) -> str | None:
        """Write down what serves, then stop it; return what could not be stopped, in words.

        What an earlier session wrote down stays: it knew what served before the run began. The
        service that the boot started again, in the middle of the run, is stopped once more.
        """
        active = self._services.serving()
        if not self._path.exists():
            write_atomically(self._path, json.dumps({"active": active}) + "\n")
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
            before = json.loads(self._path.read_text("utf-8"))["active"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
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

    def _put_back(self, units: Sequence[str]) -> str | None:
        # A runner that was killed left the variant under test on the port.
        left = [u for u in self._services.active(self._units) if u not in units]
        if left and (problem := self._services.stop(left, self._stop_timeout_s)):
            return problem
        return self._services.start(units) if units else None


def _may_serve(unit: object) -> bool:
    return isinstance(unit, str) and SERVING_UNIT.fullmatch(unit) is not None
