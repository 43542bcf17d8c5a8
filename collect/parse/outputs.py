"""Put the lines of a text together: one `WrkText` for each output in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collect.checks import Figures
from collect.errors import DataError
from collect.lang import N_
from collect.model import Latency
from collect.parse.command import Command, find_command
from collect.parse.lines import STEPS, Line, split
from collect.parse.units import asked_s, size_bytes, time_ms

if TYPE_CHECKING:
    import re

_RANK = {name: rank for rank, name in enumerate(STEPS)}
_TELLING = frozenset({"start", "latency", "total", "rate"})
"""A fragment without any of these is no output: `4 threads and 200 connections` may be prose."""
_FOREIGN_LINES = 5
"""Lines of other text after which an output that was cut off does not go on."""
_MAX_COMMAND = 3000
"""Characters of a command over several lines; none is as long."""
MAX_OUTPUTS = 10_000
DEFAULT_TIMEOUT_S = 2.0
_NO_COMMAND = Command()
_UNKNOWN = Latency(None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class WrkText:
    """One output of wrk, as far as its text tells; None where it does not."""

    line: int
    """Where it begins, counted from 1."""
    heading: str | None
    """The nearest heading above it."""
    url: str | None
    figures: Figures
    bytes: int | None
    """Read from the sockets; rounded by wrk to three or four digits."""


def parse_wrk(text: str) -> WrkText:
    """Read the first output of wrk in `text`.

    Raises:
        DataError: there is none.
    """
    for found in parse_outputs(text):
        return found
    raise DataError("no line `Running … test @ …` or other figures; is this what wrk printed?")


def parse_outputs(text: str) -> list[WrkText]:
    """Read every output of wrk in `text`, in its order; none is no error here.

    Lines of one output come in wrk's order and belong together until one steps back, a heading or
    the end of a code block comes between, or other text does for more than a few lines.

    Raises:
        DataError: there are more than `MAX_OUTPUTS`.
    """
    reader = _Reader()
    for line in split(text):
        reader.take(line)
    reader.close()
    return reader.found


@dataclass(slots=True)
class _Draft:
    """An output of which more may come."""

    line: int
    heading: str | None
    command: Command | None
    seen: dict[str, re.Match[str]] = field(default_factory=dict)
    percentiles: dict[str, float | None] = field(default_factory=dict)
    rank: int = -1
    foreign: int = 0
    is_of_wrk2: bool = False


class _Reader:
    """Takes line after line."""

    def __init__(self) -> None:
        self.found: list[WrkText] = []
        self._draft: _Draft | None = None
        self._heading: str | None = None
        self._command: Command | None = None
        self._unfinished = ""
        self._previous: Line | None = None

    def take(self, line: Line) -> None:
        """Sort in one line."""
        figures = line.figures()
        for name, match in figures:
            self._add(name, match, line.number)
        if not figures:
            self._take_other(line)
        self._previous = None if figures else line

    def close(self) -> None:
        """End the output that is being read."""
        draft, self._draft = self._draft, None
        if draft is not None and _TELLING & draft.seen.keys():
            self._keep(_finish(draft))

    def _keep(self, found: WrkText) -> None:
        if len(self.found) >= MAX_OUTPUTS:
            raise DataError(f"more than {MAX_OUTPUTS:,} outputs of wrk; parse the text in parts")
        self.found.append(found)

    def _add(self, name: str, match: re.Match[str], number: int) -> None:
        if name == "refused":
            self.close()
            failed = Figures(failure=" ".join(match["refused"].split()))
            url = self._command.url if self._command else None
            self._keep(WrkText(number, self._heading, url, failed, None))
            self._command = None
            return
        if name == "percentile":
            if self._draft is not None and self._draft.rank < _RANK["total"]:
                value = time_ms(match["value"])
                self._draft.percentiles.setdefault(match["share"] or match["tail"], value)
                self._draft.foreign = 0
            return
        rank = _RANK[name]
        if self._draft is None or rank <= self._draft.rank:
            self.close()
            self._draft = _Draft(number, self._heading, self._command)
            self._command = None
        self._draft.seen[name] = match
        self._draft.rank = rank
        self._draft.foreign = 0

    def _take_other(self, line: Line) -> None:
        if not line.text:
            return
        command = self._take_command(line.text)
        if command is not None:
            self.close()
            self._command = command
            # `## wrk -t4 -c200` is a title, `# wrk -t4 http://…` what root typed.
            if command.url is None and (heading := line.heading) is not None:
                self._heading = heading
        elif line.is_of_wrk2:
            if self._draft is not None:
                self._draft.is_of_wrk2 = True
        elif self._draft is not None and self._draft.is_of_wrk2 and _is_histogram(line.text):
            self._draft.foreign = 0
        elif line.is_fence:
            self.close()
        elif (heading := self._heading_of(line)) is not None:
            self.close()
            self._heading, self._command = heading, None
        elif self._draft is not None:
            self._draft.foreign += 1
            if self._draft.foreign > _FOREIGN_LINES:
                self.close()

    def _take_command(self, text: str) -> Command | None:
        """Return the line's command, put together from lines that end in a backslash."""
        if not self._unfinished and "wrk" not in text:
            return None
        whole = f"{self._unfinished} {text}" if self._unfinished else text
        self._unfinished = ""
        if text.endswith("\\") and len(whole) < _MAX_COMMAND:
            self._unfinished = whole[:-1]
            return None
        return find_command(whole)

    def _heading_of(self, line: Line) -> str | None:
        if not line.is_underline:
            return line.heading
        above = self._previous
        return above.text.strip() or None if above and above.number == line.number - 1 else None


