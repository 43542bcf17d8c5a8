"""Check what is said of the user's project, and pack it as a release."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from dataclasses import MISSING, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import urlsplit

from collect.checkout import REF, fetch, folder_for, is_git_url, without_password
from collect.decode import decode
from collect.errors import DataError, shown
from collect.pack import Entry, pack_release, read_project
from collect.requirements import read_requirements
from collect.variables import FOLDER, IN_SOURCE
from collect.variants import ENTRY_POINT, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

OWN_FOLDER = ".serverbench"
"""Of a release: what the kit adds to the project's own files."""

_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_PROGRAM = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./+-]{0,199}")
_MANAGE_PY = re.compile(r"(?:^|\s)((?:[\w.-]+/)*manage\.py)(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Project:
    """The variables of a project, by their names without `app_`; roles/app tells what they mean."""

    source: str
    requirements: str
    settings_module: str
    setup_commands: tuple[str, ...]
    wsgi: str
    asgi: str
    ref: str = ""
    root: str = ""
    constraints: str = ""
    python: str = "python3"


def check_project(variables: Mapping[str, Any], interfaces: Collection[str]) -> Project:
    """Return the project, its variables checked as far as that needs no file.

    Args:
        variables: by their names in the inventory, `app_…`; others are ignored.
        interfaces: `wsgi`, `asgi` or both, whichever will be served; the other need not be there.

    Raises:
        DataError: one line that names the variable, what it got and what is accepted.
    """
    kinds = get_type_hints(Project)
    given: dict[str, Any] = {}
    for field in fields(Project):
        value = plain(variables.get(f"app_{field.name}"))
        if value is None and field.default is not MISSING:
            value = field.default
        given[field.name] = decode(kinds[field.name], value, f"app_{field.name}")
    project = Project(**given)
    if not project.source.strip():
        raise DataError("app_source: got nothing; accepted: a folder or a git URL")
    _check_address(project.source)
    if project.ref and not REF.fullmatch(project.ref):
        raise DataError(f"app_ref: got {shown(project.ref)}; accepted: a branch, a tag or a commit")
    root = PurePosixPath(project.root)
    if root.is_absolute() or ".." in root.parts or not FOLDER.fullmatch(project.root):
        raise DataError(f"app_root: got {shown(project.root)}; accepted: {IN_SOURCE}")
    if not _PROGRAM.fullmatch(project.python):
        raise DataError(f"app_python: got {shown(project.python)}; accepted: python3.12, or a path")
    if not _MODULE.fullmatch(project.settings_module):
        raise DataError(
            f"app_settings_module: got {shown(project.settings_module)}; "
            "accepted: a module, such as "
            "mysite.settings.production"
        )
    for interface in interfaces:
        entry_point = getattr(project, interface)
        if not ENTRY_POINT.fullmatch(entry_point):
            raise DataError(
                f"app_{interface}: got {shown(entry_point)}; accepted: module:name, such as "
                f"mysite.{interface}:application (bench_matrix has servers that speak {interface})"
            )
    for index, command in enumerate(project.setup_commands):
        if not command.strip():
            raise DataError(f"app_setup_commands[{index}]: got nothing; accepted: a shell command")
    return project


def _check_address(source: str) -> None:
    """Refuse what is neither a folder's whole path nor the address of a repository."""
    if is_git_url(source):
        try:
            urlsplit(source)
        except ValueError as error:
            raise DataError(
                f"app_source: {error}; accepted: a folder, or a git URL such as "
                "https://example.com/site.git"
            ) from None
    # Path's own expanduser raises where there is no such user.
    elif not Path(os.path.expanduser(source)).is_absolute():  # noqa: PTH111
        raise DataError(
            f"app_source: got {shown(without_password(source))}; "
            "accepted: an absolute path, such as "
            "{{ inventory_dir }}/../../../my-project, or a git URL"
        )


def pack_project(
    project: Project, interfaces: Collection[str], build_dir: Path, servers_dir: Path
) -> dict[str, Any]:
    """Write a project with what pip needs for it as `<id>.tar.gz` into `build_dir`.

    Returns `id`, `path`, `files` and `changed`, with `packages`, a key of all that is installed for
    it, and `commit`, which is null for a folder.

    Args:
        project: what `check_project` returned.
        interfaces: those that will be served.
        build_dir: where the archive and the checkouts of repositories are kept.
        servers_dir: holds `requirements.in` and its lock `requirements.txt`: the kit's servers.

    Raises:
        DataError: the source cannot be had, or a variable names what is not in it.
    """
    with _one_at_a_time(build_dir):
        folder, came_from = _source(project, build_dir)
        entries = read_project(folder)
        _check_files(project, {entry.name for entry in entries}, folder)
        packages = read_requirements(folder, project.requirements, project.constraints)
        names = {entry.name for entry in entries}
        if not packages.has_local:
            _check_modules(project, names, interfaces)
        # All that decides the environment is part of the release: another one is tried, and gone
        # back from, as other code is.
        about = {"root": project.root, "python": project.python, **came_from}
        own = {
            "project.json": json.dumps(about, indent=2) + "\n",
            "requirements.txt": packages.text,
            "constraints.txt": packages.constraints,
            "servers.in": (servers_dir / "requirements.in").read_text(encoding="utf-8"),
            "servers.txt": (servers_dir / "requirements.txt").read_text(encoding="utf-8"),
        }
        added = [
            Entry(f"{OWN_FOLDER}/{name}", text.encode(), executable=False, link=None)
            for name, text in own.items()
        ]
        release = pack_release([*entries, *added], build_dir)
    digest = hashlib.sha256()
    # Packages built from the project's own files belong to this release alone.
    for text in (*list(own.values())[1:], release["id"] if packages.has_local else ""):
        digest.update(f"{len(text)}\n{text}".encode())
    return {
        **release,
        "packages": digest.hexdigest()[:12],
        "commit": came_from.get("commit"),
    }


@contextlib.contextmanager
def _one_at_a_time(build_dir: Path) -> Iterator[None]:
    """Hold the build folder: two deploys at once would check out over each other."""
    build_dir.mkdir(parents=True, exist_ok=True)
    with (build_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _source(project: Project, build_dir: Path) -> tuple[Path, dict[str, str]]:
    if is_git_url(project.source) or project.ref:
        url = project.source
        if not is_git_url(url):
            folder = Path(url).expanduser()
            if not folder.is_dir():
                raise DataError(f"app_source: {folder}: no such folder")
            url = str(folder)
        checkout = fetch(url, project.ref, folder_for(url, build_dir))
        return checkout.folder, {"url": checkout.url, "commit": checkout.commit}
    return Path(project.source).expanduser(), {}


def _check_files(project: Project, names: Collection[str], folder: Path) -> None:
    root = PurePosixPath(project.root)
    if root.parts and not any(name.startswith(f"{root}/") for name in names):
        raise DataError(
            f"app_root: got {shown(project.root)}, which is no folder in {folder}; "
            f"accepted: {IN_SOURCE}"
        )
    for index, command in enumerate(project.setup_commands):
        for wanted in _MANAGE_PY.findall(command):
            if str(root / wanted) not in names:
                raise DataError(
                    f"app_setup_commands[{index}]: got {shown(command)}, and the project has no "
                    f"{root / wanted}; commands run in app_root ({project.root or 'app_source'})"
                )


def _check_modules(project: Project, names: Collection[str], interfaces: Collection[str]) -> None:
    """Refuse a module that is not under app_root, from where the servers import."""
    wanted = {"app_settings_module": project.settings_module}
    wanted |= {f"app_{name}": getattr(project, name).partition(":")[0] for name in interfaces}
    for variable, module in wanted.items():
        path = PurePosixPath(project.root, *module.split("."))
        if f"{path}.py" not in names and f"{path}/__init__.py" not in names:
            raise DataError(
                f"{variable}: got the module {shown(module)}, and the project has no {path}.py; "
                "modules "
                f"are looked for in app_root ({project.root or 'app_source'}), and files that git "
                "ignores are not deployed"
            )
