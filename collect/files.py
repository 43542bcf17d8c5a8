"""Read small files, of which a long run has hundreds of thousands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ = os.O_RDONLY | os.O_NONBLOCK
"""A named pipe in place of a file would be waited for."""
PART_BYTES = 2**15
"""Python makes room for as much each time, however small the file: a MiB takes longer to make room
for than 2 KB to read."""


def start_of(path: str | Path) -> bytes:
    """Return the first part of a plain file; one that is shorter than a part is all there is.

    Raises:
        OSError: it cannot be read.
    """
    # Not `open`: what it asks of the system besides takes as long as to read the file.
    descriptor = os.open(path, _READ)
    try:
        return os.read(descriptor, PART_BYTES)
    finally:
        os.close(descriptor)


def parts_of(path: str | Path) -> Iterator[bytes]:
    """Yield what a plain file holds, part by part.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = os.open(path, _READ)
    try:
        part = os.read(descriptor, PART_BYTES)
        yield part
        # A plain file gives all that is asked for, until its end.
        while len(part) == PART_BYTES:
            part = os.read(descriptor, PART_BYTES)
            yield part
    finally:
        os.close(descriptor)