def _is_histogram(text: str) -> bool:
    """Tell whether this is a row of wrk2's detailed spectrum, of which there may be hundreds."""
    return text.startswith(("#[", "----", "Value ", "Detailed ")) or text[0].isdigit()


def _finish(draft: _Draft) -> WrkText:
    seen, command = draft.seen, draft.command or _NO_COMMAND
    start, shape, total, rate = (seen.get(name) for name in ("start", "shape", "total", "rate"))
    if start is not None and shape is not None and not _agrees(command, shape):
        # Another run's: most likely the one that was meant to stand here.
        command = _NO_COMMAND
    latency = _latency(draft)
    sockets, status = seen.get("socket"), seen.get("status")
    # wrk prints errors only when there are some: once the line below is there, no line is none.
    quiet = 0 if rate is not None or "transfer" in seen else None
    quiet_sockets = 0 if quiet == 0 or status is not None else None
    figures = Figures(
        connections=int(shape["connections"]) if shape else command.connections,
        threads=int(shape["threads"]) if shape else command.threads,
        asked_s=_asked_s(start, command),
        timeout_s=None if command is _NO_COMMAND else command.timeout_s or DEFAULT_TIMEOUT_S,
        requests=int(total["requests"]) if total else None,
        duration_s=_seconds(total),
        rps=float(rate["rps"]) if rate else None,
        latency_ms=latency,
        latency_is_empty="latency" in seen and latency.mean is None,
        connect_errors=int(sockets["connect"]) if sockets else quiet_sockets,
        read_errors=int(sockets["read"]) if sockets else quiet_sockets,
        write_errors=int(sockets["write"]) if sockets else quiet_sockets,
        timeouts=int(sockets["timeout"]) if sockets else quiet_sockets,
        status_errors=int(status["status"]) if status else quiet,
        paced=draft.is_of_wrk2 or command.is_paced,
        missing=_missing(draft, command),
    )
    url = start["url"].rstrip("`<>\"'").partition("<")[0] if start else command.url
    size = size_bytes(total["size"]) if total and total["size"] else None
    return WrkText(draft.line, draft.heading, url or None, figures, size)


def _agrees(command: Command, shape: re.Match[str]) -> bool:
    return command.connections in (None, int(shape["connections"])) and command.threads in (
        None,
        int(shape["threads"]),
    )


def _asked_s(start: re.Match[str] | None, command: Command) -> float | None:
    """Return what was asked for; wrk prints minutes and hours rounded (`90s` becomes `2m`)."""
    if command.duration_s is not None:
        return command.duration_s
    return asked_s(start["asked"]) if start and start["asked"].endswith("s") else None


def _seconds(total: re.Match[str] | None) -> float | None:
    value = time_ms(total["duration"]) if total else None
    return None if value is None else value / 1000


def _latency(draft: _Draft) -> Latency:
    row, shares = draft.seen.get("latency"), draft.percentiles
    if row is not None and time_ms(row["max"]) == 0:
        # No sample (no answer, or each later than the time-out) prints 0.00us: unknown, not 0.
        return _UNKNOWN
    return Latency(
        mean=time_ms(row["mean"]) if row else None,
        stdev=time_ms(row["stdev"]) if row else None,
        p50=shares.get("50"),
        p75=shares.get("75"),
        p90=shares.get("90"),
        p99=shares.get("99"),
        p999=shares.get("99.9"),
        max=time_ms(row["max"]) if row else None,
    )


def _missing(draft: _Draft, command: Command) -> tuple[str, ...]:
    known = {
        N_("the connections"): "shape" in draft.seen or command.connections is not None,
        N_("the latency"): "latency" in draft.seen,
        N_("the number of requests"): "total" in draft.seen,
        N_("the requests per second"): "rate" in draft.seen,
    }
    return tuple(name for name, is_known in known.items() if not is_known)
