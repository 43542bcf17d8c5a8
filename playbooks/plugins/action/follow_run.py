"""Follow a run on the host until it ends, one line for each trial.

The host is touched as lightly as can be: every few seconds one `head` and one `systemctl is-active`
over the open SSH connection. No module is sent and no Python is started while load runs. A
connection that is lost is opened again; the run itself does not notice.

Who shows the progress by himself (`serverbench run` on a terminal) names a folder in
SERVERBENCH_PROGRESS_DIR: each look is then kept there as `<host>.json`, and no line is printed.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from collect.decode import decode, encode
from collect.errors import DataError
from collect.foreign import one_line
from collect.model import Progress

INTERVAL_S = 2.0
LONGEST_INTERVAL_S = 15.0
_REST = 10
"""How many times as long as a look took there is none: what takes seconds takes them from the host.
On an emulated one, looks every two seconds took a quarter of the processor, and spoilt each trial.
"""
ENDING_INTERVAL_S = 0.5
"""Once all trials are done: no load is disturbed then, and the end is a second away."""
# A slow VM whose network is away for a while still works on; after this long somebody should know.
GIVE_UP_AFTER_S = 600.0
MAX_BYTES = 64 * 1024
"""Of progress.json, which has one; a host that writes more is not listened to any longer."""

JOURNAL_LINES = 10
_UNIT = re.compile(r"serverbench-runner@(.+)\.service")

display = Display()


class ActionModule(ActionBase):
    """`follow_run: {unit, progress_file}`; fails when the run failed or its runner is gone."""

    _requires_connection = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return when the run is done; `failed` with the reason otherwise."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "unit": {"type": "str", "required": True},
                "progress_file": {"type": "str", "required": True},
            }
        )
        host = (task_vars or {}).get("inventory_hostname", "host")
        unit = arguments["unit"]
        again = f"the same command with -e bench_run_id={_run_id(unit)}"
        # One try for each look: this loop tries again itself, and says meanwhile what is wrong.
        if self._connection.has_option("reconnection_retries"):
            self._connection.set_option("reconnection_retries", 0)
        shown: tuple[int, str] | None = None
        last_answer, told = time.monotonic(), ""
        while True:
            asked, took_s = time.monotonic(), 0.0
            try:
                progress, is_active = self._look(unit, arguments["progress_file"])
                last_answer, told = time.monotonic(), ""
                took_s = last_answer - asked
            except (AnsibleConnectionFailure, DataError) as error:
                if time.monotonic() - last_answer > GIVE_UP_AFTER_S:
                    return result | {
                        "failed": True,
                        "msg": f"{host}: no answer for {GIVE_UP_AFTER_S:.0f} s"
                        f" ({_last_line(error)}). If the host is up, the run goes on without us;"
                        f" {again} follows it again.",
                    }
                if told != (told := _last_line(error)):
                    _tell_of_silence(host, told)
                self._connection.reset()
                progress, is_active = None, True
            if progress is not None:
                # One line a trial: a CI log keeps every line it is given.
                if folder := os.environ.get("SERVERBENCH_PROGRESS_DIR"):
                    _keep(Path(folder), host, progress)
                elif (progress.done, progress.state) != shown:
                    display.display(_line(host, progress))
                    shown = progress.done, progress.state
                if (ending := _ending(host, progress, again)) is not None:
                    return result | ending
            if not is_active:
                return result | {
                    "failed": True,
                    "msg": f"{host}: the runner stopped before the run was done. What is done is"
                    f" kept: {again} goes on. Its last words (all: journalctl -u {unit}):",
                    "stdout": self._last_words(unit),
                }
            is_ending = progress is not None and progress.total and progress.done >= progress.total
            rest_s = min(max(INTERVAL_S, took_s * _REST), LONGEST_INTERVAL_S)
            time.sleep(ENDING_INTERVAL_S if is_ending else rest_s)

    def _look(self, unit: str, progress_file: str) -> tuple[Progress | None, bool]:
        # is-active first: a runner that ends between the two has then written its last progress.
        # After a boot the runner waits for the host to be up: it has a job, and is not active yet.
        answer = self._low_level_execute_command(
            f"systemctl is-active {unit} || systemctl list-jobs --no-legend {unit} | grep start"
            f" || true; echo; head -c {MAX_BYTES} {progress_file} 2>/dev/null || true"
        )
        state, _, text = answer["stdout"].replace("\r", "").partition("\n\n")
        if not state:
            raise AnsibleConnectionFailure(answer["stderr"].strip() or "no answer")
        progress = None
        if text.strip():
            try:
                progress = decode(Progress, json.loads(text), progress_file)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{progress_file}: {error}") from error
        return progress, bool({"active", "activating", "start"} & set(state.split()))

    def _last_words(self, unit: str) -> str:
        """Return the end of the runner's journal: nothing runs any more that it could disturb."""
        try:
            answer = self._low_level_execute_command(
                f"journalctl --unit {unit} --lines {JOURNAL_LINES} --output cat --no-pager"
                f" | head -c {MAX_BYTES}"
            )
        except AnsibleConnectionFailure as error:
            return f"the host did not answer: {_last_line(error)}"
        return str(answer["stdout"]).replace("\r", "").strip() or "its journal is empty"


