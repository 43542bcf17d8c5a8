"""The lines that wrk prints, recognised one at a time, and those around them that tell something.

Each pattern has a fixed literal or a bounded run before anything that repeats, so that looking for
it takes time in proportion to the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bounded digits: a figure of thousands of digits is no figure, and int() refuses it anyway.
_N = r"(?<![\w.])[0-9]{1,15}"
_NUMBER = r"(?<![\w.])[0-9]{1,15}(?:\.[0-9]{1,9})?"
_TIME = rf"{_NUMBER}(?:us|ms|s|m|h)(?![\w.])"
_SIZE = rf"{_NUMBER}[KMGTP]?B(?![\w.])"
_GAP = r"\s{1,40}"

STEPS = (
    "start", "shape", "latency", "rate_row", "distribution", "total", "socket", "status", "rate",
    "transfer",
)  # fmt: skip
"""The lines of one output, in wrk's order: a step back begins another output."""

_PATTERNS: dict[str, re.Pattern[str]] = {
    "start": re.compile(
        rf"\bRunning{_GAP}(?P<asked>\S{{1,20}}){_GAP}test{_GAP}@{_GAP}(?P<url>\S+)"
    ),
    "shape": re.compile(
        rf"(?P<threads>{_N}){_GAP}threads?{_GAP}and{_GAP}(?P<connections>{_N}){_GAP}connections?\b"
    ),
    "latency": re.compile(
        rf"\bLatency{_GAP}(?P<mean>{_TIME}){_GAP}(?P<stdev>{_TIME}){_GAP}(?P<max>{_TIME})"
    ),
    "rate_row": re.compile(rf"\bReq/Sec{_GAP}{_NUMBER}"),
    "distribution": re.compile(r"\bLatency Distribution\b"),
    "total": re.compile(
        rf"(?P<requests>{_N}){_GAP}requests{_GAP}in{_GAP}(?P<duration>{_TIME})"
        rf"(?:,{_GAP}(?P<size>{_SIZE}){_GAP}read)?"
    ),
    "socket": re.compile(
        rf"\bSocket errors:{_GAP}connect{_GAP}(?P<connect>{_N}),{_GAP}read{_GAP}(?P<read>{_N})"
        rf",{_GAP}write{_GAP}(?P<write>{_N}),{_GAP}timeout{_GAP}(?P<timeout>{_N})(?!\w)"
    ),
    "status": re.compile(rf"\bNon-2xx or 3xx responses:{_GAP}(?P<status>{_N})(?!\w)"),
    # Nothing but the figure: `Requests/sec: 740 for Gunicorn` is prose.
    "rate": re.compile(
        rf"\bRequests/sec:{_GAP}(?P<rps>{_NUMBER})(?=\s*(?:$|[<|`\\]|Transfer/sec))"
    ),
    "transfer": re.compile(rf"\bTransfer/sec:{_GAP}{_SIZE}"),
    "percentile": re.compile(
        rf"(?<![\w.])(?:(?P<share>50|75|90|99)(?:\.0{{1,6}})?|(?P<tail>99\.9)0{{0,6}})%{_GAP}"
        rf"(?P<value>{_TIME})"
    ),
    "refused": re.compile(r"\b(?P<refused>unable to connect to \S.{0,200})"),
}
# Cheap: a line without any of these letters holds nothing of wrk's.
_HINT = re.compile(r"Running|thread|Latency|Req|requests in|Socket|Non-2xx|Transfer|%|unable")

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|[@-Z])"
)
_QUOTE = re.compile(r"[\s>|│\ufeff]+")
_HEADING = re.compile(r"(?:#{1,6}|={1,6})\s{1,9}(\S.*)")
_BOLD = re.compile(r"(?:\*\*|__)([^*_].{0,200}?)(?:\*\*|__):?")
_HTML_HEADING = re.compile(r"<h[1-6][^<>]{0,200}>(.{1,300}?)</h[1-6]>", re.IGNORECASE)
_HEADING_SIGNS = ("#", "=", "*", "_")
_TAG = re.compile(r"<[^<>]{0,200}>")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|~{3,})")
_UNDERLINE_SIGNS = ("=", "-", "~")
_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w ={}.-]{0,60}")
_FENCE_SIGNS = ("`", "~")
_ENTITIES = (("&nbsp;", " "), ("&gt;", ">"), ("&lt;", "<"), ("&quot;", '"'), ("&amp;", "&"))
# What wrk2 adds to an output: `Thread calibration: …` and the table of its histogram.
_WRK2 = re.compile(r"Thread calibration:|HdrHistogram|Test Results @ ")
_MAX_HEADING = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line without what its carrier added: colours, entities, the marks of a quotation."""

    number: int
    """Counted from 1."""
    text: str

    def figures(self) -> list[tuple[str, re.Match[str]]]:
        """Return what the line holds of wrk's output, by its name, from left to right."""
        if _HINT.search(self.text) is None:
            return []
        found = [
            (match.start(), name, match)
            for name, pattern in _PATTERNS.items()
            for match in pattern.finditer(self.text)
        ]
        return [(name, match) for _, name, match in sorted(found, key=lambda item: item[0])]

    @property
    def heading(self) -> str | None:
        """The words of a heading: Markdown, AsciiDoc, HTML, or a line all bold."""
        if "<h" in self.text[:1000].lower():
            match = _HTML_HEADING.search(self.text[:1000])
            return _words(match[1]) if match else None
        if self.text[:1] not in _HEADING_SIGNS:
            return None
        match = _HEADING.fullmatch(self.text) or _BOLD.fullmatch(self.text)
        return _words(match[1]) if match else None

    @property
    def is_underline(self) -> bool:
        """Whether it makes the line above it a heading."""
        return self.text[:1] in _UNDERLINE_SIGNS and _UNDERLINE.fullmatch(self.text) is not None

    @property
    def is_fence(self) -> bool:
        """Whether a block of code begins or ends here."""
        return self.text[:1] in _FENCE_SIGNS and _FENCE.fullmatch(self.text) is not None

    @property
    def is_of_wrk2(self) -> bool:
        """Whether only wrk2 prints this; it holds a rate, and Little's law does not apply."""
        return _WRK2.search(self.text) is not None


def split(text: str) -> Iterator[Line]:
    """Yield the lines that are not blank; each of CR LF, LF and CR ends one."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    for number, raw in enumerate(unified.split("\n"), start=1):
        if not raw or raw.isspace():
            continue
        line = _ESCAPE.sub("", raw) if "\x1b" in raw else raw
        if "&" in line:
            for entity, char in _ENTITIES:
                line = line.replace(entity, char)
        match = _QUOTE.match(line)
        yield Line(number, line[match.end() if match else 0 :].rstrip())


def _words(text: str) -> str | None:
    plain = _TAG.sub("", text[:_MAX_HEADING]).strip(" \t#=*_`:")
    return plain or None
