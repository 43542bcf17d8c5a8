"""Turn figures and foreign text into words that every renderer uses.

Text from a host (journal lines, what wrk printed) is untrusted: it may hold control characters,
terminal escapes or markup.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

from collect import foreign
from collect.lang import N_, _, ngettext, pgettext
from collect.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collect.model import Load, Order, PairDecision
    from collect.report.ranking import Row

Noun = Literal[
    "block",
    "core",
    "fail",
    "more block",
    "more pair",
    "pair",
    "re-run",
    "sample",
    "trial",
    "variant",
    "warning",
    "worker",
]

UNKNOWN = "n/a"
ORDERS: dict[Order, str] = {"interleaved": N_("interleaved"), "sequential": N_("sequential")}
DIGITS = 3
"""Significant digits shown; the files hold all of them."""

_MOST_TIMES = 999
_LEAST_TIMES = 0.01
clean, one_line = foreign.clean, foreign.one_line

_COUNTED: dict[Noun, Callable[[int], str]] = {
    "block": lambda n: ngettext("{count} block", "{count} blocks", n),
    "core": lambda n: ngettext("{count} core", "{count} cores", n),
    "fail": lambda n: ngettext("{count} fail", "{count} fails", n),
    "more block": lambda n: ngettext("{count} more block", "{count} more blocks", n),
    "more pair": lambda n: ngettext("{count} more pair", "{count} more pairs", n),
    "pair": lambda n: ngettext("{count} pair", "{count} pairs", n),
    "re-run": lambda n: ngettext("{count} re-run", "{count} re-runs", n),
    "sample": lambda n: ngettext("{count} sample", "{count} samples", n),
    "trial": lambda n: ngettext("{count} trial", "{count} trials", n),
    "variant": lambda n: ngettext("{count} variant", "{count} variants", n),
    "warning": lambda n: ngettext("{count} warning", "{count} warnings", n),
    "worker": lambda n: ngettext("{count} worker", "{count} workers", n),
}
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


def percent(ratio: float | None) -> str:
    """Write a share of 1 as a percentage, such as `4.2 %`."""
    return UNKNOWN if ratio is None else f"{figure(ratio * 100)} %"


def number(value: int, noun: Noun) -> str:
    """Write a count with its noun: `1 block`, `3 blocks`."""
    return _COUNTED[noun](value).format(count=count(value))


def comma(parts: Sequence[str]) -> str:
    """Write a list of names: `a, b, c`."""
    return _(", ").join(parts)


def clauses(parts: Sequence[str]) -> str:
    """Write a list of clauses or facts, whose mark in Chinese is not that of a list of names."""
    return pgettext("between clauses", ", ").join(parts)


def semicolon(parts: Sequence[str]) -> str:
    """Write a list of longer clauses: `a; b; c`."""
    return _("; ").join(parts)


def both(names: Sequence[str]) -> str:
    """Write a list that ends in its last: `a, b and c`."""
    if len(names) < 2:  # noqa: PLR2004 - one alone has nothing before it
        return "".join(names)
    return _("{names} and {last}").format(names=comma(names[:-1]), last=names[-1])


def times(ratio: float) -> str:
    """Write a ratio; what is out of all proportion is cut off, as two blocks may well give it."""
    if ratio > _MOST_TIMES:
        return f">{_MOST_TIMES}"
    return f"<{_LEAST_TIMES}" if ratio < _LEAST_TIMES else figure(ratio)


def interval(value: Interval | None) -> str:
    """Write a ratio with its interval: `1.61x [0.802, 3.26]`."""
    if value is None:
        return UNKNOWN
    return f"{times(value.ratio)}x [{times(value.low)}, {times(value.high)}]"


def upright(pair: PairDecision) -> Interval | None:
    """Return the ratio of a pair, the larger over the smaller; None where it is unknown."""
    if pair.ratio is None or pair.ratio_low is None or pair.ratio_high is None:
        return None
    if pair.ratio >= 1:
        return Interval(pair.ratio, pair.ratio_low, pair.ratio_high)
    return Interval(1 / pair.ratio, 1 / pair.ratio_high, 1 / pair.ratio_low)


def tier(row: Row, order: Order) -> str:
    """Write a tier: `1`; `1=` where others share it; `?` where it is unknown or means nothing."""
    if row.median is None:
        return ""
    if row.tier is None:
        return "?"
    return f"{row.tier}{'=' if row.is_shared else ''}{'?' if order == 'sequential' else ''}"


def seconds(value: float) -> str:
    """Write a duration the way people say it: `45 s`, `12 min`, `2 h 05 min`."""
    whole = round(value)
    if whole < 120:  # noqa: PLR2004 - two minutes still read well in seconds
        return _("{seconds} s").format(seconds=whole)
    minutes = round(value / 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return _("{minutes} min").format(minutes=minutes)
    return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=f"{minutes % 60:02d}")


def load(value: Load) -> str:
    """Write the load as the command that makes it."""
    return f"wrk -t{value.threads} -c{value.connections} -d{value.duration_s:g}s"


def markdown(text: str) -> str:
    """Escape one line of foreign text, so that Markdown shows it as it stands."""
    return escape(one_line(text))


def escape(words: str) -> str:
    """Do so with our own words, which are cut nowhere; foreign text in them is on one line."""
    escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN.sub(r"\\\1", escaped)
    # Neither links nor mentions that nobody wrote.
    escaped = escaped.replace("://", "&#58;//").replace("@", "&#64;")
    return re.sub(r"(?i)\bwww\.", lambda match: match[0][:-1] + "&#46;", escaped)


def fence(text: str) -> str:
    """Put foreign text into a code block that nothing in it can close."""
    ticks = "```"
    if "`" in text:
        longest = max(map(len, re.findall(r"`+", text)))
        ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{clean(text).rstrip()}\n{ticks}"
