"""Where runs and the kit itself lie."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import collect
from collect.errors import DataError, ServerbenchError
from collect.model import load_plan
from collect.store import PLAN

LATEST = "latest"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def find_run(name: str) -> Path:
    """Return the folder of a run, by its id, its path, or as the latest."""
    results = results_dir()
    if name == LATEST:
        return _latest(results)
    if RUN_ID.fullmatch(name) and (results / name).is_dir():
        return results / name
    path = Path(name)
    if not path.is_dir():
        raise DataError(
            f"{name}: no such run; accepted: {LATEST}, a folder, or a name in {results}"
        )
    return path


def dated_runs(results: Path) -> tuple[list[Path], list[Path]]:
    """Return the runs in the order of their plans' dates, and those whose plan cannot be read.

    The folders' own dates change when they are copied.
    """
    dated: dict[Path, datetime] = {}
    unreadable = set()
    for path in sorted(results.glob(f"*/*/{PLAN}")):
        try:
            made = _made_at(path)
        except DataError:
            unreadable.add(path.parent.parent)
            continue
        run = path.parent.parent
        dated[run] = max(dated.get(run, made), made)
    readable = [run for run in dated if run not in unreadable]
    return sorted(readable, key=lambda run: dated[run]), sorted(unreadable)


def _latest(results: Path) -> Path:
    """Return the run whose plan was made last."""
    for path in results.glob(f"*/*/{PLAN}"):
        # Whoever asks for the latest is told of a plan that cannot be read: it may be that one.
        _made_at(path)
    runs, _ = dated_runs(results)
    if not runs:
        raise DataError(f"{results}: holds no run yet; ansible-playbook bench.yml makes one")
    return runs[-1]


def _made_at(path: Path) -> datetime:
    try:
        made = datetime.fromisoformat(load_plan(path).created_at)
    except ValueError as error:
        raise DataError(f"{path}: created_at is no ISO 8601 date ({error})") from error
    return made if made.tzinfo else made.astimezone()


def results_dir() -> Path:
    """Return results/ where the user stands, or else of the checkout."""
    here = Path("results")
    return here if here.is_dir() else project_root() / "results"


def project_root() -> Path:
    """Return the folder with ansible.cfg: above where the user stands, or where the kit lies."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(collect.__file__).resolve().parent.parent):
        if (folder / "ansible.cfg").is_file() and (folder / "collect").is_dir():
            return folder
    raise ServerbenchError(f"{here}: not inside a serverbench checkout; change into yours")
