"""From bytes of unknown origin to text: encodings, byte order marks, a bound on the size."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from collect.errors import DataError

MAX_BYTES = 8 * 2**20
"""An output of wrk has half a KiB: nobody's notes are larger than this, and a core dump is."""

_MARKS = (
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_GUESS_BYTES = 4096


def read_source(name: str) -> str:
    """Return the text of a file, or of stdin for `-`.

    Raises:
        DataError: it cannot be read, is larger than `MAX_BYTES`, or is no text.
    """
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # A name with a zero byte.
        raise DataError(f"{name!r}: cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{name}: larger than {MAX_BYTES // 2**20} MiB; is this what wrk printed?")
    return decode_text(data, name)


def decode_text(data: bytes, name: str) -> str:
    """Decode bytes by their byte order mark, as UTF-16 without one, UTF-8, or else Windows-1252.

    wrk prints ASCII, so of the prose around it a wrong guess spoils a few letters at most.

    Raises:
        DataError: it holds zero bytes that no encoding explains; `name` is named.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data:
        return _utf16(data, name)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _utf16(data: bytes, name: str) -> str:
    """Tell the byte order by the side that the zero bytes of plain letters are on."""
    start = data[:_GUESS_BYTES]
    odd, even = start[1::2].count(0), start[::2].count(0)
    if odd > even * 10:
        return data.decode("utf-16-le", "replace")
    if even > odd * 10:
        return data.decode("utf-16-be", "replace")
    # A file system that lost its power fills the end of a file with zeros.
    rest = data.rstrip(b"\0")
    if b"\0" not in rest:
        return decode_text(rest, name)
    raise DataError(f"{name}: holds zero bytes; accepted: text, such as what wrk printed")
