"""Compare files with a list of checksums (`SHA256SUMS`), and name each that does not fit."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

from collect.errors import shown
from collect.files import PART_BYTES, parts_of, start_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

SUMS = "SHA256SUMS"
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<name>[^\x00-\x1f]+)")


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    # Not hashlib.file_digest: for each small file it makes a buffer a hundred times as large.
    found = hashlib.sha256()
    for part in parts_of(path):
        found.update(part)
    return found.hexdigest()


def is_as_listed(folder: str, needed: str, wanted: str | None = None) -> bool:
    """Tell whether `folder_problems` would name nothing, in two thirds of the time it takes.

    False also where only that one can tell, as of a large file or of a list with a name twice.

    Args:
        folder: a flat one, which holds `SHA256SUMS`.
        needed: a file that must be in it.
        wanted: the checksum of the list itself; None: whatever it is.
    """
    try:
        with os.scandir(folder) as entries:
            left = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        if needed not in left or not all(left.values()):
            return False
        content = _small(f"{folder}/{SUMS}")
        if wanted is not None and hashlib.sha256(content).hexdigest() != wanted:
            return False
        for line in content.decode("utf-8").splitlines():
            match = _LINE.fullmatch(line)
            # Whatever stands in the folder is no way out of it.
            if match is None or match[2] not in left:
                return False
            if hashlib.sha256(_small(f"{folder}/{match[2]}")).hexdigest() != match[1]:
                return False
            del left[match[2]]
    except (OSError, ValueError):
        return False
    return [*left] == [SUMS]


def _small(path: str) -> bytes:
    """Return what a small file holds, in one part; `ValueError` for any other."""
    content = start_of(path)
    if len(content) == PART_BYTES:
        raise ValueError(path)
    return content


def folder_problems(folder: str | Path, where: str, needed: Collection[str] = ()) -> Iterator[str]:
    """Name each file of a flat folder that differs from its list, is missing, or stands in none.

    Args:
        folder: holds `SHA256SUMS`.
        where: names the folder in messages.
        needed: files that the list must name.
    """
    listed: dict[str, str] = {}
    yield from read_sums(folder, where, listed)
    if not listed:
        return
    for name in listed:
        if "/" in name:
            yield f"{where}/{SUMS}: got {shown(name)}; accepted: <sha256>  <file name>"
    with os.scandir(folder) as entries:
        plain = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    yield from compare(folder, where, {n: s for n, s in listed.items() if "/" not in n}, plain)
    for name in sorted({*plain} - {*listed, SUMS}):
        yield f"{where}/{name}: not listed in {SUMS}"
    for name in needed:
        if name not in listed:
            yield f"{where}: holds no {name}"


def read_sums(folder: str | Path, where: str, listed: dict[str, str]) -> Iterator[str]:
    """Fill `listed` (file: checksum) from the folder's list; name what is wrong with the list."""
    try:
        lines = b"".join(parts_of(f"{folder}/{SUMS}")).decode("utf-8").splitlines()
    except (OSError, ValueError):
        yield f"{where}: {SUMS} is missing or unreadable; pull the trial again"
        return
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or not _is_inside(match["name"]):
            yield f"{where}/{SUMS}: got {shown(line)}; accepted: <sha256>  <file name>"
        else:
            listed[match["name"]] = match["sum"]
    if not lines:
        yield f"{where}/{SUMS}: is empty"


def compare(
    folder: str | Path,
    where: str,
    listed: Mapping[str, str],
    plain: Mapping[str, bool] | None = None,
) -> Iterator[str]:
    """Name each listed file that is missing or differs.

    Args:
        folder: holds the files.
        where: names the folder in messages.
        listed: the checksum of each file.
        plain: which files there are, and whether each is a regular one; None: look at each.
    """
    for name, wanted in listed.items():
        path = f"{folder}/{name}"
        if not (_is_plain_file(path) if plain is None else plain.get(name)):
            yield f"{where}/{name}: listed in {SUMS} but missing"
        elif digest(path) != wanted:
            yield f"{where}/{name}: differs from its checksum in {SUMS}"


def _is_plain_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _is_inside(name: str) -> bool:
    return not {".", "..", ""} & set(name.split("/"))
