"""Facts of the host that a result must be read with: `host.json`."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from collect.runner.trial_folder import write_atomically
from collect.runner.watch import package_versions, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_UNITS = Path("/etc/systemd/system")
_SETTINGS = Path("/etc/serverbench")
_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_V1_UNLIMITED = 2**60


def collect_facts(
    venv: Path | None,
    wrk: str,
    stated_limit_bytes: int | None = None,
    units: Iterable[str] = (),
) -> dict[str, Any]:
    """Look at the host. What cannot be told is None.

    Args:
        venv: virtual environment of the servers, for package versions.
        wrk: the wrk program.
        stated_limit_bytes: memory limit that holds from outside, where a container cannot see it.
        units: systemd units of the variants, whose files are told by their checksums.
    """
    limits = [limit for limit in (memory_limit(), stated_limit_bytes) if limit is not None]
    return {
        "schema_version": 1,
        "hostname": platform.node() or None,
        "timezone": _zone(),
        "kernel": platform.release() or None,
        "architecture": platform.machine() or None,
        "os": _os_name(),
        "cpu_model": _cpu_model(),
        "cores": usable_cores(),
        "memory_total_bytes": psutil.virtual_memory().total,
        "memory_limit_bytes": min(limits, default=None),
        "swap_total_bytes": psutil.swap_memory().total,
        "virtualisation": _first_line(["systemd-detect-virt"]),
        "python": platform.python_version(),
        "psutil": psutil.__version__,
        "versions": {
            "wrk": _find(r"^wrk (?:debian/)?(\S+)", ["-v"], wrk),
            "systemd": _find(r"^systemd \d+ \(([^)]+)\)", ["--version"], "systemctl"),
            "redis": _find(r"\bv=(\S+)", ["--version"], "redis-server"),
        },
        # The release that is served: `current` is a link to the folder named after its content.
        "release": None if venv is None else venv.parent.resolve().name,
        "venv": None if venv is None else str(venv),
        "packages": None if venv is None else package_versions(venv),
        "units": {unit: _checksum(_UNITS / unit) for unit in sorted(units)},
        "settings": _settings_checksum(units),
    }


def write_facts(run_dir: Path, facts: dict[str, Any], log: Callable[[str], None]) -> None:
    """Write `host.json`, or the next `host.N.json` if a resumed run finds a changed host."""
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    number = 1
    path = run_dir / "host.json"
    while path.exists():
        if path.read_text("utf-8") == text:
            return
        number += 1
        path = run_dir / f"host.{number}.json"
    if number > 1:
        log(f"the host differs from when this run began: compare host.json with {path.name}")
    write_atomically(path, text)


def memory_limit() -> int | None:
    """Return the lowest memory limit of this process's control groups in bytes; None without."""
    limits = []
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = _CGROUP, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CGROUP / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = root / path.lstrip("/")
        # A limit of any group above holds too.
        for place in (folder, *folder.parents):
            limits += [int(text) for text in _lines(place / name) if text.isdecimal()]
            if place == root:
                break
    return min((limit for limit in limits if limit < _CGROUP_V1_UNLIMITED), default=None)


def _zone() -> str:
    """Return the name of the host's time zone; one without a name counts in UTC."""
    _, found, name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")
    return name if found else "UTC"


def _settings_checksum(units: Iterable[str]) -> str:
    """Return one checksum of what else decides how variants run: environment, proxies, drop-ins.

    The host's own id is in it, which nobody else knows: no password can be guessed from it.
    """
    paths = [*_SETTINGS.glob("*.env"), *_SETTINGS.glob("proxy/*")]
    paths += [path for unit in units for path in (_UNITS / f"{unit}.d").glob("*.conf")]
    found = hashlib.sha256()
    for path in (Path("/etc/machine-id"), *sorted(paths)):
        found.update(f"{path} {_checksum(path)}\n".encode())
    return found.hexdigest()


def _checksum(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _os_name() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _cpu_model() -> str | None:
    for line in _lines(Path("/proc/cpuinfo")):
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return None


def _find(pattern: str, arguments: list[str], program: str) -> str | None:
    found = re.search(pattern, _output([program, *arguments]) or "", re.MULTILINE)
    return found[1] if found else None


def _first_line(command: list[str]) -> str | None:
    return next(iter((_output(command) or "").splitlines()), None)


def _output(command: list[str]) -> str | None:
    """Return what the program prints, whatever its status: `wrk -v` ends with 1."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=10,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
