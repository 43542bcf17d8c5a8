"""The processes of a service: which they are, which of them are workers, what memory they hold."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from collect.runner.seams import Memory, ProcessInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PROC = Path("/proc")
_SHELLS = frozenset({"sh", "bash", "dash"})
# `python -c "from multiprocessing.resource_tracker import main;main(6)"`: book-keeping beside
# workers that were spawned (Uvicorn, Hypercorn, Granian).
_PYTHON_HELPER = re.compile(r"\bfrom multiprocessing\.(resource_tracker|forkserver) import\b")
# uWSGI with auto-procname: "uWSGI master", "uWSGI http 1", with a prefix if one is set.
_UWSGI_HELPER = re.compile(
    r"\buWSGI (master|http|https|http2|fastrouter|rawrouter|sslrouter|mule|spooler|emperor)\b"
)
_UWSGI_NAMED = re.compile(r"\buWSGI \w+")
_UWSGI_ROUTER_OPTION = re.compile(r"^(--?)?(http|https)(=|$)")
_UWSGI_ROUTERS_OPTION = re.compile(r"^--http-processes=(\d+)$")


def count_workers(processes: Sequence[ProcessInfo]) -> int | None:
    """Count the processes that answer requests; None when there is no process at all.

    The rule, in this order:

    1. Helpers are put aside: multiprocessing's resource tracker and fork server, a shell that
       wraps others, and uWSGI's master, router, mules and spoolers where they bear their names.
    2. A process with no child among the rest is a worker. So a master is none, and the single
       process of a server without workers is one.
    3. The pyuwsgi wheel runs inside Python and cannot rename itself. If its command line asks for
       an http router, the router's processes (one, or `--http-processes`) are taken off.
    """
    if not processes:
        return None
    rest = [process for process in processes if not is_helper(process)]
    parents = {process.ppid for process in rest}
    leaves = [process for process in rest if process.pid not in parents]
    return max(0, len(leaves) - _unnamed_routers(processes, len(leaves)))


def is_helper(process: ProcessInfo) -> bool:
    """Tell whether the process only helps or manages others, by its name and command line."""
    line = " ".join(process.argv)
    if process.name in _SHELLS or (process.argv and Path(process.argv[0]).name in _SHELLS):
        return True
    return bool(_PYTHON_HELPER.search(line) or _UWSGI_HELPER.search(line))


def _unnamed_routers(processes: Sequence[ProcessInfo], leaves: int) -> int:
    if leaves < 2 or any(_UWSGI_NAMED.search(" ".join(p.argv)) for p in processes):  # noqa: PLR2004 - a router stands beside a worker
        return 0
    # A manager may stand above it, so the command line of any process will do: uWSGI's all agree.
    argv = next((p.argv for p in processes if _is_uwsgi(p)), ())
    if not any(_UWSGI_ROUTER_OPTION.match(a) for a in argv if a.startswith("-")):
        return 0
    asked = [int(found[1]) for a in argv if (found := _UWSGI_ROUTERS_OPTION.match(a))]
    return asked[-1] if asked else 1


def _is_uwsgi(process: ProcessInfo) -> bool:
    return any(Path(word).name in ("uwsgi", "pyuwsgi") for word in process.argv[:2])


def cgroup_folder(control_group: str | None) -> Path | None:
    """Return the unit's folder in the v2 hierarchy; None where there is none (any more)."""
    if control_group is None:
        return None
    for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        folder = root / control_group.lstrip("/")
        if (folder / "cgroup.events").is_file():
            return folder
    return None


def find_pids(control_group: str | None, main_pid: int | None) -> tuple[int, ...]:
    """Return the ids of the unit's processes, sorted.

    From its control group with all below it, since a process that double-forked is still there;
    where that cannot be read, from the tree under the main process.
    """
    folders = [cgroup_folder(control_group)]
    if control_group is not None:
        folders.append(Path("/sys/fs/cgroup/systemd") / control_group.lstrip("/"))
    for folder in folders:
        if folder is None or not folder.is_dir():
            continue
        pids: set[int] = set()
        for place, _, names in os.walk(folder):
            if "cgroup.procs" in names:
                text = _read(Path(place) / "cgroup.procs")
                pids.update(int(word) for word in (text or "").split())
        if pids:
            return tuple(sorted(pids))
    if main_pid is None:
        return ()
    try:
        main = psutil.Process(main_pid)
        return tuple(sorted([main_pid, *(child.pid for child in main.children(recursive=True))]))
    except psutil.Error:
        return ()


def describe(pids: Iterable[int]) -> tuple[ProcessInfo, ...]:
    """Look at each process; those that are gone or only wait to be reaped are left out."""
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                found.append(
                    ProcessInfo(
                        pid=pid,
                        ppid=process.ppid(),
                        name=process.name(),
                        argv=tuple(process.cmdline()),
                        threads=process.num_threads(),
                        user=process.username(),
                    )
                )
        except psutil.Error:
            continue
    return tuple(found)


def measure(pids: Iterable[int]) -> Memory:
    """Sum PSS, RSS and swap over the processes, in bytes.

    Reads `smaps_rollup`, which the kernel adds up itself. A process that vanished meanwhile does
    not count. One that lives but may not be read makes the sum unknown rather than too small.
    """
    totals = {"Pss": 0, "Rss": 0, "Swap": 0}
    seen = 0
    readable = True
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            readable = readable and not _is_alive(pid)
            continue
        except OSError:
            readable = False
            continue
        figures = _rollup(text)
        if "Pss" not in figures:  # It was ending: no memory left.
            continue
        seen += 1
        for key in totals:
            # SwapPss shares out what several processes have in common, as PSS does.
            totals[key] += figures.get("SwapPss" if key == "Swap" else key, 0)
    if not seen or not readable:
        return Memory(seen, None, None, None)
    return Memory(seen, totals["Pss"], totals["Rss"], totals["Swap"])


def cpu_and_threads(pids: Iterable[int]) -> tuple[float | None, int | None]:
    """Return CPU seconds spent and threads alive, summed over the processes; None without any."""
    ticks = threads = seen = 0
    for pid in pids:
        text = _read(_PROC / str(pid) / "stat")
        if text is None:
            continue
        # The name, in brackets, may hold anything; what follows the last bracket is regular.
        words = text.rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
        threads += int(words[17])
        seen += 1
    if not seen:
        return None, None
    return ticks / os.sysconf("SC_CLK_TCK"), threads


def _is_alive(pid: int) -> bool:
    text = _read(_PROC / str(pid) / "stat")
    return text is not None and text.rpartition(")")[2].split()[0] not in ("Z", "X")


def _rollup(text: str) -> dict[str, int]:
    figures = {}
    for line in text.splitlines()[1:]:
        key, _, rest = line.partition(":")
        figures[key] = int(rest.split()[0]) * 1024
    return figures


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