def _last_line(error: Exception) -> str:
    """Return what ssh said last: before that stands what Ansible and the shared connection say."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[-1].removeprefix("Failed to connect to the host via ssh: "))


def _tell_of_silence(host: str, why: str) -> None:
    # No warning: of those, Ansible shows the ones of a task when it has ended.
    minutes = f"{GIVE_UP_AFTER_S / 60:.0f} minutes"
    for text in (why, f"the run goes on, also after a boot; asking again for {minutes}"):
        display.display(f"  {host}  no answer: {text}", color=constants.COLOR_WARN)


def _run_id(unit: str) -> str:
    found = _UNIT.fullmatch(unit)
    return found[1] if found else unit


def _ending(host: str, progress: Progress, again: str) -> dict[str, Any] | None:
    """Return the task's result once the run has ended; None before."""
    if progress.state == "failed":
        return {"failed": True, "msg": f"{host}: {progress.message}. After that, {again} goes on."}
    if progress.state == "waiting":
        return {"changed": True, "msg": f"{host}: {progress.phase}"}
    if progress.state != "done":
        return None
    if _is_in_vain(progress):
        return {
            "failed": True,
            "msg": f"{host}: not one of {progress.done} trials can be used; the last:"
            f" {progress.last}. The report says of each why, and what to do; after that, {again}"
            " measures them anew.",
        }
    if progress.message:
        # What served before does not, say. The results are fetched all the same.
        return {
            "failed": True,
            "msg": f"{host}: {progress.done} trials done, but {progress.message}",
        }
    return {"changed": True, "msg": f"{progress.done} trials done"}


def _is_in_vain(progress: Progress) -> bool:
    """Tell whether the run ended without a single figure to rest on."""
    counts = progress.verdicts
    return counts is not None and progress.done > 0 and not counts.keys() & {"valid", "suspect"}


def _keep(folder: Path, host: str, progress: Progress) -> None:
    # Under another name first: whoever reads must not find half of it.
    path = folder / f"{host}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(encode(progress)), encoding="utf-8")
    new.replace(path)


def _line(host: str, progress: Progress) -> str:
    if progress.state in ("done", "waiting"):
        return f"  {host}  {progress.done}/{progress.total} {one_line(progress.phase)}"
    left = "" if progress.remaining_s is None else f", {_duration(progress.remaining_s)} left"
    last = f"  {one_line(progress.last)}" if progress.last else ""
    return (
        f"  {host}  block {progress.block}/{progress.blocks}"
        f"  {progress.done}/{progress.total}{left}{last}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
