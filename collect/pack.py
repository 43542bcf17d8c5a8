"""Pack what travels to a host: the runner as one file, and releases of a Django project.

    python -m collect.pack runner --output FILE

prints one line of JSON; `collect.project` packs releases. The same sources give the same bytes, so
that a deploy that has nothing to do can tell so by a name or a checksum.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from collect.checkout import git_environment
from collect.errors import DataError, ServerbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PACKAGE = Path(__file__).parent
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # The earliest a zip can hold.
_MAIN = """\
import sys

try:
    if sys.argv[1:2] == ["activate"]:
        from collect.service.__main__ import main
    else:
        from collect.runner.__main__ import main
except ModuleNotFoundError as error:
    sys.exit(f"serverbench-runner: no module {error.name!r}: apt-get install python3-psutil")
sys.exit(main())
"""
_LEFT_OUT = frozenset({".git", "__pycache__", "node_modules", "db.sqlite3"})
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or symbolic link of a release; `name` is relative, with slashes.

    `content` is a file's bytes, or where to read them.
    """

    name: str
    content: Path | bytes
    executable: bool
    link: str | None

    def read(self) -> bytes:
        """Return the bytes of a file, or those of the path a link leads to."""
        if self.link is not None:
            return os.fsencode(self.link)
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


def pack_runner(output: Path) -> dict[str, Any]:
    """Write the runner as a zipapp; leave the file alone if it holds the same already.

    With it goes every module of `collect` that it imports, directly or not, and nothing else.
    """
    files = {f"collect/{path.relative_to(_PACKAGE).as_posix()}": path for path in _runner_files()}
    content = BytesIO()
    content.write(b"#!/usr/bin/env python3\n")
    # Stored, not deflated: the bytes must not hang on the version of zlib.
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        for name in sorted(files):
            _add(archive, name, files[name].read_bytes())
    data = content.getvalue()
    changed = not output.is_file() or output.read_bytes() != data
    if changed:
        _replace(output, data, 0o755)
    digest = hashlib.sha256(data).hexdigest()
    return {"path": str(output), "sha256": digest, "changed": changed}


def read_project(source: Path) -> tuple[Entry, ...]:
    """Return what of a project folder belongs to a release, sorted by name.

    Left out: .git, virtual environments, node_modules, compiled Python, db.sqlite3, and what git
    ignores if the folder is in a checkout.

    Raises:
        DataError: the folder is missing or empty, or a symbolic link leads out of it.
    """
    if not source.is_dir():
        raise DataError(
            f"app_source: {source}: no such folder; accepted: a folder with a Django project"
        )
    entries = _sorted(_entries(source.resolve()))
    if not entries:
        raise DataError(
            f"app_source: {source}: holds no file to deploy (is all of it ignored by git?)"
        )
    return entries


def pack_release(entries: Sequence[Entry], output_dir: Path) -> dict[str, Any]:
    """Write a release as `<id>.tar.gz`; the id comes from names, modes and contents."""
    # Each is read once: one that is saved meanwhile would be packed under the id of what it was.
    entries = tuple(replace(entry, content=entry.read()) for entry in _sorted(entries))
    release = _content_id(entries)
    path = output_dir / f"{release}.tar.gz"
    changed = not path.is_file()
    if changed:
        _replace(path, _archive(entries), 0o644)
    return {"id": release, "path": str(path), "files": len(entries), "changed": changed}


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: os.fsencode(entry.name)))


def _runner_files() -> set[Path]:
    waiting = [_PACKAGE / "__init__.py", *(_PACKAGE / "runner").glob("*.py")]
    waiting += (_PACKAGE / "service").glob("*.py")
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in sorted(imported_modules(path.read_text(encoding="utf-8"))):
            if name.startswith("collect."):
                waiting += _files_of(name)
    return found


def imported_modules(source: str) -> set[str]:
    """Return the dotted names that running the source may import; those for types only are not.

    `from collect.x import y` gives `collect.x` and `collect.x.y`: y may be a module.
    """
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _files_of(name: str) -> list[Path]:
    """Return a module's file, with `__init__.py` of the packages above it; none for no module."""
    parts = name.split(".")[1:]
    files = [_PACKAGE.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    files.append(_PACKAGE.joinpath(*parts).with_suffix(".py"))
    return [path for path in files if path.is_file()]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _ZIP_DATE)
    info.create_system = 3  # Unix, or the mode below means nothing.
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(info, data)


