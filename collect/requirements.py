"""Turn what a project says of its packages into one requirements file that pip reads on a host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import tomllib

from collect.errors import DataError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REQUIREMENTS = "app_requirements"
CONSTRAINTS = "app_constraints"

_WITH_EXTRAS = re.compile(r"(?P<path>.+?)\s*\[(?P<extras>[A-Za-z0-9._, -]+)\]")
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_OTHER_FILE = re.compile(r"(?:-([rc])\s*|--(requirement|constraint)(?:\s+|\s*=\s*))(?P<path>\S.*)")
_EDITABLE = re.compile(r"(?:-e\s*|--editable(?:\s+|\s*=\s*))(?P<what>\S.*)")
# uWSGI comes with the kit as a wheel; from its sources it would want a compiler on the host.
_BROUGHT_BY_THE_KIT = frozenset({"uwsgi", "pyuwsgi"})
_INSTEAD = {
    "poetry.lock": "`poetry export -o requirements.txt` writes one from it",
    "pdm.lock": "`pdm export -o requirements.txt` writes one from it",
    "Pipfile.lock": "`pipenv requirements --hash > requirements.txt` writes one from it",
    "Pipfile": "`pipenv requirements --hash > requirements.txt` writes one from its lock",
    "setup.py": "`uv pip compile setup.py -o requirements.txt` writes one from it",
    "setup.cfg": "`uv pip compile setup.cfg -o requirements.txt` writes one from it",
    "environment.yml": "conda's packages are not installed; name pip's",
}
_ACCEPTED = (
    "a requirements file, pyproject.toml, uv.lock or pylock.toml inside the project, "
    "relative to app_source"
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """Two files for pip, and whether one of their lines is a folder or file of the project."""

    text: str
    constraints: str
    has_local: bool


def read_requirements(project: Path, name: str, constraints: str) -> Requirements:
    """Return the packages of a project, with what its files include put in their place.

    Args:
        project: the folder that `name` and `constraints` are relative to.
        name: `app_requirements`, such as `requirements/live.txt` or `pyproject.toml[live]`.
        constraints: `app_constraints`, a requirements file that pins; empty for none.

    Raises:
        DataError: a file is missing, not UTF-8, or of a kind that is not read.
    """
    found = _WITH_EXTRAS.fullmatch(name)
    base = found["path"] if found else name
    extras = [extra.strip() for extra in found["extras"].split(",")] if found else []
    path = _inside(project, base, REQUIREMENTS)
    kind = path.name
    if kind in _INSTEAD:
        raise DataError(f"{REQUIREMENTS}: got {name!r}; accepted: {_ACCEPTED}. {_INSTEAD[kind]}")
    pins: list[str] = []
    if kind == "pyproject.toml":
        lines = _of_pyproject(path, name, extras)
    elif kind == "uv.lock":
        lines = _of_uv_lock(path, name, extras)
    elif _PYLOCK.fullmatch(kind):
        lines = _of_pylock(path, name, extras)
    elif extras:
        raise DataError(
            f"{REQUIREMENTS}: got {name!r}; extras go with pyproject.toml or uv.lock only"
        )
    else:
        lines = list(_flatten(project, path, REQUIREMENTS, pins, ()))
    if constraints:
        pinned = _inside(project, constraints, CONSTRAINTS)
        pins += _flatten(project, pinned, CONSTRAINTS, pins, ())
    # A server that the project pins for itself must not hold back the kit's own.
    lines = [line for line in lines if canonical_name(line) not in _BROUGHT_BY_THE_KIT]
    return Requirements(_text(lines), _text(pins), any(map(_is_local, lines)))


def canonical_name(line: str) -> str:
    """Return the package that a line of a requirements file names; empty for an option or path."""
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _inside(project: Path, name: str, variable: str) -> Path:
    relative = PurePosixPath(name)
    path = project / relative
    if not name.isprintable():
        raise DataError(f"{variable}: got {shown(name)}; accepted: {_ACCEPTED}")
    if relative.is_absolute() or not path.resolve().is_relative_to(project.resolve()):
        raise DataError(f"{variable}: got {name!r}; accepted: {_ACCEPTED}")
    if not path.is_file():
        raise DataError(
            f"{variable}: got {name!r}, which is no file in {project}{_others(project)}"
        )
    return path


def _others(project: Path) -> str:
    """Say what the project has instead: the name is mostly just another one."""
    known = (
        "*requirements*.txt",
        "requirements/*.txt",
        "pyproject.toml",
        "uv.lock",
        "pylock*.toml",
    )
    found = sorted(str(p.relative_to(project)) for pattern in known for p in project.glob(pattern))
    return f"; it has {', '.join(found[:5])}" if found else ""


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{variable}: {path} is not UTF-8; save it as UTF-8") from None


def _flatten(
    project: Path, path: Path, variable: str, pins: list[str], above: tuple[Path, ...]
) -> Iterator[str]:
    """Give the lines of a file and of those it includes; its constraints go to `pins`."""
    if path in above:
        raise DataError(f"{variable}: {path} includes itself")
    for raw in _logical_lines(_read(path, variable)):
        found = _OTHER_FILE.fullmatch(raw)
        if not found or "://" in found["path"]:
            yield raw
            continue
        name = found["path"].strip("\"'")
        other = path.parent / name
        if not other.is_file() or not other.resolve().is_relative_to(project.resolve()):
            raise DataError(
                f"{variable}: {path} includes {name!r}, which is no file of the project"
            )
        lines = _flatten(project, other, variable, pins, (*above, path))
        if "r" in (found[1], (found[2] or "")[:1]):
            yield from lines
        else:
            pins += lines


def _logical_lines(text: str) -> Iterator[str]:
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if stripped := _COMMENT.sub("", line).strip():
            yield re.sub(r"\s{2,}", " ", stripped)


def _is_local(line: str) -> bool:
    found = _EDITABLE.fullmatch(line)
    what = found["what"] if found else line
    if found and "://" not in what:
        return True
    return bool(re.match(r"\.{1,2}(?:[/\[\s]|$)|/|file:", what) or re.search(r"@\s*file:", what))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path, REQUIREMENTS))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{REQUIREMENTS}: {path} is not TOML: {error}") from None


def _of_pyproject(path: Path, name: str, extras: list[str]) -> list[str]:
    data = _toml(path)
    project = data.get("project")
    if not isinstance(project, dict) or "dependencies" not in project:
        why = "has no [project] dependencies"
        if isinstance(project, dict) and "dependencies" in project.get("dynamic", ()):
            why = "takes its dependencies from another file ([project] dynamic)"
        elif "poetry" in data.get("tool", {}):
            why = f"has Poetry's own dependencies only; {_INSTEAD['poetry.lock']}"
        raise DataError(f"{REQUIREMENTS}: {path} {why}; accepted: {_ACCEPTED}")
    optional = project.get("optional-dependencies", {})
    lines = project["dependencies"]
    if not isinstance(lines, list) or not isinstance(optional, dict):
        raise DataError(f"{REQUIREMENTS}: {path}: dependencies: accepted: a list of texts")
    for extra in extras:
        if extra not in optional:
            raise DataError(
                f"{REQUIREMENTS}: got {name!r}; its [project.optional-dependencies] are "
                f"{', '.join(optional) or 'none'}"
            )
        lines = [*lines, *optional[extra]] if isinstance(optional[extra], list) else [None]
    if not all(isinstance(line, str) and line.strip() for line in lines):
        raise DataError(f"{REQUIREMENTS}: {path}: dependencies: accepted: a list of texts")
    return [line.strip() for line in lines]


def _of_uv_lock(path: Path, name: str, extras: list[str]) -> list[str]:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise DataError(
            f"{REQUIREMENTS}: got {name!r}, which `uv export` reads, and this machine has no uv: "
            "install it (pip install uv), or name a requirements file"
        )
    with_extras = [part for extra in extras for part in ("--extra", extra)]
    done = subprocess.run(
        [uv, "export", "--quiet", "--frozen", "--offline", "--no-dev", "--no-emit-project",
         "--no-header", "--no-annotate", "--format=requirements-txt", *with_extras],
        check=False,
        capture_output=True,
        text=True,
        cwd=path.parent,
        stdin=subprocess.DEVNULL,
        # Another environment than the project's is active here, which uv would warn of.
        env={key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"},
    )  # fmt: skip
    if done.returncode != 0:
        raise DataError(f"{REQUIREMENTS}: {path}: uv said: {' '.join(done.stderr.split())}")
    return list(_logical_lines(done.stdout))


def _of_pylock(path: Path, name: str, extras: list[str]) -> list[str]:
    """Read a lock of the Python packaging specification (PEP 751)."""
    data = _toml(path)
    version = str(data.get("lock-version", ""))
    if extras or not version.startswith("1."):
        raise DataError(
            f"{REQUIREMENTS}: got {name!r} (lock-version {version or 'missing'}); accepted: "
            "version 1.x, without extras"
        )
    return [_pylock_line(package, path) for package in data.get("packages", ())]


def _pylock_line(package: Mapping[str, Any], path: Path) -> str:
    name, marker = str(package.get("name")), package.get("marker")
    files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
    hashes = [file["hashes"]["sha256"] for file in files if "sha256" in file.get("hashes", {})]
    if "version" not in package or not hashes:
        raise DataError(
            f"{REQUIREMENTS}: {path}: {name} comes from a folder, a repository or an address; "
            "accepted: packages of an index, with their SHA-256"
        )
    if marker and re.search(r"\b(extras|dependency_groups)\b", marker):
        raise DataError(
            f"{REQUIREMENTS}: {path}: {name} belongs to an extra or a group; lock what the project "
            "runs with alone"
        )
    condition = f" ; {marker}" if marker else ""
    pinned = " ".join(f"--hash=sha256:{digest}" for digest in dict.fromkeys(hashes))
    return f"{name}=={package['version']}{condition} {pinned}"
