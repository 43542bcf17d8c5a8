"""The command line of wrk, where a text shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from collect.parse.units import asked_s

# `/usr/bin/wrk`, but not `my-wrk`, `wrk.lua` or `wrk's`.
_PROGRAM = re.compile(r"(?<![\w.-])wrk2?(?=\s)")
_OPTION = re.compile(
    r"(?:-(?P<short>[tcdTRsH])"
    r"|--(?P<long>threads|connections|duration|timeout|rate|script|header)(?![\w-]))"
    r"=?(?P<value>.*)"
)
_SHORT = {
    "t": "threads",
    "c": "connections",
    "d": "duration",
    "T": "timeout",
    "R": "rate",
    "s": "script",
    "H": "header",
}
_COUNT = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[kM]?)")
_SCALES = {"": 1, "k": 1000, "M": 1_000_000}
_URL = re.compile(r"https?://[^\s'\"`<>]+")
_QUOTED = re.compile(r"'[^']{0,500}'|\"[^\"]{0,500}\"")
_QUOTES = "'\"`$()[]"
_MAX_CALLS = 20
_MAX_LENGTH = 3000


@dataclass(frozen=True, slots=True)
class Command:
    """What a command line asked for; None where it leaves it to wrk."""

    url: str | None = None
    threads: int | None = None
    connections: int | None = None
    duration_s: float | None = None
    timeout_s: float | None = None
    is_paced: bool = False
    """wrk2's `-R`: a fixed rate."""


def find_command(text: str) -> Command | None:
    """Return the first call of wrk in a line that has an option or a URL."""
    for index, match in enumerate(_PROGRAM.finditer(text)):
        if index >= _MAX_CALLS:
            break
        rest = _QUOTED.sub(_shorten, text[match.end() : match.end() + _MAX_LENGTH])
        command = _read(rest.split())
        if command != Command():
            return command
    return None


def _shorten(quoted: re.Match[str]) -> str:
    """Make one word of a quoted header or script name; a quoted URL stays."""
    return quoted[0] if "://" in quoted[0] and " " not in quoted[0] else "quoted"


def _read(words: list[str]) -> Command:
    url: str | None = None
    given: dict[str, str] = {}
    wanted: str | None = None
    for raw in words:
        word = raw.strip(_QUOTES)
        if wanted is not None:
            given[wanted], wanted = word, None
        elif match := _OPTION.fullmatch(word):
            name = match["long"] or _SHORT[match["short"]]
            if match["value"]:
                given[name] = match["value"]
            else:
                wanted = name
        elif url is None and (found := _URL.match(word)):
            url = found[0].rstrip(".,;:)")
        elif not word.startswith("-"):
            break  # Prose goes on behind it.
    return Command(
        url=url,
        threads=_count(given.get("threads")),
        connections=_count(given.get("connections")),
        duration_s=asked_s(given.get("duration")),
        timeout_s=asked_s(given.get("timeout")),
        is_paced="rate" in given,
    )


def _count(text: str | None) -> int | None:
    match = _COUNT.match(text or "")
    return int(match["number"]) * _SCALES[match["unit"]] if match else None