def _entries(root: Path) -> Iterator[Entry]:
    names = _git_names(root)
    for name in _walk(root) if names is None else names:
        path = root / name
        if _is_left_out(root, PurePosixPath(name)):
            continue
        if path.is_symlink():
            yield Entry(name, path, executable=False, link=_checked_link(root, path))
        elif path.is_dir():  # A submodule or a checkout inside: git names the folder only.
            for inner in _walk(path):
                yield from _plain(root, PurePosixPath(name, inner))
        else:
            yield from _plain(root, PurePosixPath(name))


def _plain(root: Path, name: PurePosixPath) -> Iterator[Entry]:
    path = root / name
    if _is_left_out(root, name):
        return
    if path.is_symlink():
        yield Entry(str(name), path, executable=False, link=_checked_link(root, path))
    elif path.is_file():  # Neither deleted since git listed it, nor a socket.
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
        yield Entry(str(name), path, executable=executable, link=None)


def _git_names(root: Path) -> list[str] | None:
    """Return what git would keep; None where the folder is in no checkout."""
    checkout = next((p for p in (root, *root.parents) if (p / ".git").exists()), None)
    if checkout is None or shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"],
        check=False,
        capture_output=True,
        env=git_environment(),
    )
    if done.returncode != 0:
        # Not a walk instead: it would take along what git ignores, such as a file of secrets.
        why = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise DataError(
            f"app_source: {root} is in the checkout {checkout}, but git cannot list it: {why}"
        )
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    # A folder that is itself ignored (a build folder, a test's scratch folder) has no rules inside.
    return [name.rstrip("/") for name in dict.fromkeys(names)] or None


def _walk(root: Path) -> Iterator[str]:
    for place, folders, files in os.walk(root):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [
            name
            for name in folders
            if name not in links and name not in _LEFT_OUT and not _is_venv(here / name)
        ]
        for name in (*files, *links):
            yield (here / name).relative_to(root).as_posix()


def _is_left_out(root: Path, name: PurePosixPath) -> bool:
    if name.suffix == ".pyc" or not _LEFT_OUT.isdisjoint(name.parts):
        return True
    return any(_is_venv(root / parent) for parent in name.parents if parent.name)


def _is_venv(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").is_file()


def _checked_link(root: Path, path: Path) -> str:
    target = os.readlink(path)  # noqa: PTH115 - the text as it stands, not a Path made of it
    # Not Path.resolve, which raises for links that go round in a circle, and no OSError.
    real = Path(os.path.realpath(path))
    if os.path.isabs(target) or not real.is_relative_to(root):  # noqa: PTH117 - as above
        raise DataError(
            f"app_source: {path} is a symbolic link to {target}, which is not in the project on "
            "the host; make it a file, or a relative link to one inside"
        )
    return target


def _content_id(entries: Sequence[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        data = entry.read()
        kind = "link" if entry.link is not None else "exec" if entry.executable else "file"
        # Lengths in front, so that no two lists of files read the same.
        name = os.fsencode(entry.name)
        digest.update(f"{kind} {len(name)} {len(data)}\n".encode() + name + data)
    return digest.hexdigest()[:_ID_DIGITS]


def _archive(entries: Sequence[Entry]) -> bytes:
    packed = BytesIO()
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        folders = {str(p) for e in entries for p in PurePosixPath(e.name).parents if p.name}
        for folder in sorted(folders):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            if entry.link is not None:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
                tar.addfile(info)
                continue
            data = entry.read()
            info.size, info.mode = len(data), 0o755 if entry.executable else 0o644
            tar.addfile(info, BytesIO(data))
    return packed.getvalue()


def _replace(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_bytes(data)
    temporary.chmod(mode)
    temporary.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m collect.pack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("runner", help="the host runner, as one zipapp")
    runner.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        result = pack_runner(options.output)
    except ServerbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
