"""Unpack the archive pulled from a host into the results, without trusting it.

Everything is unpacked beside its place, checked, and only then moved in, a trial at a time: an
archive that is cut off or was tampered with changes nothing.
"""

from __future__ import annotations

import contextlib
import filecmp
import gzip
import re
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from collect.errors import DataError, shown
from collect.model import load_plan
from collect.store import PLAN, SUMS, TRIALS, load_host, verify_trial

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 2 * 2**30
"""A trial's folder is well below 1 MB; a run of a thousand trials stays below this."""
MAX_MEMBERS = 100_000
MAX_FILE_BYTES = 256 * 2**20
"""Of one file: the samples of a load of a day, two a second, take 70 MB."""
MAX_HEADER_BYTES = 64 * 1024
"""Of what may stand before a member, such as a long name; it is read into memory."""

_CHUNK_BYTES = 1 << 20
_NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,200}")
_LASTING = re.compile(r"plan\.json|host(\.[0-9]+)?\.json")
"""Files at the top that never change; others (progress, decision) are replaced by newer ones."""
_TRIAL_FILE_DEPTH = 3


class _Member(tarfile.TarInfo):
    """A member whose header is looked at before the library acts on it.

    It would read as much into memory as the header says, take numbers for granted, and go backwards
    for a negative size, for ever (CVE-2025-8194).
    """

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0:
            raise tarfile.ReadError("a negative size")
        if self.type not in _PLAIN_TYPES and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        if member.size < 0:
            # As an extended header has it, which wins.
            raise tarfile.ReadError("a negative size")
        return member

    def _refuse_map(self, *_: object) -> NoReturn:
        # It may go on for ever, and is read into memory before anybody can look at the member.
        raise tarfile.ReadError("a sparse file")

    _proc_sparse = _proc_gnusparse_10 = _refuse_map


_PLAIN_TYPES = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive brought: ids of new trials, and of those that were here already."""

    added: tuple[str, ...]
    kept: tuple[str, ...]


def unpack(archive: Path, destination: Path, run_id: str | None = None) -> Unpacked:
    """Unpack a host's `tar.gz` into `results/<run_id>/<host>`.

    Accepted are regular files named `<file>` or `trials/<trial_id>/<file>`, and the folders above
    them; hidden ones (`.partial-…`: being written) are passed over. What is here already stays: the
    same content is accepted again, other content is refused. Only what the runner itself rewrites
    is replaced: progress, the decision, and the run's own list of checksums.

    Args:
        archive: what the host packed.
        destination: the host's folder in the run's.
        run_id: which run it has to be of; None: that of the other hosts there, if there are any.

    Raises:
        DataError: the archive is cut off, damaged, too large or holds something else, a trial does
            not match its checksums, the whole could not be read as a host's share of that run, or
            it differs from what is here. Nothing has changed then.
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=destination) as staging:
            incoming = Path(staging)
            _extract(archive, incoming)
            try:
                return _merge(archive, incoming, destination, run_id)
            except DataError as error:
                # It is gone before anybody can look at it there.
                raise DataError(str(error).replace(f"{incoming}/", f"{archive}: ")) from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked into {destination}: {error}") from error


def _extract(archive: Path, staging: Path) -> None:
    left = MAX_BYTES
    try:
        with gzip.open(archive, "rb") as stream:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar:
                for count, member in enumerate(tar, start=1):
                    if count > MAX_MEMBERS:
                        raise DataError(f"{archive}: more than {MAX_MEMBERS} members; refused")
                    left -= _extract_member(archive, tar, member, staging, left)
            # tarfile stops at the end mark, or quietly at a broken header. Reading on to the end
            # lets gzip compare its checksum over everything.
            while chunk := stream.read(_CHUNK_BYTES):
                left -= len(chunk)
                _check_room(archive, left)
    # ValueError, OverflowError: numbers of extended headers, which the library takes for granted.
    except (
        EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, ValueError, OverflowError,
        RecursionError,  # of headers that announce headers
    ) as error:  # fmt: skip
        raise DataError(
            f"{archive}: cut off or damaged ({error}); nothing was unpacked, pull it again"
        ) from error


def _extract_member(
    archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, staging: Path, left: int
) -> int:
    """Write one member below `staging` and return its size."""
    parts = [part for part in member.name.split("/") if part not in {"", "."}]
    if member.name.startswith("/") or any(not _NAME.fullmatch(part) for part in parts):
        raise DataError(f"{archive}: member {shown(member.name)}: unsafe name; refused")
    if member.size > MAX_FILE_BYTES:
        raise DataError(
            f"{archive}: member {shown(member.name)}: larger than {MAX_FILE_BYTES // 2**20} MiB; "
            "refused"
        )
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise DataError(
            f"{archive}: member {shown(member.name)}: neither a regular file nor a folder; refused"
        )
    if any(part.startswith(".") for part in parts):
        _check_room(archive, left - member.size)
        return member.size
    target = staging.joinpath(*parts)
    in_trial = len(parts) == _TRIAL_FILE_DEPTH and parts[0] == TRIALS
    if member.isdir():
        if parts and (parts[0] != TRIALS or len(parts) >= _TRIAL_FILE_DEPTH):
            raise DataError(f"{archive}: member {shown(member.name)}: unexpected folder; refused")
        target.mkdir(parents=True, exist_ok=True)
        return 0
    if not in_trial and (len(parts) != 1 or parts == [TRIALS]):
        raise DataError(f"{archive}: member {shown(member.name)}: unexpected place; refused")
    _check_room(archive, left - member.size)
    source = tar.extractfile(member)
    if source is None:  # pragma: no cover - only for what is refused above
        raise DataError(f"{archive}: member {shown(member.name)}: holds no data; refused")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as file:
            _copy(source, file)
    except (FileExistsError, IsADirectoryError) as error:
        raise DataError(
            f"{archive}: member {shown(member.name)} stands there twice; refused"
        ) from error
    return member.size


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)


