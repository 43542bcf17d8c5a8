"""What apt says that it did."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NEW = re.compile(
    r"^The following NEW packages will be installed:\n((?:[ \t]+.*\n?)+)", re.MULTILINE
)


def newly_installed(said: str, asked: Iterable[str]) -> list[str]:
    """Return which of the packages apt installed that were not there before.

    Args:
        said: what `apt-get install` printed, in English.
        asked: their names, perhaps with a version or an architecture (`gcc=4:12`, `wrk:amd64`).
    """
    new = {
        word.partition(":")[0]
        for found in _NEW.findall(said.replace("\r", ""))
        for word in found.split()
    }
    names = (re.split("[=:/]", name)[0] for name in asked)
    return [name for name in names if name in new]
