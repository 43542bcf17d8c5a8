"""Checksums by which a deployment tells that there is nothing to do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KIT = ("collect", "playbooks", "roles")
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Converged:
    """What a host noted after its last deployment; empty texts where there was none."""

    provisioning: str = ""
    """Checksum of all that provisioning depends on."""
    deployment: str = ""
    """Checksum of all that the deployment depends on, provisioning included."""
    state: str = ""
    """Checksum over the host itself, by roles/base/files/host-state."""


def read_converged(text: str) -> Converged:
    """Read the note of a host, three words; anything else is none."""
    words = text.split()
    return Converged(*words) if len(words) == 3 else Converged()  # noqa: PLR2004 - its fields


def kit_digest(root: Path) -> str:
    """Return a checksum over the kit itself: what it installs may come from any of its files."""
    digest = hashlib.sha256()
    for name in _KIT:
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and path.suffix not in {".pyc", ".po", ".mo"}:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:_DIGITS]


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Return a checksum over values, whatever their order; what JSON does not know goes as text."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
