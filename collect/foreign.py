"""Text from elsewhere, made safe to show: what a host or a file says must not act on a terminal."""

from __future__ import annotations

import unicodedata

_MAX_LINE = 300
# Cc, Cf: control and invisible formatting characters; Cs: lone surrogates; Zl, Zp: line separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_unsafe(char: str) -> bool:
    """Tell whether a terminal might act on a character, or a reader not see it."""
    return unicodedata.category(char) in _UNSAFE_CATEGORIES


def clean(text: str) -> str:
    """Keep line breaks and tabs; replace every other character that a terminal might act on."""
    unified = text.replace("\r\n", "\n")
    return "".join("�" if char not in "\n\t" and is_unsafe(char) else char for char in unified)


def one_line(text: str) -> str:
    """Clean foreign text and put it on one line of bounded length."""
    line = " ".join(clean(text).split())
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def json_text(text: str) -> str:
    """Escape in JSON what a terminal might act on: it stays the same JSON."""
    return "".join(_escaped(char) if char != "\n" and is_unsafe(char) else char for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
