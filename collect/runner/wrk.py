"""Run wrk, bounded in time, and read what its Lua hook wrote."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from typing import TYPE_CHECKING, Any

from collect.decode import decode
from collect.errors import DataError
from collect.model import WrkFigures
from collect.runner.seams import LoadResult

if TYPE_CHECKING:
    from pathlib import Path

    from collect.model import Endpoint, Load

GRACE_S = 15.0
"""wrk may take its time-out to end after its duration, and some more to start its threads."""
KILL_AFTER_S = 5.0
_TAIL_BYTES = 300


class Wrk:
    """The `LoadGenerator` seam over the wrk program."""

    def __init__(self, program: str, script: Path, address: str, port: int, load: Load) -> None:
        """Keep what all runs share."""
        self._program = program
        self._script = script
        self._address = address
        self._port = port
        self._load = load

    def at(self, port: int) -> Wrk:
        """Return one that loads that port."""
        return Wrk(self._program, self._script, self._address, port, self._load)

    def warm_up(self, endpoint: Endpoint, folder: Path) -> LoadResult:
        """Load for `warmup_s`; leaves nothing in the folder."""
        text = folder / "warmup.txt"
        try:
            return self._run(endpoint, self._load.warmup_s, text, None)
        finally:
            text.unlink(missing_ok=True)

    def run(self, endpoint: Endpoint, folder: Path) -> LoadResult:
        """Load for `duration_s`; leaves `wrk.txt` and, if wrk got that far, `wrk.json`."""
        figures = folder / "wrk.json"
        return self._run(endpoint, self._load.duration_s, folder / "wrk.txt", figures)

    def command(self, endpoint: Endpoint, duration_s: float) -> list[str]:
        """Return the command line; wrk takes whole seconds only."""
        load = self._load
        headers = [f"-H{name}: {value}" for name, value in endpoint.headers.items()]
        host = f"[{self._address}]" if ":" in self._address else self._address
        return [
            self._program, "-t", str(load.threads), "-c", str(load.connections),
            "-d", f"{duration_s:.0f}s", "--timeout", f"{load.timeout_s:.0f}s", "--latency",
            "-s", str(self._script), *headers,
            f"http://{host}:{self._port}{endpoint.path}",
        ]  # fmt: skip

    def _run(
        self, endpoint: Endpoint, duration_s: float, text: Path, figures: Path | None
    ) -> LoadResult:
        command = self.command(endpoint, duration_s)
        body = text.with_name("request-body")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("SERVERBENCH_")
        }
        if figures is not None:
            environment["SERVERBENCH_WRK_JSON"] = str(figures)
        if endpoint.method != "GET":
            environment["SERVERBENCH_WRK_METHOD"] = endpoint.method
        try:
            if endpoint.body is not None:
                # By file: an environment variable ends at 128 KiB and cannot hold a zero byte.
                body.write_bytes(endpoint.body.encode())
                environment["SERVERBENCH_WRK_BODY_FILE"] = str(body)
            limit_s = duration_s + self._load.timeout_s + GRACE_S
            status, cpu_s = execute(command, environment, text, limit_s)
        except OSError as error:
            why = f"{self._program} cannot be started: {error.strerror}"
            return LoadResult(tuple(command), None, None, why)
        finally:
            body.unlink(missing_ok=True)
        if status is None:
            why = f"wrk did not end within {limit_s:g} s and was stopped"
            return LoadResult(tuple(command), cpu_s, None, why)
        if status != 0:
            why = f"wrk ended with status {status}: {tail(text)}"
            return LoadResult(tuple(command), cpu_s, None, why)
        if figures is None:
            return LoadResult(tuple(command), cpu_s, None, None)
        return _with_figures(command, cpu_s, figures)


def read_figures(path: Path) -> WrkFigures:
    """Read `wrk.json` as report.lua writes it.

    Raises:
        DataError: the file is missing, was cut off, or does not fit.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: wrk left no readable figures ({error})") from error
    if isinstance(data, dict) and isinstance(data.get("latency_ms"), dict):
        # Stays in the file; the model has no use for it.
        data["latency_ms"].pop("min", None)
    return decode(WrkFigures, data, path.name)


def _with_figures(command: list[str], cpu_s: float | None, path: Path) -> LoadResult:
    try:
        return LoadResult(tuple(command), cpu_s, read_figures(path), None)
    except DataError as error:
        return LoadResult(tuple(command), cpu_s, None, str(error))


def execute(
    command: list[str], environment: dict[str, str], text: Path, limit_s: float
) -> tuple[int | None, float | None]:
    """Run the command with its output in `text`; return exit status and CPU seconds.

    The status is None when it had to be stopped. It waits on the process itself rather than
    looking at it time and again: nothing of ours wakes up beside the load.
    """
    with text.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    handle = os.pidfd_open(process.pid)
    try:
        ended = _wait(handle, limit_s)
        if not ended:
            _end(process, handle)
        # wait4, since `Popen.wait` does not say what the child cost.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return (process.returncode if ended else None), usage.ru_utime + usage.ru_stime
    finally:
        if process.returncode is None:  # StopRequested came while it ran.
            _end(process, handle)
            process.wait()
        os.close(handle)


def _wait(handle: int, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        if poller.poll(left_s * 1000):
            return True
    return False


def _end(process: subprocess.Popen[bytes], handle: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        if not _wait(handle, KILL_AFTER_S):
            process.kill()


def tail(text: Path) -> str:
    """Return the end of what a program printed, on one line."""
    try:
        return " ".join(text.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace").split())
    except OSError:
        return "no output"
