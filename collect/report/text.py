"""Turn figures and foreign text into words that every renderer uses.

Text from a host (journal lines, what wrk printed) is untrusted: it may hold control characters,
terminal escapes or markup.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collect.model import Load
    from collect.stats import Rank, Summary

UNKNOWN = "n/a"
DIGITS = 3
"""Significant digits shown; the files hold all of them."""

_MAX_LINE = 300
# Cc, Cf: control and invisible formatting characters; Cs: lone surrogates; Zl, Zp: line separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$])")


def figure(value: float | None) -> str:
    """Write a number with three significant digits and separated thousands."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = DIGITS - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    # 999.9 has become 1000, one digit more than it set out with.
    decimals = DIGITS - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, decimals)}f}"


def count(value: int | None) -> str:
    """Write a count in full, with separated thousands."""
    return UNKNOWN if value is None else f"{value:,}"


def compact(value: int | None) -> str:
    """Write a count for a narrow column: in full up to 9,999, then in thousands (`12.3k`)."""
    if value is None or value < 10_000:  # noqa: PLR2004 - five digits are two too many
        return count(value)
    return f"{figure(value / 1000)}k"


def mebibytes(value: float | None) -> float | None:
    """Turn bytes into MiB; None stays None."""
    return None if value is None else value / 2**20


def spread(summary: Summary | None, unit: float = 1.0) -> str:
    """Write the range over blocks, in `unit`; `n/a` with too few blocks to have one."""
    if summary is None or not summary.has_spread:
        return UNKNOWN
    return f"{figure(summary.low / unit)}–{figure(summary.high / unit)}"  # noqa: RUF001 - a range


def half_range(summary: Summary | None) -> str:
    """Write half the range over blocks as a share of the median, such as `±4.2 %`."""
    if summary is None or not summary.has_spread or summary.median <= 0:
        return UNKNOWN
    return f"±{(summary.high - summary.low) / 2 / summary.median * 100:.2g} %"


def place(rank: Rank | None, position: int) -> str:
    """Write a rank: `1`; `≈1-2` (with a dash) where a tie leaves it open; `3?` without a spread."""
    if rank is None:
        return f"{position}?"
    if rank.best == rank.worst:
        return str(rank.best)
    return f"≈{rank.best}–{rank.worst}"  # noqa: RUF001 - a range


def seconds(value: float) -> str:
    """Write a duration the way people say it: `45 s`, `12 min`, `2 h 05 min`."""
    whole = round(value)
    if whole < 120:  # noqa: PLR2004 - two minutes still read well in seconds
        return f"{whole} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004


def load(value: Load) -> str:
    """Write the load as the command that makes it."""
    return f"wrk -t{value.threads} -c{value.connections} -d{value.duration_s:g}s"


def clean(text: str) -> str:
    """Keep line breaks and tabs; replace every other character that a terminal might act on."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in _UNSAFE_CATEGORIES else "�"
        for char in text.replace("\r\n", "\n")
    )


def one_line(text: str) -> str:
    """Clean foreign text and put it on one line of bounded length."""
    line = " ".join(clean(text).split())
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def markdown(text: str) -> str:
    """Escape one line of foreign text, so that Markdown shows it as it stands."""
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN.sub(r"\\\1", escaped)
    # Neither links nor mentions that nobody wrote.
    escaped = escaped.replace("://", "&#58;//").replace("@", "&#64;")
    return re.sub(r"(?i)\bwww\.", lambda match: match[0][:-1] + "&#46;", escaped)


def fence(text: str) -> str:
    """Put foreign text into a code block that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{clean(text).rstrip()}\n{ticks}"
