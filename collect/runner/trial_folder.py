"""Trial folders that are there whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from collect.attempts import split_attempt
from collect.errors import DataError
from collect.model import Trial, load_trial

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKSUMS = "SHA256SUMS"
# What a run's own list of checksums covers, besides the list of each trial.
_RUN_FILES = ("plan.json", "decision.json", "host*.json", "missed.jsonl")
_PARTIAL = ".partial-"
_BROKEN = ".broken-"


class TrialFolders:
    """The `trials` folder of a run."""

    def __init__(self, run_dir: Path) -> None:
        """Create the folder where it is missing."""
        self._root = run_dir / "trials"
        self._root.mkdir(parents=True, exist_ok=True)

    def clean(self) -> list[str]:
        """Remove what a runner that was cut off left; return the trials' ids."""
        left = sorted(self._root.glob(f"{_PARTIAL}*"))
        for folder in left:
            shutil.rmtree(folder)
        return [folder.name[len(_PARTIAL) :] for folder in left]

    def finished(self, planned_ids: Iterable[str]) -> dict[str, Trial]:
        """Return the trials that are there, whole, and can be read, each attempt by its own id.

        A folder that was damaged since it was sealed is put aside under another name, for a person
        to look at; its trial runs again.
        """
        places = {planned_id: place for place, planned_id in enumerate(planned_ids)}

        def place(folder: Path) -> tuple[int, int]:
            planned_id, attempt = split_attempt(folder.name)
            return attempt, places[planned_id]

        there = [path for path in self._root.iterdir() if split_attempt(path.name)[0] in places]
        folders = sorted(filter(Path.is_dir, there), key=place)
        read = {folder.name: self._read(folder) for folder in folders}
        return {name: trial for name, trial in read.items() if trial is not None}

    def _read(self, folder: Path) -> Trial | None:
        try:
            _check_sums(folder)
            return load_trial(folder / "trial.json")
        except (DataError, OSError, UnicodeDecodeError):
            aside = self._root / f"{_BROKEN}{folder.name}"
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            return None

    def open(self, trial_id: str) -> Path:
        """Create the folder to write the trial's files into, under its temporary name."""
        partial = self.partial(trial_id)
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
        return partial

    def partial(self, trial_id: str) -> Path:
        """Return the folder of a trial that is not sealed yet."""
        return self._root / f"{_PARTIAL}{trial_id}"

    def seal(self, trial_id: str) -> Path:
        """Write the checksums, make all durable, and give the folder its name."""
        partial = self.partial(trial_id)
        files = sorted(path for path in partial.iterdir() if path.is_file())
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
        (partial / CHECKSUMS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        # First the files, then the folder that names them: after a power cut, a folder with its
        # final name holds all it should.
        for path in [*files, partial / CHECKSUMS, partial]:
            sync(path)
        final = self._root / trial_id
        partial.rename(final)
        sync(self._root)
        return final

    def discard(self, trial_id: str) -> None:
        """Throw away a trial that was not sealed; no-op if there is none."""
        shutil.rmtree(self.partial(trial_id), ignore_errors=True)


def _check_sums(folder: Path) -> None:
    """Raise `DataError` or `OSError` unless the folder is as it was sealed."""
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise DataError(f"{folder / name}: changed since it was written")


def write_run_sums(run_dir: Path) -> None:
    """Write the checksums of the run's own files and of each trial's list of checksums.

    So a whole trial that went missing is noticed too. `sha256sum -c` reads it.
    """
    paths = {path for pattern in _RUN_FILES for path in run_dir.glob(pattern)}
    paths.update(run_dir.glob(f"trials/[!.]*/{CHECKSUMS}"))
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(run_dir).as_posix()}\n"
        for path in sorted(paths)
    ]
    write_atomically(run_dir / CHECKSUMS, "".join(lines))


def forget_run_sums(run_dir: Path) -> None:
    """Take the run's list away before anything is added: it would be wrong until the end."""
    (run_dir / CHECKSUMS).unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace a world-readable file in one step: who reads it sees the old or the new text."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
