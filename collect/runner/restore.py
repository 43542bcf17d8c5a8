"""Remember which units ran before the run, and start them again after it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError
from collect.runner.trial_folder import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from collect.runner.seams import Services


class Restore:
    """A small file beside the results; it outlives a runner that is cut off."""

    def __init__(self, path: Path, units: tuple[str, ...], services: Services) -> None:
        """Keep what is needed; `units` are those of the plan."""
        self._path = path
        self._units = units
        self._services = services

    def remember(self) -> None:
        """Write down which units run, unless a runner that was cut off did so already."""
        if not self._path.exists():
            active = list(self._services.active(self._units))
            write_atomically(self._path, json.dumps({"active": active}) + "\n")

    def put_back(self) -> str | None:
        """Start again what ran before; return what went wrong, in words."""
        try:
            before = json.loads(self._path.read_text("utf-8"))["active"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{self._path}: cannot be read ({error}); start the service yourself"
        # Only units of the plan: the file might have been edited.
        units = [unit for unit in self._units if unit in before]
        try:
            problem = self._services.start(units) if units else None
        except ServerbenchError as error:
            problem = str(error)
        if problem:
            return f"{', '.join(units)} ran before and could not be started again: {problem}"
        self._path.unlink(missing_ok=True)
        return None
