"""systemd through its own commands. Every call is bounded in time."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError
from collect.model import NOT_STOPPED
from collect.runner.seams import UnitState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# `Environment` is left out on purpose: it may hold secrets, and results are copied around.
PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "Type", "Job", "MainPID", "NRestarts",
    "ExecMainCode", "ExecMainStatus", "ExecStart", "FragmentPath", "NeedDaemonReload", "User",
    "Group", "ControlGroup", "AllowedCPUs", "CPUUsageNSec", "CPUQuotaPerSecUSec", "MemoryCurrent",
    "MemoryMax", "MemoryPeak", "TasksMax", "LimitNOFILE",
)  # fmt: skip
COMMAND_TIMEOUT_S = 20.0
VERIFY = "/opt/serverbench/verify-unit"
"""Installed by roles/base."""
JOURNAL_LINES = 100
SERVING_UNIT = re.compile(r"serverbench-[a-z0-9-]+-(wsgi|asgi)(-[a-z0-9-]+)?\.(service|socket)")
"""The units of variants and of their proxies, whichever plan they come from: ids of variants begin
with server and interface. The runner, a candidate and this machine's lab hosts are not such."""
_UNSET = ("", "[not set]", "[no data]")
_COUNTER_UNSET = str(2**64 - 1)


class Systemd:
    """The `Services` seam over systemctl and journalctl."""

    def stop(self, units: Sequence[str], timeout_s: float) -> str | None:
        """Stop all units in one call; see `Services.stop`.

        A unit that is slow to stop is killed by systemd itself after its TimeoutStopSec. This
        command waits for it only so long, and says so.
        """
        done = _call(["systemctl", "stop", "--", *units], timeout_s + COMMAND_TIMEOUT_S)
        if done is not None and done.returncode == 0:
            return None
        # systemctl stops what it can, and fails for a unit that is not loaded: nothing to stop.
        if left := self.active(units):
            return f"{', '.join(left)} {NOT_STOPPED} {timeout_s:g} s"
        return None

    def start(self, units: Sequence[str]) -> str | None:
        """Queue the start; see `Services.start`."""
        # Each block starts each variant; without this, systemd's start limit would end a run of
        # short trials with a failure that is no fault of the server. A unit that systemd has not
        # loaded makes it fail, and the start below then says so.
        _call(["systemctl", "reset-failed", "--", *units], COMMAND_TIMEOUT_S)
        done = _call(["systemctl", "start", "--no-block", "--", *units], COMMAND_TIMEOUT_S)
        if done is None:
            return f"systemctl start did not return within {COMMAND_TIMEOUT_S:g} s"
        if done.returncode != 0:
            return f"systemctl start: {_one_line(done.stderr)}"
        return None

    def state(self, unit: str) -> UnitState:
        """Return the unit's state; `ServerbenchError` where systemd does not answer."""
        command = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", unit]
        done = _call(command, COMMAND_TIMEOUT_S)
        if done is None or done.returncode != 0:
            why = "no answer in time" if done is None else _one_line(done.stderr)
            raise ServerbenchError(
                f"systemctl show {unit}: {why}; is systemd running on this host?"
            )
        return parse_show(done.stdout)

    def active(self, units: Sequence[str]) -> tuple[str, ...]:
        """Return the units that run, come up or go down, or will; all if it is unknown."""
        done = _call(
            ["systemctl", "show", "--property=Id,ActiveState,Job", "--", *units], COMMAND_TIMEOUT_S
        )
        if done is None or done.returncode != 0:
            return tuple(units)
        # One paragraph per unit, in the order they were named.
        blocks = [_pairs(block) for block in done.stdout.split("\n\n")]
        return tuple(
            unit
            for unit, pairs in zip(units, blocks)  # noqa: B905 - as many as systemd answered for
            if pairs.get("ActiveState") not in (None, "inactive", "failed")
            or pairs.get("Job") not in (None, "0")
        )

    def serving(self) -> tuple[str, ...]:
        """Return the units of variants and proxies that run; see `Services.serving`."""
        done = _call(
            ["systemctl", "show", "--property=Id,ActiveState", "--", "serverbench-*"],
            COMMAND_TIMEOUT_S,
        )
        if done is None or done.returncode != 0:
            why = "no answer in time" if done is None else _one_line(done.stderr)
            raise ServerbenchError(f"systemctl show: {why}; is systemd running on this host?")
        found = [_pairs(block) for block in done.stdout.split("\n\n")]
        return tuple(
            sorted(
                unit
                for pairs in found
                if pairs.get("ActiveState") not in (None, "inactive", "failed")
                and SERVING_UNIT.fullmatch(unit := pairs.get("Id") or "")
            )
        )

    def enabled(self) -> tuple[str, ...]:
        """Return the units of variants and proxies that start at boot."""
        done = self._do("list-unit-files", "--no-legend", "--plain", "serverbench-*")
        words = [line.split() for line in done.stdout.splitlines()]
        return tuple(
            sorted(w[0] for w in words if w[1] == "enabled" and SERVING_UNIT.fullmatch(w[0]))
        )

    def enable(self, units: Sequence[str]) -> None:
        """Have the units start at boot; `ServerbenchError` when that fails."""
        self._do("enable", "--quiet", "--", *units)

    def disable(self, units: Sequence[str]) -> None:
        """Have the units not start at boot; `ServerbenchError` when that fails."""
        self._do("disable", "--quiet", "--", *units)

    def reload(self) -> None:
        """Read the unit files anew; `ServerbenchError` when that fails."""
        self._do("daemon-reload")

    def has_read(self, units: Sequence[str], drop_in: Path) -> bool:
        """Tell whether systemd knows the units as their files are now, that drop-in among them.

        One that it had forgotten is read by the question itself.
        """
        done = self._do("show", "--property=LoadState,NeedDaemonReload,DropInPaths", "--", *units)
        found = [_pairs(block) for block in done.stdout.split("\n\n")]
        return all(
            (one.get("LoadState"), one.get("NeedDaemonReload")) == ("loaded", "no") for one in found
        ) and any(str(drop_in) in (one.get("DropInPaths") or "").split() for one in found)

    def verify(self, path: Path, unit: str) -> str | None:
        """Return what systemd would say against the file as that unit; None where it is fine."""
        done = _call([VERIFY, str(path), unit], COMMAND_TIMEOUT_S)
        if done is None:
            return f"{VERIFY} did not return within {COMMAND_TIMEOUT_S:g} s"
        return None if done.returncode == 0 else _one_line(done.stderr)

    def restart(self, unit: str, timeout_s: float) -> str | None:
        """Restart the unit and wait until the new process is there; return what went wrong.

        It alone: a proxy that requires it would be restarted too, and drop what it is doing.
        """
        _call(["systemctl", "reset-failed", "--", unit], COMMAND_TIMEOUT_S)
        alone = "--job-mode=ignore-dependencies"
        done = _call(["systemctl", "restart", alone, "--", unit], timeout_s)
        if done is None:
            return f"systemctl restart did not return within {timeout_s:g} s"
        return None if done.returncode == 0 else f"systemctl restart: {_one_line(done.stderr)}"

    def is_shutting_down(self) -> bool:
        """Tell whether the host goes down: nothing can be started then."""
        done = _call(["systemctl", "is-system-running"], COMMAND_TIMEOUT_S)
        return done is not None and done.stdout.strip() == "stopping"

    def _do(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = _call(["systemctl", *arguments], COMMAND_TIMEOUT_S)
        if done is None or done.returncode != 0:
            why = "no answer in time" if done is None else _one_line(done.stderr)
            raise ServerbenchError(f"systemctl {arguments[0]}: {why}")
        return done

    def journal(self, unit: str, since_s: float) -> str:
        """Return the unit's last lines; never fails, says instead what went wrong."""
        command = [
            "journalctl", f"--unit={unit}", f"--since=@{int(since_s)}", f"--lines={JOURNAL_LINES}",
            "--no-pager", "--output=short-iso",
        ]  # fmt: skip
        done = _call(command, COMMAND_TIMEOUT_S)
        if done is None:
            return f"(journalctl did not answer within {COMMAND_TIMEOUT_S:g} s)\n"
        return done.stdout + done.stderr


def parse_show(text: str) -> UnitState:
    """Read the output of `systemctl show`."""
    pairs = _pairs(text)
    return UnitState(
        active=pairs.get("ActiveState") or "unknown",
        sub=pairs.get("SubState") or "unknown",
        result=pairs.get("Result") or "unknown",
        # systemd writes 0 for "no main process".
        main_pid=_number(pairs.get("MainPID")) or None,
        restarts=_number(pairs.get("NRestarts")),
        control_group=pairs.get("ControlGroup"),
        job_pending=pairs.get("Job") not in (None, "0"),
        properties=pairs,
    )


def describe(state: UnitState) -> str:
    """Say in words why a unit does not run."""
    words = f"systemd says {state.active} ({state.sub}), result {state.result}"
    if state.properties.get("LoadState") not in (None, "loaded"):
        return f"{words}; the unit file is {state.properties['LoadState']}"
    if status := state.properties.get("ExecMainStatus"):
        words += f", exit status {status}"
    return words


def start_failure(state: UnitState) -> str | None:
    """Say in words why a unit that was just started will not come up; None while it may."""
    if state.job_pending:
        return None
    if state.restarts:
        times = f"it ended and systemd restarted it {state.restarts} times"
        return f"{times}; {describe(state)}"
    if state.active in ("active", "activating", "reloading") and state.sub != "auto-restart":
        return None
    return describe(state)


def _pairs(text: str) -> dict[str, str | None]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {
        key: None if value in _UNSET or value == _COUNTER_UNSET else value
        for key, _, value in pairs
    }


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500] or "no message"


def _call(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str] | None:
    """Run a command to its end; None when it took too long."""
    try:
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        raise ServerbenchError(
            f"{command[0]} cannot be started: {error.strerror}; the runner needs a systemd host"
        ) from error
