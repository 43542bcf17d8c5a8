"""The `Watch` seam over /proc, cgroups and psutil."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import psutil

from collect.runner import others, processes
from collect.runner.sampler import Sampler
from collect.runner.seams import Counters, Memory, ProcessInfo, Sample, UnitState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collect.runner.others import Processes

CANARY_ROUNDS = 400_000
"""About 50 ms of one core; the same figure for ever, or canaries of two runs do not compare."""
_NETSTAT = Path("/proc/net/netstat")
_NET_DEV = Path("/proc/net/dev")
_PRESSURE = Path("/proc/pressure/cpu")
# The kernel counts a guest's time in `user` already.
_COUNTED_TWICE = ("guest", "guest_nice")


class HostWatch:
    """Looks at the real host."""

    def __init__(self, venv: Path | None = None) -> None:
        """Keep where the servers' packages are, if that is known."""
        self._versions = package_versions(venv) if venv else {}

    def processes(self, state: UnitState) -> tuple[ProcessInfo, ...]:
        """Return the unit's processes."""
        return processes.describe(_pids(state))

    def memory(self, state: UnitState) -> Memory:
        """Return the memory of the unit's processes, in bytes."""
        return processes.measure(_pids(state))

    def counters(self, state: UnitState, proxy: UnitState | None) -> Counters:
        """Read the counters."""
        folder = processes.cgroup_folder(state.control_group)
        return Counters(
            wall_s=time.time(),
            monotonic_s=time.monotonic(),
            host_cpu_s=host_cpu(),
            server_cpu_s=_cpu(state),
            listen_overflows=listen_overflows(),
            oom_kills=_oom_kills(state, proxy),
            cgroup_peak_bytes=_single(folder, "memory.peak"),
            runner_cpu_s=_own_cpu(),
            proxy_cpu_s=None if proxy is None else _cpu(proxy),
            cpu_pressure_s=cpu_pressure(),
        )

    def others(self, state: UnitState, proxy: UnitState | None) -> Processes:
        """Look at the CPU time of everybody else."""
        return others.scan({*_pids(state), *(_pids(proxy) if proxy else ()), os.getpid()})

    def start_sampling(
        self, state: UnitState, proxy: UnitState | None, interval_s: float
    ) -> Sampler:
        """Begin to sample the processes of the unit, and of its proxy."""
        folder = processes.cgroup_folder(state.control_group)

        def take(t_s: float, measures_memory: bool) -> Sample:  # noqa: FBT001 - the sampler's call
            # Looked up each time: a worker may be replaced while load runs.
            pids = _pids(state)
            memory = Memory(len(pids), None, None, None)
            beside = None
            if measures_memory:
                memory = processes.measure(pids)
                beside = processes.measure(_pids(proxy)) if proxy else None
            cpu_s, threads = processes.cpu_and_threads(pids)
            from_cgroup = _keyed(folder, "cpu.stat", "usage_usec")
            return Sample(
                t_s=round(t_s, 4),
                pss_bytes=memory.pss_bytes,
                rss_bytes=memory.rss_bytes,
                swap_bytes=memory.swap_bytes,
                processes=memory.processes,
                threads=threads,
                cgroup_memory_bytes=_single(folder, "memory.current"),
                server_cpu_s=cpu_s if from_cgroup is None else from_cgroup / 1e6,
                host_cpu_s=host_cpu(),
                loopback_bytes=loopback_bytes(),
                proxy_pss_bytes=beside.pss_bytes if beside else None,
                proxy_rss_bytes=beside.rss_bytes if beside else None,
            )

        return Sampler(take, interval_s)

    def canary(self) -> float:
        """Return the wall time of a fixed piece of work on one core, in seconds.

        Wall time, not CPU time: a machine that is slowed down from outside shows it there only.
        """
        start_s = time.perf_counter()
        value = 1
        for _ in range(CANARY_ROUNDS):
            value = (value * 1103515245 + 12345) & 0x7FFFFFFF
        return time.perf_counter() - start_s

    def server_version(self, server: str) -> str | None:
        """Return the version of the server's package; pyuwsgi is uWSGI by another name."""
        return self._versions.get(server) or self._versions.get(f"py{server}")


def package_versions(venv: Path) -> dict[str, str]:
    """Read the versions of all packages in a virtual environment, without starting its Python."""
    folders = [str(folder) for folder in sorted(venv.glob("lib/python3*/site-packages"))]
    found: dict[str, str] = {}
    for package in metadata.distributions(path=folders):
        # A damaged dist-info folder has no name.
        with contextlib.suppress(KeyError, AttributeError):
            found[package.metadata["Name"].lower().replace("_", "-")] = package.version
    return dict(sorted(found.items()))


def host_cpu() -> dict[str, float]:
    """Return the host's CPU seconds by kind since boot. In a container: the whole machine's."""
    times: Mapping[str, float] = psutil.cpu_times()._asdict()
    return {kind: round(t, 2) for kind, t in times.items() if kind not in _COUNTED_TWICE}


def listen_overflows() -> int | None:
    """Return how many connections the kernel dropped as a listen queue was full, since boot."""
    try:
        rows = [line.split() for line in _NETSTAT.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    # Pairs of lines: names, then figures.
    for names, figures in zip(rows[::2], rows[1::2]):  # noqa: B905 - as many as the kernel wrote
        if "ListenOverflows" in names:
            return int(figures[names.index("ListenOverflows")])
    return None


def cpu_pressure() -> float | None:
    """Return for how long some process waited for a processor, in seconds since boot.

    `some … total=` of `/proc/pressure/cpu`; kernels without PSI, or with it switched off, lack the
    file or refuse it.
    """
    try:
        lines = _PRESSURE.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        kind, *figures = line.split()
        if kind == "some":
            totals = [figure.removeprefix("total=") for figure in figures if "total=" in figure]
            return int(totals[0]) / 1e6 if totals else None
    return None


def loopback_bytes() -> int | None:
    """Return the bytes received on the loopback interface since boot."""
    try:
        lines = _NET_DEV.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            return int(figures.split()[0])
    return None


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _pids(state: UnitState) -> tuple[int, ...]:
    return processes.find_pids(state.control_group, state.main_pid)


def _cpu(state: UnitState) -> float | None:
    usec = _keyed(processes.cgroup_folder(state.control_group), "cpu.stat", "usage_usec")
    return processes.cpu_and_threads(_pids(state))[0] if usec is None else usec / 1e6


def _oom_kills(state: UnitState, proxy: UnitState | None) -> int | None:
    """Return the kills in the slices of the service and its proxy; None where one is unknown.

    Not of the units alone: the killed one is started again in a new group, which counts from nought
    while its slice remembers. Whatever else was killed there says too that memory had run out.
    """
    groups = {one.control_group for one in (state, proxy) if one is not None}
    slices = {None if group is None else str(PurePosixPath(group).parent) for group in groups}
    counts = [_keyed(processes.cgroup_folder(one), "memory.events", "oom_kill") for one in slices]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _single(folder: Path | None, name: str) -> int | None:
    try:
        return None if folder is None else int((folder / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _keyed(folder: Path | None, name: str, key: str) -> int | None:
    try:
        lines = [] if folder is None else (folder / name).read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        word, _, value = line.partition(" ")
        if word == key:
            return int(value)
    return None
