"""Run the fixed-rate generator as a process of its own, bounded in time, and read its figures."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import collect
from collect.decode import decode
from collect.errors import DataError
from collect.model import RateFigures
from collect.runner import pace as program
from collect.runner.seams import LoadResult
from collect.runner.wrk import GRACE_S, execute, tail

if TYPE_CHECKING:
    from collect.model import Endpoint, Load
    from collect.runner.seams import Pace

_ROOT = Path(collect.__file__).parents[1]
"""Where `collect` is imported from: a folder, or the runner's own archive."""


class Paced:
    """The `RateGenerator` seam over `collect.runner.pace`."""

    def __init__(self, address: str, port: int, load: Load) -> None:
        """Keep what all runs share; of the load the number of connections and the time-out."""
        self._address = address
        self._port = port
        self._load = load

    def at(self, port: int) -> Paced:
        """Return one that loads that port."""
        return Paced(self._address, port, self._load)

    def run(self, endpoint: Endpoint, pace: Pace, folder: Path, name: str) -> LoadResult:
        """Keep the pace; leave `<name>.json` with the figures, a histogram and each second."""
        source, target, text = (folder / f"{name}{end}" for end in (".spec", ".json", ".txt"))
        command = [sys.executable, "-B", "-m", program.__name__, str(source), str(target)]
        try:
            source.write_text(json.dumps(self._spec(endpoint, pace)), encoding="utf-8")
            environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
            limit_s = pace.lead_in_s + pace.duration_s + self._load.timeout_s + GRACE_S
            status, cpu_s = execute(command, environment, text, limit_s)
            if status is None:
                why = f"the generator did not end within {limit_s:g} s and was stopped"
                return LoadResult(tuple(command), cpu_s, None, why)
            if status != 0:
                why = f"the generator ended with status {status}: {tail(text)}"
                return LoadResult(tuple(command), cpu_s, None, why)
        except OSError as error:
            why = f"the generator cannot be started: {error.strerror}"
            return LoadResult(tuple(command), None, None, why)
        finally:
            source.unlink(missing_ok=True)
            if text.is_file() and not text.stat().st_size:
                text.unlink()
        try:
            figures = read_rate(target)
        except DataError as error:
            return LoadResult(tuple(command), cpu_s, None, str(error))
        # Its own figure leaves out the start of Python and the summing up, which load nobody.
        return LoadResult(tuple(command), figures.cpu_s, None, None, figures)

    def _spec(self, endpoint: Endpoint, pace: Pace) -> dict[str, Any]:
        return {
            "address": self._address,
            "port": self._port,
            "request": request_text(endpoint, self._address, self._port),
            "method": endpoint.method,
            "status": endpoint.expect.status,
            "rate_rps": pace.rate_rps,
            "lead_in_s": pace.lead_in_s,
            "duration_s": pace.duration_s,
            "connections": self._load.connections,
            "timeout_s": self._load.timeout_s,
            "limit_ms": pace.limit_ms,
        }


def request_text(endpoint: Endpoint, address: str, port: int) -> str:
    """Return the request as it is sent, each character one byte."""
    host = f"[{address}]" if ":" in address else address
    headers = dict(endpoint.headers)
    names = {name.lower() for name in headers}
    if "host" not in names:
        headers = {"Host": f"{host}:{port}", **headers}
    body = (endpoint.body or "").encode()
    if endpoint.body is not None and "content-length" not in names:
        headers["Content-Length"] = str(len(body))
    lines = [f"{endpoint.method} {endpoint.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return (head.encode() + body).decode("latin-1")


def read_rate(path: Path) -> RateFigures:
    """Read the figures as the generator writes them.

    Raises:
        DataError: the file is missing, was cut off, or does not fit.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: no readable figures ({error})") from error
    if isinstance(data, dict):
        # They stay in the file; the model has no use for them.
        data = {key: data[key] for key in data if key not in ("histogram", "seconds")}
    return decode(RateFigures, data, path.name)
