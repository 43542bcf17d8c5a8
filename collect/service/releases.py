"""Releases of the project on the host: which is current, and which may go."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_STAMP = ".complete-"


class Releases:
    """The folders `releases` and `venvs`, and the link `current`."""

    def __init__(self, root_dir: Path) -> None:
        """Keep where they are."""
        self._root = root_dir
        self._releases = root_dir / "releases"
        self._link = root_dir / "current"

    def current(self) -> str | None:
        """Return the id of the release that `current` points to; None without one."""
        try:
            return os.readlink(self._link).rstrip("/").rpartition("/")[2]  # noqa: PTH115 - its text
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ServerbenchError(
                f"{self._link}: is no symbolic link ({error.strerror}); move it out of the way"
            ) from error

    def installed(self) -> list[str]:
        """Return the ids of releases whose installation ended, oldest first."""
        whole = [path for path in self._releases.glob("*") if any(path.glob(f"{_STAMP}*"))]
        return [path.name for path in sorted(whole, key=lambda path: path.stat().st_mtime)]

    def check(self, release: str) -> None:
        """Raise `ServerbenchError` unless the release is there, whole."""
        if release not in (known := self.installed()):
            raise ServerbenchError(
                f"app_release: got {release!r}, which is not on this host; accepted: "
                f"{', '.join(known) or 'none is there yet'}"
            )

    def make_current(self, release: str | None) -> None:
        """Point `current` to the release in one step; None takes the link away."""
        if release is None:
            self._link.unlink(missing_ok=True)
            return
        new = self._link.with_name(f".{self._link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(self._releases / release)
        new.replace(self._link)

    def superfluous(self, kept: int, needed: Iterable[str | None]) -> list[Path]:
        """Return folders to remove: the oldest releases, and environments that none uses.

        Args:
            kept: how many releases stay.
            needed: releases that stay in any case; None among them means nothing.
        """
        keep = set(needed)
        spare = [name for name in self.installed() if name not in keep]
        room = max(kept - len(keep & set(self.installed())), 0)
        gone = spare[: max(len(spare) - room, 0)]
        # A release's stamp bears the name of the environment that it was installed with.
        used = {
            stamp.name.removeprefix(_STAMP)
            for stamp in self._releases.glob(f"*/{_STAMP}*")
            if stamp.parent.name not in gone
        }
        venvs = [path for path in self._root.glob("venvs/*") if path.name not in used]
        # One without its stamp is being made, or was cut off and is made anew in its place.
        venvs = [path for path in venvs if (path / ".complete").exists()]
        return [*(self._releases / name for name in gone), *sorted(venvs)]

    def remove(self, folders: Iterable[Path]) -> None:
        """Remove the folders; a release's stamp goes first, so that none is left half."""
        for folder in folders:
            for stamp in folder.glob(".complete*"):
                stamp.unlink()
            shutil.rmtree(folder, ignore_errors=True)
