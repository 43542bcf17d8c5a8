"""Text from elsewhere, made safe to show: what a host or a file says must not act on a terminal."""

from __future__ import annotations

import re
import unicodedata

_MAX_LINE = 300
# Cc, Cf: control and invisible formatting characters; Cs: lone surrogates; Zl, Zp: line separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# All but line breaks and what is plain ASCII: of nearly every page no character is left to ask of.
_LOOKED_AT = re.compile(r"[^\n\x20-\x7e]")


def is_unsafe(char: str) -> bool:
    """Tell whether a terminal might act on a character, or a reader not see it."""
    return unicodedata.category(char) in _UNSAFE_CATEGORIES


def clean(text: str) -> str:
    """Keep line breaks and tabs; replace every other character that a terminal might act on."""
    # Nearly every text is plain, which takes a tenth as long to tell as to look for what is not.
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return _LOOKED_AT.sub(
        lambda found: "�" if found[0] != "\t" and is_unsafe(found[0]) else found[0],
        text.replace("\r\n", "\n"),
    )


def one_line(text: str) -> str:
    """Clean foreign text and put it on one line of bounded length."""
    line = " ".join(clean(text).split())
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def json_text(text: str) -> str:
    """Escape in JSON what a terminal might act on: it stays the same JSON."""
    return _LOOKED_AT.sub(
        lambda found: _escaped(found[0]) if is_unsafe(found[0]) else found[0], text
    )


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
