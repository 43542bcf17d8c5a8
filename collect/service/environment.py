"""The virtual environment of an unpacked release, servers included."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collect.errors import ServerbenchError

if TYPE_CHECKING:
    from collect.activation import Installation

MIN_PYTHON = (3, 10)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_THE_NETWORK = (
    "Connection",
    "timed out",
    "Retrying",
    "Temporary failure",
    "Could not fetch URL",
    "IncompleteRead",
)
_WANTS_A_COMPILER = ("gcc", "cc1", "Python.h", "pg_config", "mysql_config", "pkg-config", "cargo")
_MOST = 600


class InstallError(ServerbenchError):
    """One line that names the variable and the next step."""

    def __init__(self, message: str, *, temporary: bool = False, said: str = "") -> None:
        """Keep whether trying again may help, and what a command said before it failed."""
        super().__init__(message)
        self.temporary = temporary
        self.said = said


def canonical(name: str) -> str:
    """Return a package's name in the one form that names are compared in."""
    return re.sub(r"[-_.]+", "-", name).lower()


def first_names(text: str) -> set[str]:
    """Return the packages that the lines of a requirements file are about."""
    lines = (line.strip() for line in text.splitlines())
    return {canonical(found[0]) for line in lines if (found := _NAME.match(line))}


def without(lock: str, names: set[str]) -> str:
    """Return the lock with the entries of these packages left out, their hashes too."""
    kept, keep = [], True
    for line in lock.splitlines(keepends=True):
        if found := _NAME.match(line):
            keep = canonical(found[0]) not in names
        if keep:
            kept.append(line)
    return "".join(kept)


class Environment:
    """One virtual environment and the pip in it."""

    def __init__(self, wanted: Installation) -> None:
        """Touch nothing yet."""
        self._wanted = wanted
        self._dir = Path(wanted.venv_dir)
        self._own = Path(wanted.release_dir) / ".serverbench"
        self.warnings: list[str] = []

    def make(self) -> None:
        """Make the environment anew and install everything; the stamp in it comes last."""
        self._create()
        self._pip_install("-r", self._own / "requirements.txt", "-c", self._own / "constraints.txt")
        found = self._versions()
        if "django" not in found:
            raise InstallError(
                f"app_requirements: {self._wanted.requirements} brings no Django; name the file "
                "that holds what the project needs"
            )
        complaints = self._complaints()
        self._install_servers(found)
        if new := [line for line in self._complaints() if line not in complaints]:
            raise InstallError(
                f"app_requirements: the versions in {self._wanted.requirements} do not go with "
                f"the kit's servers: {'; '.join(new)}. Pin versions that do, or change the "
                "server's in roles/server/files/requirements.in and run make lock"
            )
        _stamp(self._dir / ".complete")

    def _create(self) -> None:
        python = self._wanted.python
        program = shutil.which(python)
        if program is None:
            others = sorted(
                {
                    path.name
                    for path in Path("/usr/bin").glob("python3.*")
                    if path.name[8:].isdigit()
                }
            )
            raise InstallError(
                f"app_python: there is no {python} on this host; it has {', '.join(others)}. "
                "Install it, or name another"
            )
        code = "import sys; print(*sys.version_info[:2])"
        version = self._run([program, "-c", code]).stdout.split()
        if len(version) != len(MIN_PYTHON) or tuple(map(int, version)) < MIN_PYTHON:
            raise InstallError(
                f"app_python: {program} is Python {'.'.join(version) or 'of no known version'}; "
                f"the servers need {'.'.join(map(str, MIN_PYTHON))} or newer"
            )
        made = self._run([program, "-m", "venv", "--clear", str(self._dir)])
        if made.returncode != 0:
            raise InstallError(
                f"app_python: {program} cannot make a virtual environment (apt install "
                f"python{'.'.join(version)}-venv?): {_tail(made)}"
            )

    def _install_servers(self, found: dict[str, str]) -> None:
        servers = first_names((self._own / "servers.in").read_text(encoding="utf-8"))
        lock = (self._own / "servers.txt").read_text(encoding="utf-8")
        wanted = self._dir / "servers.txt"
        wanted.write_text(without(lock, set(found) - servers), encoding="utf-8")
        self._pip_install("--no-deps", "--require-hashes", "-r", wanted)
        now = self._versions()
        self.warnings = [
            f"The project asks for {name} {found[name]}; the kit measures {now[name]}, for "
            "which its settings are made (roles/server/files/requirements.in)."
            for name in sorted(servers & set(found))
            if found[name] != now[name]
        ]

    def _pip_install(self, *arguments: object) -> None:
        done = self._pip("install", "--no-input", "--quiet", *map(str, arguments))
        if done.returncode == 0:
            return
        text = done.stderr + done.stdout
        hint = ""
        if any(word in text for word in _WANTS_A_COMPILER):
            hint = (
                "; app_packages names Debian packages to install first, such as gcc and python3-dev"
            )
        temporary = any(word in text for word in _OF_THE_NETWORK)
        if temporary:
            hint = "; is pip_index_url right, and reachable from this host?"
        what = self._wanted.requirements
        raise InstallError(
            f"app_requirements: pip cannot install {what}: {_tail(done)}{hint}", temporary=temporary
        )

    def _complaints(self) -> list[str]:
        done = self._pip("check")
        return done.stdout.splitlines() if done.returncode else []

    def _versions(self) -> dict[str, str]:
        done = self._pip("list", "--format=json")
        if done.returncode != 0:
            raise InstallError(f"app_python: pip list failed: {_tail(done)}")
        return {canonical(item["name"]): item["version"] for item in json.loads(done.stdout)}

    def _pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run([str(self._dir / "bin/python"), "-m", "pip", *arguments])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PIP_CACHE_DIR": self._wanted.cache_dir,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "LC_ALL": "C.UTF-8",
        }
        if index_url := self._wanted.index_url:
            environment["PIP_INDEX_URL"] = index_url
            # A mirror inside a cloud often has no TLS, which pip refuses unless told so.
            if index_url.startswith("http://"):
                environment["PIP_TRUSTED_HOST"] = urlsplit(index_url).netloc.rpartition("@")[2]
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment,
            # A requirement such as ./vendor/x is relative to the project.
            cwd=self._wanted.release_dir,
        )


def finish(wanted: Installation) -> None:
    """Link the environment into the release, compile the code, and write the stamp."""
    release, venv = Path(wanted.release_dir), Path(wanted.venv_dir)
    link = release / wanted.root / ".venv"
    link.unlink(missing_ok=True)
    link.symlink_to(venv)
    # The services may not write here, so the byte code is compiled now rather than at every start.
    # A file that does not compile is the project's business: a template for code, say.
    subprocess.run(
        [str(venv / "bin/python"), "-m", "compileall", "-qq", str(release), "-x", r"/\.venv/"],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    _stamp(Path(wanted.stamp))


def _stamp(path: Path) -> None:
    """Say that all is there once it is on the disk: after a loss of power it would be believed."""
    os.sync()
    path.touch()


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        if done.returncode == -signal.SIGKILL:
            # Of this it can say nothing itself.
            return (
                "it was killed (SIGKILL), most likely because the host ran out of memory; "
                "journalctl -k there tells"
            )
        return f"it was ended by signal {-done.returncode}"
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    text = " ".join(errors or lines[-3:])
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
