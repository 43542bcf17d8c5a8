"""Ansible's default output, with a failure told once, in words, and the time at each play.

The default callback prints the same message three times, between lines of the task's source.
Everything is still there with `-v`.
"""

from __future__ import annotations

import gc
import re
import time
from typing import Any

from ansible import constants
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

from collect.foreign import clean

DOCUMENTATION = """
    name: serverbench
    type: stdout
    short_description: the default output, with failures in one line
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
"""


_WRAPPING = re.compile(
    r"^(Task failed: )?((Finalization of task args for '[^']+' failed: )?"
    r"(Error while resolving value for '[^']+': )?The filter plugin 'serverbench_\w+' failed: )?"
)


# What apt and pip say where an archive is not reached, and what to do, which they do not say.
_NEXT = {
    re.compile(r"Failed to fetch |Unable to fetch some archives"): "archive in apt_mirror",
    re.compile(r"Max retries exceeded|Failed to establish a new"): "index in pip_index_url",
}


class CallbackModule(DefaultCallback):
    """Overrides what is printed of failures and at the end, and the banners."""

    CALLBACK_NAME = "serverbench"

    def __init__(self) -> None:
        """Start the clock that the play banners show."""
        super().__init__()
        self._started = time.monotonic()
        # By host: the last thing that went wrong there.
        self._troubles: dict[str, str] = {}
        # Where one host's failure ends the play for all, nothing was done on the others either.
        self._ends_for_all = self._ended_for_all = False

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - Ansible's signature
        """Print `host: why`, with the command's own words below where there are such."""
        if not ignore_errors:
            self._remember(result)
            self._ended_for_all = self._ended_for_all or self._ends_for_all
        if self._display.verbosity or ignore_errors or (result.task.loop and not _reason(result)):
            super().v2_runner_on_failed(result, ignore_errors)
            return
        if not result.task.loop:
            self._say(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print an item's failure like a task's."""
        self._remember(result)
        if self._display.verbosity:
            super().v2_runner_item_on_failed(result)
            return
        self._say(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print which host did not answer, and why."""
        self._remember(result)
        if self._display.verbosity:
            super().v2_runner_on_unreachable(result)
            return
        self._say(result)

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print the play's name with the time since the start: where the minutes go."""
        # Each task is a process of its own; collecting garbage there would copy what all share.
        gc.freeze()
        self._play = play
        self._ends_for_all = bool(play.any_errors_fatal)
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

    def _get_diff(self, difflist: Any) -> str:  # noqa: ANN401 - Ansible's signature
        """Return what changed in a file; a host's own text acts on no terminal."""
        many = difflist if isinstance(difflist, list) else [difflist]
        return str(super()._get_diff([_cleaned(diff) for diff in many]))

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401 - Ansible's signature
        """Print the last words: who failed and who was not reached, or that all is done."""
        if self._display.verbosity:
            super().v2_playbook_on_stats(stats)
        self._display.display("")
        troubled = sorted({*stats.failures, *stats.dark})
        if not troubled:
            changed = sum(stats.changed.values())
            self._display.display(f"[{self._clock()}] done, changed={changed}")
            return
        fine = sorted(set(stats.processed) - {*troubled, "localhost"})
        undone = troubled
        if self._ended_for_all:
            undone, fine = sorted({*troubled, *fine}), []
        rest = f"done on {', '.join(fine)}, but not on" if fine else "not done on"
        lines = [f"[{self._clock()}] {rest} {', '.join(undone)}"]
        # With a single host the reason stands right above.
        if len(stats.processed) > 1:
            for host in troubled:
                state = "not reached" if host in stats.dark else "failed"
                why = self._troubles.get(host, "see above").removeprefix(f"{host}: ")
                lines.append(f"  {host}: {state}: {why}")
        if fine:
            lines.append(
                f"  Once that is mended: the same command with --limit {','.join(troubled)}"
            )
        self._display.display("\n".join(lines), color=constants.COLOR_ERROR)

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02d}"

    def _remember(self, result: Any) -> None:  # noqa: ANN401 - Ansible's result
        # Of a loop, the item has already said more than the sum of them does.
        reason = _reason(result)
        host = result.host.get_name()
        if reason and not (result.task.loop and host in self._troubles):
            self._troubles[host] = reason

    def _say(self, result: Any) -> None:  # noqa: ANN401 - Ansible's result
        name = result.task.get_name().strip()
        text = [f"FAILED {result.host.get_name()}, {name}: {_reason(result) or 'no reason given'}"]
        for stream in ("stderr", "stdout", "module_stderr"):
            lines = clean(str(result.result.get(stream) or "")).strip().splitlines()
            if lines and lines[-1] not in text[0]:
                text += [f"    {line}" for line in lines[-30:]]
        for pattern, other in _NEXT.items():
            if pattern.search("\n".join(text)):
                text.append(f"    Mend the host's network, or name another {other};")
                text.append("    the same command goes on from there.")
        self._display.display("\n".join(text), color=constants.COLOR_ERROR)


def _cleaned(diff: Any) -> Any:  # noqa: ANN401 - a mapping of texts, mostly
    if not isinstance(diff, dict):
        return diff
    return {name: clean(value) if isinstance(value, str) else value for name, value in diff.items()}


def _reason(result: Any) -> str:  # noqa: ANN401 - Ansible's result
    reason = str(result.result.get("msg") or "").strip()
    # What Ansible wraps around the sentence that says what is wrong.
    reason = _WRAPPING.sub("", reason)
    return " ".join(clean(reason).split())
