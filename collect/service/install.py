"""Install a release, and prepare what it needs before it can serve."""

from __future__ import annotations

import re
import secrets
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

from collect.service import files
from collect.service.environment import Environment, InstallError, finish

if TYPE_CHECKING:
    from collect.activation import Installation


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
        self._extract()
        environment = Environment(wanted)
        if not (Path(wanted.venv_dir) / ".complete").exists():
            environment.make()
        finish(wanted)
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
        )
        if done.returncode != 0:
            why = done.stderr.decode("utf-8", "replace").strip()
            raise InstallError(f"{folder}: tar cannot unpack the release: {why}")
