"""Install a release, and prepare what it needs before it can serve."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from collect.service import files
from collect.service.environment import Environment, InstallError, finish

if TYPE_CHECKING:
    from collect.activation import Installation

_FULL = os.strerror(errno.ENOSPC)
_LITTLE_BYTES = 2**20
MAKE_ROOM = (
    "df -h on the host shows which disk is full; apt-get clean, journalctl --vacuum-size=50M and a "
    "smaller app_releases_kept make room. Then deploy again"
)


class Installer:
    """One release on this host; each step says in words what it did, or would do.

    Each leaves its stamp last, so that one that was cut off is done again.
    """

    def __init__(self, wanted: Installation, archive: IO[bytes]) -> None:
        """Touch nothing yet; the archive is read only where the release is to be unpacked."""
        self._wanted = wanted
        self._archive = archive
        self.warnings: tuple[str, ...] = ()

    def foresee(self) -> tuple[str, ...]:
        """Say what would be done."""
        wanted = self._wanted
        unpacked = [self._unpacked()] if wanted.unpack else []
        prepared = ["app_setup_commands run"] if self._wants_setup() else []
        return (*unpacked, *self._secret_changes(), *prepared)

    def bring(self) -> tuple[str, ...]:
        """Unpack the release and make its environment unless it is complete.

        Raises:
            InstallError: what cannot be done, in one line.
            OSError: a file cannot be written.
        """
        wanted = self._wanted
        if not wanted.unpack:
            return ()
        # Not what was there before: it may be what serves just now, with another environment.
        begun = [
            path for path in map(Path, (wanted.release_dir, wanted.venv_dir)) if not path.exists()
        ]
        try:
            self._extract()
            environment = Environment(wanted)
            if not (Path(wanted.venv_dir) / ".complete").exists():
                environment.make()
            finish(wanted)
        except (InstallError, OSError) as error:
            if not self._is_full(error):
                raise
            # What serves now may need the room.
            for path in begun:
                shutil.rmtree(path, ignore_errors=True)
            raise InstallError(
                f"{error}; what was half installed is removed again. {MAKE_ROOM}"
            ) from error
        self.warnings = tuple(environment.warnings)
        return (self._unpacked(),)

    def prepare(self) -> tuple[str, ...]:
        """Make the secrets that are missing and run the commands that prepare the state.

        What the commands are run with has to be staged before.

        Raises:
            InstallError: a command failed; what it said is kept.
            OSError: a file cannot be written.
        """
        wanted = self._wanted
        what = list(self._secret_changes())
        if what:
            path = Path(wanted.generated_file)
            made = (f"{name}={secrets.token_urlsafe(50)}\n" for name in self._missing_secrets())
            files.write(path, (files.read(path) or "") + "".join(made))
        if self._wants_setup():
            done = subprocess.run(
                wanted.setup,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
            )
            if done.returncode != 0:
                # The last line says which command it was, those before it why.
                why, _, last = done.stderr.rstrip().rpartition("\n")
                raise InstallError(
                    last or f"app_setup_commands ended with status {done.returncode}",
                    said="\n".join(filter(None, (done.stdout.rstrip(), why))),
                )
            what.append("app_setup_commands run")
        return tuple(what)

    def _unpacked(self) -> str:
        return f"{self._wanted.release_dir} is unpacked and installed"

    def _wants_setup(self) -> bool:
        return not Path(self._wanted.setup_stamp).exists()

    def _missing_secrets(self) -> list[str]:
        text = files.read(Path(self._wanted.generated_file)) or ""
        return [
            name
            for name in self._wanted.generated
            if not re.search(f"^{re.escape(name)}=", text, re.MULTILINE)
        ]

    def _secret_changes(self) -> tuple[str, ...]:
        path = Path(self._wanted.generated_file)
        if missing := self._missing_secrets():
            return tuple(f"{name} is made" for name in missing)
        return () if files.is_as_written(path) else (f"{path} changes",)

    def _is_full(self, error: Exception) -> bool:
        """Tell whether it failed for want of room, which tar and ensurepip may not say."""
        wanted = self._wanted
        places = map(Path, (wanted.release_dir, wanted.venv_dir, tempfile.gettempdir()))
        return _FULL in str(error) or any(
            shutil.disk_usage(place).free < _LITTLE_BYTES for place in places if place.exists()
        )

    def _extract(self) -> None:
        # Over whatever an unpacking that was cut off has left.
        folder = Path(self._wanted.release_dir)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        done = subprocess.run(
            ["tar", "--extract", "--gzip", "--no-same-owner", "--directory", str(folder)],
            check=False,
            capture_output=True,
            input=self._archive.read(),
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        if done.returncode != 0:
            why = done.stderr.decode("utf-8", "replace").strip()
            raise InstallError(f"{folder}: tar cannot unpack the release: {why}")
