"""What somebody sees of a run while it runs: the phase, and for each host where it is."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from collect.decode import decode
from collect.errors import DataError
from collect.model import Progress
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import RenderableType

_VERDICTS = {"valid": "green", "suspect": "yellow", "invalid": "red"}
_LINES_EACH = 3
"""Of a host, while there is room: where it is, what it does, what it did last."""
_FRAME_LINES = 4
_ENDED = {"failed": "failed", "unreachable": "not reached"}


@dataclass(slots=True)
class _Host:
    """One host; `ended` is why it takes no further part."""

    task: str = ""
    ended: str = ""


@dataclass(slots=True)
class RunView:
    """Takes the events of a playbook and the looks of its follow step, and shows them.

    Events are those of ansible-runner: each has `event` and `event_data`.
    """

    progress_dir: Path
    naming_task: str = "Name the run"
    """The task after which the run's id is known."""
    clock: Callable[[], float] = time.monotonic
    run_id: str = ""
    is_started: bool = False
    """Whether a run is under way on a host, which goes on without us."""
    _play: str = ""
    _task: str = ""
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _begun_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock of the head line."""
        self._begun_s = self.clock()

    def take(self, event: Mapping[str, Any]) -> None:
        """Note what an event tells."""
        kind, data = str(event.get("event")), event.get("event_data") or {}
        if kind == "playbook_on_play_start":
            self._play, self._task = str(data.get("name") or ""), ""
        elif kind == "playbook_on_task_start":
            self._task = _short(data.get("task"))
        if not kind.startswith("runner_on_"):
            return
        name = str(data.get("host") or "")
        result = data.get("res")
        facts = result.get("ansible_facts") if isinstance(result, dict) else None
        named = _short(data.get("task")) == self.naming_task
        if named and isinstance(facts, dict) and facts.get("__bench_run_id"):
            self.run_id = str(facts["__bench_run_id"])
        if data.get("task_action") == "follow_run":
            self.is_started = True
        # Tasks that are delegated bear the name of the host they are for.
        host = self._hosts.setdefault(name, _Host())
        if kind == "runner_on_start":
            host.task = _short(data.get("task"))
        elif (end := kind.removeprefix("runner_on_")) in _ENDED and not data.get("ignore_errors"):
            host.ended = _ENDED[end]

    def show(self, width: int, height: int) -> RenderableType:
        """Return what is to be seen now, in no more lines than there are."""
        seconds_gone = round(self.clock() - self._begun_s)
        clock = f"{seconds_gone // 60}:{seconds_gone % 60:02d}"
        about = f"run {text.one_line(self.run_id)}" if self.run_id else "serverbench"
        phase = ": ".join(part for part in (self._play, self._task) if part) or "starting Ansible"
        head = Text(f"{clock}  {about}  {text.one_line(phase)}", style="bold", no_wrap=True)
        head.truncate(width, overflow="ellipsis")
        hosts = sorted(name for name in self._hosts if name != "localhost")
        is_roomy = len(hosts) * _LINES_EACH + _FRAME_LINES <= height
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for name in hosts[: max(1, height - _FRAME_LINES)]:
            lines = self._lines(name)
            shown = lines if is_roomy else lines[:1]
            for index, line in enumerate(shown):
                grid.add_row(Text(text.one_line(name) if index == 0 else ""), line)
        if hidden := len(hosts) - max(1, height - _FRAME_LINES):
            grid.add_row(Text(""), Text(f"and {hidden} more" if hidden > 0 else ""))
        end = Text("Ctrl-C leaves: the run itself goes on.", style="dim")
        return Group(head, grid, *([end] if self.is_started else []))

    def _lines(self, name: str) -> list[Text]:
        host, progress = self._hosts[name], self._progress(name)
        if host.ended:
            return [Text(host.ended, style="red")]
        if progress is None:
            return [Text(host.task)]
        line = Text(f"block {progress.block}/{progress.blocks}  trial ")
        line.append(f"{progress.done}/{progress.total}")
        if progress.remaining_s is not None:
            line.append(f"  {text.seconds(progress.remaining_s)} left")
        for verdict, style in _VERDICTS.items():
            if count := (progress.verdicts or {}).get(verdict):
                line.append(f"  {count} ")
                line.append(verdict, style=style)
        if progress.state == "done":
            now = f"done: {progress.message or host.task}"
        elif progress.state == "waiting":
            now = f"waiting: {progress.phase}"
        else:
            now = ": ".join(filter(None, (progress.trial_id, progress.phase)))
        lines = [line, Text(f"now   {text.one_line(now)}")]
        if progress.last:
            lines.append(Text(f"last  {text.one_line(progress.last)}"))
        return lines

    def _progress(self, name: str) -> Progress | None:
        """Return the latest look at a host; None before the first."""
        path = self.progress_dir / f"{name}.json"
        try:
            return decode(Progress, json.loads(path.read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError, DataError):
            return None


def _short(task: object) -> str:
    """Leave out the role that Ansible puts before a task's name, and the file's short name."""
    return text.one_line(str(task or "").rpartition(" : ")[2].rpartition(" | ")[2])
