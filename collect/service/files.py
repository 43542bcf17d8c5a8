"""Files that change in one step, and records of how it was that put all of them back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.activation import Service  # noqa: TC001 - decode looks it up
from collect.decode import decode, encode
from collect.errors import DataError
from collect.model import Endpoint  # noqa: TC001 - decode looks it up

if TYPE_CHECKING:
    from pathlib import Path


_READABLE = (".service", ".socket", ".conf", ".nginx", ".caddy")


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a server is asked, and the right answers that prove that it serves."""

    address: str
    port: int
    endpoints: tuple[Endpoint, ...]
    """Their headers may hold secrets."""


@dataclass(frozen=True, slots=True)
class Undo:
    """How a host was before an activation. Written first, removed last."""

    release: str | None
    files: dict[str, str | None]
    """Text by path; None where there was no such file."""
    active: tuple[str, ...]
    enabled: tuple[str, ...]
    service: Service | None
    touched: str | None
    """The service that is started anew; what runs beside it is left alone."""


def read(path: Path) -> str | None:
    """Return the file's text; None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def mode_of(path: Path) -> int:
    """Return the mode that a file of this name has.

    Units and a proxy's configuration are for everyone to read; an environment, and a record of
    one, may hold secrets.
    """
    return 0o644 if is_readable(path) else 0o600


def is_readable(path: Path) -> bool:
    """Tell whether everybody may read a file of this name."""
    return path.suffix in _READABLE


def is_as_written(path: Path) -> bool:
    """Tell whether the file is there with the mode and the owner that it was written with."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (found.st_mode & 0o7777, found.st_uid) == (mode_of(path), os.geteuid())


def write(path: Path, text: str | None) -> None:
    """Replace the file in one step, durably; None removes it."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    mode = mode_of(path)
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123 - made with its mode
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.chmod(mode)
    temporary.replace(path)


def dump_proof(proof: Proof) -> str:
    """Return the text that says what a service was asked."""
    return json.dumps(encode(proof)) + "\n"


def parse_proof(text: str | None) -> Proof | None:
    """Return what a service was asked; None where no kit, or one that is unlike this, wrote it."""
    try:
        return None if text is None else decode(Proof, json.loads(text), "proof")
    except (ValueError, DataError):
        return None


def write_undo(path: Path, undo: Undo) -> None:
    """Keep the record for whoever comes after an activation that was killed."""
    write(path, json.dumps(encode(undo)) + "\n")


def read_undo(path: Path) -> Undo | None:
    """Return the record that an activation left; None where the last one ended.

    Raises:
        DataError: it cannot be read.
    """
    text = read(path)
    if text is None:
        return None
    try:
        return decode(Undo, json.loads(text), str(path))
    except (ValueError, DataError) as error:
        raise DataError(
            f"{path}: {error}; it says how the host was before an activation that did not end. "
            "Look which units run, then remove the file"
        ) from error
