"""Break prose into lines by what it takes on a screen, where a Chinese character takes two cells.

English goes through `textwrap`, and where rich draws the lines, through rich. Neither knows that a
Chinese line may end after nearly every character, and only there not: rich would leave a line half
empty, and `textwrap` counts characters.
"""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

from collect.lang import SOURCE, spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

# Marks that belong to what stands before them, and those that belong to what follows.
_CLOSING = frozenset({"Pe", "Pf", "Po"})
_OPENING = frozenset({"Ps", "Pi"})


def wrap(
    words: str, width: int, *, first: str = "", later: str = "", break_on_hyphens: bool = True
) -> list[str]:
    """Wrap prose; no line takes more than `width` cells.

    Args:
        words: what to wrap; it holds no line break.
        width: of the screen.
        first: what the first line begins with.
        later: what every other line begins with.
        break_on_hyphens: whether an English line may end at a hyphen; a Chinese one never does.
    """
    if spoken() == SOURCE:
        return textwrap.wrap(
            words,
            width,
            initial_indent=first,
            subsequent_indent=later,
            break_on_hyphens=break_on_hyphens,
        )
    lines, line, is_empty = [], first, True
    for unit in _units(words):
        if not is_empty and cell_len(line + unit.rstrip()) > width:
            lines.append(line.rstrip())
            line, is_empty = later, True
        if cell_len(line + unit.rstrip()) > width:
            *whole, rest = chop_cells(unit.rstrip(), width - max(map(cell_len, (first, later))))
            for part in whole:
                lines.append(line + part)
                line = later
            line += rest
        else:
            line += unit
        is_empty = False
    return lines if is_empty else [*lines, line.rstrip()]


def fold(words: str, width: int) -> str:
    """Put line breaks into prose that rich is to draw; English is left to rich."""
    return words if spoken() == SOURCE else "\n".join(wrap(words, width))


def _units(words: str) -> Iterator[str]:
    """Cut prose into what stays on one line, each part with the spaces that follow it."""
    unit = ""
    for before, char in zip(" " + words, words, strict=False):
        if unit and _may_break(before, char):
            yield unit
            unit = ""
        unit += char
    if unit:
        yield unit


def _may_break(before: str, char: str) -> bool:
    if char.isspace():
        return False
    if before.isspace():
        return True
    if not (_is_wide(before) or _is_wide(char)):
        return False
    own, of_before = unicodedata.category(char), unicodedata.category(before)
    return own not in _CLOSING and of_before not in _OPENING


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
