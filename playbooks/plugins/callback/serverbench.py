"""Ansible's default output, with a failure told once, in words, and the time at each play.

The default callback prints the same message three times, between lines of the task's source.
Everything is still there with `-v`.
"""

from __future__ import annotations

import re
import time
from typing import Any

from ansible import constants
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

DOCUMENTATION = """
    name: serverbench
    type: stdout
    short_description: the default output, with failures in one line
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
"""


class CallbackModule(DefaultCallback):
    """Overrides only what is printed of a failure, and the banners."""

    CALLBACK_NAME = "serverbench"

    def __init__(self) -> None:
        """Start the clock that the play banners show."""
        super().__init__()
        self._started = time.monotonic()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - Ansible's signature
        """Print `host: why`, with the command's own words below where there are such."""
        if self._display.verbosity or ignore_errors or (result.task.loop and not _reason(result)):
            super().v2_runner_on_failed(result, ignore_errors)
            return
        if not result.task.loop:
            self._say(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print an item's failure like a task's."""
        if self._display.verbosity:
            super().v2_runner_item_on_failed(result)
            return
        self._say(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print which host did not answer, and why."""
        if self._display.verbosity:
            super().v2_runner_on_unreachable(result)
            return
        self._say(result)

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print the play's name with the time since the start: where the minutes go."""
        self._play = play
        self._last_task_banner = None
        self._display.display("")
        self._display.display(f"[{self._clock()}] {play.get_name().strip()}")

    def v2_playbook_on_include(self, included_file: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Say nothing of the files that tasks come from."""
        if self._display.verbosity:
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Leave out the banner of an include: what it brings has banners of its own."""
        if self._display.verbosity or not isinstance(result.task, TaskInclude):
            super().v2_runner_on_ok(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print the recap only where something failed: the report is the last word otherwise."""
        if self._display.verbosity or stats.failures or stats.dark:
            super().v2_playbook_on_stats(stats)
            return
        changed = sum(stats.changed.values())
        self._display.display("")
        self._display.display(f"[{self._clock()}] done, changed={changed}")

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02d}"

    def _say(self, result: Any) -> None:  # noqa: ANN401 - Ansible's result
        name = result.task.get_name().strip()
        text = [f"FAILED {result.host.get_name()}, {name}: {_reason(result) or 'no reason given'}"]
        for stream in ("stderr", "stdout", "module_stderr"):
            lines = str(result.result.get(stream) or "").strip().splitlines()
            if lines and lines[-1] not in text[0]:
                text += [f"    {line}" for line in lines[-30:]]
        self._display.display("\n".join(text), color=constants.COLOR_ERROR)


def _reason(result: Any) -> str:  # noqa: ANN401 - Ansible's result
    reason = str(result.result.get("msg") or "").strip()
    # What Ansible wraps around the sentence that says what is wrong.
    for wrapping in (r"Task failed: ", r"The filter plugin 'serverbench_\w+' failed: "):
        reason = re.sub(f"^{wrapping}", "", reason)
    return " ".join(reason.split())
