"""Where the words go: standard output, a file, one line of an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collect.errors import DataError
from collect.report.text import clean

if TYPE_CHECKING:
    from pathlib import Path

_MAX_CHARS = 4_000
"""Of one message: two screens. What a file holds may be as long as its writer likes."""
# For a terminal or a log that cannot show them.
_PLAIN_SIGNS = str.maketrans(
    {"≈": "~", "\N{EN DASH}": "-", "…": "...", "─": "-", "±": "+-", "“": '"', "”": '"'}
)


def write(content: str) -> None:
    """Print text as it is; a terminal or log that lacks a sign gets a plain one."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        content.encode(encoding)
    except UnicodeEncodeError:
        content = content.translate(_PLAIN_SIGNS).encode(encoding, "replace").decode(encoding)
    sys.stdout.write(content)


def write_file(path: Path, content: str) -> None:
    """Write a file; `DataError` where that cannot be."""
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error


def one_line(message: str) -> str:
    """Put a message on one line, without what a terminal might act on, and cut what never ends."""
    cut = message if len(message) <= _MAX_CHARS else f"{message[:_MAX_CHARS]} …"
    return " ".join(clean(cut).split())
