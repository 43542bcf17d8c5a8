"""Read the plain text that wrk prints.

wrk scales its figures (`1.20m`, `9.44k`, `8.16MB`); here they come back in the units the names say.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.errors import DataError
from collect.model import Errors, Latency

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bounded digits: a figure of thousands of digits is no figure, and int() refuses it anyway.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_START = re.compile(r"^.*?Running (?P<asked>\S+) test @ (?P<url>\S+)", re.MULTILINE)
_SHAPE = re.compile(r"(?P<threads>[0-9]{1,9}) threads? and (?P<connections>[0-9]{1,9}) connections")
_LATENCY = re.compile(r"\bLatency +(?P<mean>\S+) +(?P<stdev>\S+) +(?P<max>\S+) +\S+%")
_PERCENTILE = re.compile(
    rf"^[ \t>|]*(?P<share>50|75|90|99|99\.9)(?:\.0+)?% +(?P<value>{_NUMBER}[a-z]+)\s*$",
    re.MULTILINE,
)
_TOTAL = re.compile(
    rf"(?P<requests>[0-9]{{1,15}}) requests in (?P<duration>{_NUMBER}[a-z]+), (?P<read>\S+) read"
)
_SOCKET = re.compile(
    r"Socket errors: connect (?P<connect>[0-9]{1,15}), read (?P<read>[0-9]{1,15}), "
    r"write (?P<write>[0-9]{1,15}), timeout (?P<timeout>[0-9]{1,15})"
)
_STATUS = re.compile(r"Non-2xx or 3xx responses: (?P<status>[0-9]{1,15})")
_RATE = re.compile(rf"Requests/sec: +(?P<rps>{_NUMBER})")

_TIME_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50}


@dataclass(frozen=True, slots=True)
class WrkText:
    """One run of wrk, as far as its text tells. Percentiles are None without `--latency`."""

    url: str
    threads: int
    connections: int
    asked_s: float
    """The duration wrk was asked for; `duration_s` is the one it measured."""
    duration_s: float
    requests: int
    bytes: int
    """Read from the sockets; rounded by wrk to three or four digits."""
    rps: float
    latency_ms: Latency
    errors: Errors
    """0 where wrk printed no such line: it prints them only when something went wrong."""


def parse_wrk(text: str) -> WrkText:
    """Read the first wrk output in `text`.

    Raises:
        DataError: there is none, or it is cut off; the message names the missing line.
    """
    for output in find_outputs(text):
        return _parse(output)
    raise DataError("wrk output: no line `Running … test @ …`; is this what wrk printed?")


def find_outputs(text: str) -> Iterator[str]:
    """Yield each wrk output in a longer text, from its `Running …` line up to the next one."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    starts = [match.start() for match in _START.finditer(unified)]
    for start, end in itertools.pairwise([*starts, len(unified)]):
        yield unified[start:end]


def _parse(output: str) -> WrkText:
    start = _find(_START, output, "Running … test @ …")
    shape = _find(_SHAPE, output, "… threads and … connections")
    total = _find(_TOTAL, output, "… requests in …, … read")
    rate = _find(_RATE, output, "Requests/sec")
    socket = _SOCKET.search(output)
    status = _STATUS.search(output)
    return WrkText(
        url=start["url"],
        threads=int(shape["threads"]),
        connections=int(shape["connections"]),
        asked_s=_time_ms(start["asked"]) / 1000,
        duration_s=_time_ms(total["duration"]) / 1000,
        requests=int(total["requests"]),
        bytes=_bytes(total["read"]),
        rps=float(rate["rps"]),
        latency_ms=_latency(output),
        errors=Errors(
            connect=int(socket["connect"]) if socket else 0,
            read=int(socket["read"]) if socket else 0,
            write=int(socket["write"]) if socket else 0,
            timeout=int(socket["timeout"]) if socket else 0,
            status=int(status["status"]) if status else 0,
        ),
    )


def _latency(output: str) -> Latency:
    line = _LATENCY.search(output)
    percentiles = {m["share"]: _time_ms(m["value"]) for m in _PERCENTILE.finditer(output)}
    if line is None or _time_ms(line["max"]) == 0:
        # No sample (no answer, or each later than the time-out) prints 0.00us: unknown, not 0.
        return Latency(None, None, None, None, None, None, None, None)
    return Latency(
        mean=_time_ms(line["mean"]),
        stdev=_time_ms(line["stdev"]),
        p50=percentiles.get("50"),
        p75=percentiles.get("75"),
        p90=percentiles.get("90"),
        p99=percentiles.get("99"),
        p999=percentiles.get("99.9"),
        max=_time_ms(line["max"]),
    )


def _find(pattern: re.Pattern[str], output: str, line: str) -> re.Match[str]:
    match = pattern.search(output)
    if match is None:
        raise DataError(f"wrk output: the line `{line}` is missing; was the text cut off?")
    return match


def _time_ms(text: str) -> float:
    return _scaled(text, _TIME_MS, "a time such as 1.20ms")


def _bytes(text: str) -> int:
    return round(_scaled(text, _BYTES, "a size such as 8.16MB"))


def _scaled(text: str, units: dict[str, float] | dict[str, int], accepted: str) -> float:
    match = re.fullmatch(rf"({_NUMBER})([A-Za-z]+)", text)
    if match is None or match[2] not in units:
        raise DataError(f"wrk output: got {text!r}; accepted: {accepted}")
    return float(match[1]) * units[match[2]]