def _check_room(archive: Path, left: int) -> None:
    if left < 0:
        raise DataError(f"{archive}: unpacks to more than {MAX_BYTES // 2**20} MiB; refused")


def _merge(archive: Path, incoming: Path, destination: Path, run_id: str | None) -> Unpacked:
    if not (incoming / PLAN).is_file():
        raise DataError(f"{archive}: holds no {PLAN}; accepted: what the host runner packed")
    _check_lasting(archive, incoming, destination)
    trials = incoming / TRIALS
    folders = sorted(trials.iterdir()) if trials.is_dir() else []
    for folder in folders:
        _check_sums(folder, f"{archive}: {TRIALS}/{folder.name}")
    # What cannot be read would make the whole run unreadable, for good: what is here stays.
    try:
        came = load_host(incoming).plan.run_id
    except DataError as error:
        raise DataError(
            f"{error}; nothing of this archive is taken. What the host has stays there: look at "
            "that file, or measure again under another bench_run_id"
        ) from None
    for wanted, whose in _run_ids(destination, run_id):
        if came != wanted:
            raise DataError(
                f"{archive}: {PLAN}: run_id is {shown(came)}; accepted: {wanted!r}, {whose}"
            )
    added, kept = [], []
    for folder in folders:
        here = destination / TRIALS / folder.name
        if here.exists():
            _check_same(folder, here, f"{archive}: {TRIALS}/{folder.name}")
            kept.append(folder.name)
        else:
            added.append(folder.name)
    # Nothing can be refused from here on. The plan goes first: a run without one cannot be read.
    (destination / TRIALS).mkdir(exist_ok=True)
    if not (incoming / SUMS).exists():
        # The run has gone on since the list was made, so it holds no longer.
        (destination / SUMS).unlink(missing_ok=True)
    for path in sorted(incoming.iterdir(), key=lambda path: path.name != PLAN):
        here = destination / path.name
        if path.is_file() and not (_LASTING.fullmatch(path.name) and here.exists()):
            path.replace(here)
    for name in added:
        (trials / name).rename(destination / TRIALS / name)
    return Unpacked(tuple(added), tuple(kept))


def _check_sums(folder: Path, where: str) -> None:
    if not folder.is_dir():
        raise DataError(f"{where}: accepted: a folder")
    try:
        verify_trial(folder, where)
    except DataError as error:
        raise DataError(
            f"{error}; nothing of this archive is taken. bench.yml with this bench_run_id measures "
            "that trial anew"
        ) from None


def _run_ids(destination: Path, run_id: str | None) -> Iterator[tuple[str, str]]:
    """Yield the run that the archive has to be of, with the words for whose it is."""
    if run_id is not None:
        yield run_id, "as it was asked for"
        return
    for plan in sorted(destination.parent.glob(f"*/{PLAN}")):
        if plan.parent != destination:
            with contextlib.suppress(DataError):  # Another host's plan is not what is judged here.
                yield load_plan(plan).run_id, f"as of {plan.parent}"


def _check_lasting(archive: Path, incoming: Path, destination: Path) -> None:
    for path in sorted(incoming.iterdir()):
        here = destination / path.name
        if not _LASTING.fullmatch(path.name) or not here.exists():
            continue
        if not _is_same(path, here):
            raise DataError(
                f"{archive}: {path.name} differs from {here}; a run keeps its plan and its host, "
                "take another run id"
            )


def _is_same(incoming: Path, here: Path) -> bool:
    if incoming.name != PLAN:
        return filecmp.cmp(incoming, here, shallow=False)
    # A run that is resumed makes its plan again: the same but for the minute it was made.
    new, old = load_plan(incoming), load_plan(here)
    return replace(new, created_at=old.created_at) == old


def _check_same(incoming: Path, here: Path, where: str) -> None:
    names = {path.name for path in incoming.iterdir()}
    if names != {path.name for path in here.iterdir()}:
        raise DataError(f"{where}: holds other files than {here}; kept is what is there")
    for name in [*sorted(names - {SUMS}), SUMS]:
        if not filecmp.cmp(incoming / name, here / name, shallow=False):
            raise DataError(f"{where}/{name}: differs from {here / name}; kept is what is there")
