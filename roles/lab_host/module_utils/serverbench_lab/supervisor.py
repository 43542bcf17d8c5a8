"""Running a lab host's program under limits that really hold; by cgroup v1 or by systemd."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .command import SEARCH_PATH, LabError, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

PARENT = "serverbench-lab"
_LAUNCH = """\
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done
shift
exec "$@"
"""
# The machine's environment (proxies, language, credentials) stays out of the lab host.
_ENVIRONMENT = {
    "PATH": SEARCH_PATH,
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "yes",
    # /tmp as the release itself has it, not a tmpfs sized after this machine's memory.
    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
}
_KILL_TIMEOUT_S = 15
_PERIOD_US = 100_000
# The programs that run lab hosts, a kind each.
_PROGRAMS = (b"systemd-nspawn", b"qemu-system-x86_64")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lab host may use."""

    cpus: frozenset[int]
    memory_bytes: int

    @property
    def cpu_list(self) -> str:
        """The CPUs as the kernel writes them."""
        return ",".join(map(str, sorted(self.cpus)))


def choose_cpus(count: int) -> frozenset[int]:
    """Take the first CPUs this process may use; every lab host gets the same ones.

    Raises:
        LabError: there are fewer.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise LabError(
            f"lab_host_cpus is {count}, and this machine has only {len(allowed)}; "
            f"set lab_host_cpus to at most {len(allowed)}"
        )
    return frozenset(allowed[:count])


def parse_cpu_list(text: str) -> frozenset[int]:
    """Read the kernel's list of CPUs (`0-1,4`)."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where this machine mounts its cgroups."""

    unified: Path | None
    memory: Path | None
    cpuset: Path | None
    everywhere: tuple[Path, ...]
    systemd: bool
    cpu: Path | None = None
    """Only to take CPU time away (`set_quota`); a lab host runs without."""

    @property
    def problem(self) -> str | None:
        """What this machine lacks to hold a lab host to its limits."""
        if self.unified is None:
            return "a mounted cgroup v2 hierarchy (cgroup2 in /proc/mounts)"
        if (self.memory and self.cpuset) or self.systemd:
            return None
        return "the cgroup controllers memory and cpuset (mounted as v1, or v2 under systemd)"


def find_hierarchies(mounts: str, *, systemd: bool) -> Hierarchies:
    """Read from /proc/mounts which cgroup hierarchies there are."""
    unified: Path | None = None
    controllers: dict[str, Path] = {}
    everywhere: list[Path] = []
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            everywhere.append(Path(point))
        if kind == "cgroup2" and unified is None:
            unified = Path(point)
        elif kind == "cgroup":
            for option in options.split(","):
                controllers.setdefault(option, Path(point))
    memory, cpuset = controllers.get("memory"), controllers.get("cpuset")
    cpu = controllers.get("cpu")
    return Hierarchies(unified, memory, cpuset, tuple(everywhere), systemd, cpu)


def hierarchies() -> Hierarchies:
    """Find this machine's cgroup hierarchies."""
    return find_hierarchies(
        Path("/proc/self/mounts").read_text(), systemd=Path("/run/systemd/system").is_dir()
    )


class Supervisor(ABC):
    """One lab host's processes: start them, find them, end them."""

    def __init__(self, name: str) -> None:
        """Speak for the lab host of this name, running or not."""
        self.name = name

    @property
    @abstractmethod
    def group(self) -> Path | None:
        """The cgroup v2 folder that holds every process of the lab host."""

    @abstractmethod
    def start(self, argv: Sequence[str], limits: Limits, log: Path) -> None:
        """Start the lab host's program under limits, detached from this process."""

    @abstractmethod
    def limits(self) -> Limits | None:
        """Read the limits back from the kernel; None when there are none."""

    @abstractmethod
    def set_limits(self, limits: Limits) -> None:
        """Set the limits, running or not."""

    @abstractmethod
    def set_quota(self, cores: float | None) -> None:
        """Let the running lab host have the time of so many cores, as a provider that throttles.

        None lifts the quota. The lab host itself cannot see it.

        Raises:
            LabError: this machine cannot.
        """

    @abstractmethod
    def remove(self) -> bool:
        """Remove the empty groups; false when there was nothing to remove."""

    def processes(self) -> list[int]:
        """Every process of the lab host, as the kernel counts them."""
        found: list[int] = []
        # os.walk, because groups come and go below it while the host boots.
        for folder, _, _ in os.walk(self.group or ""):
            with suppress(OSError):
                found += map(int, Path(folder, "cgroup.procs").read_text().split())
        return found

    def leader(self) -> int | None:
        """The process id of nspawn or QEMU; None when it is gone, whether or not its payload is."""
        everyone = self.processes()
        for pid in everyone:
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                # nspawn forks a child of the same name before it becomes the payload's init.
                parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
                if words[0].endswith(_PROGRAMS) and parent not in everyone:
                    return pid
        return None

    def terminate(self, timeout_s: float) -> bool:
        """Send the program SIGTERM; false when not everything was gone in time."""
        leader = self.leader()
        if leader is not None:
            with suppress(ProcessLookupError):
                os.kill(leader, signal.SIGTERM)
        return leader is not None and wait_until(lambda: not self.processes(), timeout_s)

    def kill(self) -> None:
        """End what is left, for a lab host that did not power off or lost its program.

        Raises:
            LabError: the kernel could not end it.
        """
        group = self.group
        if group is None or not self.processes():
            return
        (group / "cgroup.kill").write_text("1\n")
        if not wait_until(lambda: not self.processes(), _KILL_TIMEOUT_S):
            raise LabError(
                f"processes {self.processes()} of the lab host {self.name} do not end, even killed "
                f"(a hung file system?); see `cat /proc/<pid>/stack`"
            )


class CgroupV1Supervisor(Supervisor):
    """Where memory and cpuset are v1 controllers: nobody else manages them, so we do."""

    def __init__(self, name: str, found: Hierarchies) -> None:
        """Use the hierarchies found."""
        super().__init__(name)
        if found.unified is None or found.memory is None or found.cpuset is None:
            raise LabError(f"this machine lacks {found.problem}")
        # nspawn copies its v2 folder into the hierarchy named systemd, where there is one.
        self._everywhere = [point / PARENT / name for point in found.everywhere]
        self._unified = found.unified / PARENT / name
        self._memory = found.memory / PARENT / name
        self._cpuset = found.cpuset / PARENT / name
        self._cpu = found.cpu / PARENT / name if found.cpu else None

    @property
    def group(self) -> Path:
        """The cgroup v2 folder; it limits nothing here, but counts and can kill."""
        return self._unified

    def start(self, argv: Sequence[str], limits: Limits, log: Path) -> None:
        """Let a shell enter the groups and become the program: nothing runs outside them."""
        self.set_limits(limits)
        groups = [str(path) for path in self._groups]
        with log.open("w") as output:
            # Not waited for: it outlives this process, in a session of its own.
            subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCH, "sh", *groups, "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )

    def limits(self) -> Limits | None:
        """Read the limits from the v1 groups."""
        if not (self._memory.is_dir() and self._cpuset.is_dir()):
            return None
        return Limits(
            parse_cpu_list((self._cpuset / "cpuset.cpus").read_text()),
            int((self._memory / "memory.limit_in_bytes").read_text()),
        )

    def set_limits(self, limits: Limits) -> None:
        """Make the groups and write the limits into them."""
        for path in self._groups:
            path.mkdir(parents=True, exist_ok=True)
        for path in (self._cpuset.parent, self._cpuset):
            # A cpuset takes no process before both are filled; children get what the parent has.
            for file in ("cpuset.cpus", "cpuset.mems"):
                whole = (self._cpuset.parent.parent / file).read_text()
                if path == self._cpuset and file == "cpuset.cpus":
                    whole = limits.cpu_list
                (path / file).write_text(whole)
        self._write_memory(limits.memory_bytes)

    def set_quota(self, cores: float | None) -> None:
        """Write it into the v1 group."""
        if self._cpu is None or not self._cpu.is_dir():
            raise LabError(
                f"the lab host {self.name} has no cpu cgroup; start it anew on a machine that "
                f"mounts the controller cpu"
            )
        quota_us = -1 if cores is None else round(cores * _PERIOD_US)
        (self._cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (self._cpu / "cpu.cfs_quota_us").write_text(str(quota_us))

    @property
    def _groups(self) -> tuple[Path, ...]:
        """Every group that the program enters."""
        limiting = (self._memory, self._cpuset, self._unified)
        return limiting if self._cpu is None else (*limiting, self._cpu)

    def _write_memory(self, memory_bytes: int) -> None:
        plain = self._memory / "memory.limit_in_bytes"
        with_swap = self._memory / "memory.memsw.limit_in_bytes"
        if not with_swap.exists():
            plain.write_text(str(memory_bytes))
            (self._memory / "memory.swappiness").write_text("0")
            return
        # The limit with swap may never be the lower one, so the order depends on the direction.
        order = [with_swap, plain]
        if memory_bytes < int(with_swap.read_text()):
            order.reverse()
        for file in order:
            file.write_text(str(memory_bytes))

    def remove(self) -> bool:
        """Remove the groups, and their parents with the last lab host."""
        removed = False
        for path in self._everywhere:
            if path.is_dir():
                folders = sorted((p for p in path.rglob("*") if p.is_dir()), reverse=True)
                for folder in [*folders, path]:
                    # The kernel needs a moment after the last process left.
                    wait_until(partial(_try_rmdir, folder), _KILL_TIMEOUT_S)
                removed = True
            with suppress(OSError):
                path.parent.rmdir()
        return removed


class SystemdSupervisor(Supervisor):
    """Where systemd owns the cgroups: a transient service."""

    @property
    def unit(self) -> str:
        """The transient service's name."""
        return f"{PARENT}-{self.name}.service"

    @property
    def group(self) -> Path | None:
        """The service's cgroup."""
        said = run(["systemctl", "show", "--property=ControlGroup", "--value", self.unit]) or ""
        unified = hierarchies().unified
        return unified / said.strip().lstrip("/") if said.strip() and unified else None

    def start(self, argv: Sequence[str], limits: Limits, log: Path) -> None:
        """Have systemd start it with the limits as the service's properties."""
        properties = [
            *self._properties(limits),
            "MemorySwapMax=0",
            "Delegate=yes",
            "KillMode=mixed",
            # A service whose process is killed for want of memory is stopped by default: here
            # that is the affair of the systemd inside.
            "OOMPolicy=continue",
            "TasksMax=16384",
            f"StandardOutput=truncate:{log}",
            f"StandardError=append:{log}",
        ]
        run(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={self.unit}",
                *(f"--property={item}" for item in properties),
                *(f"--setenv={name}={value}" for name, value in _ENVIRONMENT.items()),
                *argv,
            ]
        )

    def limits(self) -> Limits | None:
        """Read the limits from the service's cgroup."""
        group = self.group
        if group is None or not group.is_dir():
            return None
        memory = (group / "memory.max").read_text().strip()
        return Limits(
            parse_cpu_list((group / "cpuset.cpus").read_text()),
            0 if memory == "max" else int(memory),
        )

    def set_limits(self, limits: Limits) -> None:
        """Change the running service's properties."""
        run(["systemctl", "set-property", "--runtime", self.unit, *self._properties(limits)])

    def set_quota(self, cores: float | None) -> None:
        """Change the running service's property."""
        share = "" if cores is None else f"{cores:.0%}"
        run(["systemctl", "set-property", "--runtime", self.unit, f"CPUQuota={share}"])

    def remove(self) -> bool:
        """Let systemd forget the service; its cgroup goes with it."""
        if run(["systemctl", "is-active", self.unit], check=False) is None:
            run(["systemctl", "reset-failed", self.unit], check=False)
            return False
        run(["systemctl", "stop", self.unit])
        return True

    @staticmethod
    def _properties(limits: Limits) -> list[str]:
        return [f"MemoryMax={limits.memory_bytes}", f"AllowedCPUs={limits.cpu_list}"]


def supervisor_for(name: str) -> Supervisor:
    """Choose how lab hosts run on this machine."""
    found = hierarchies()
    if found.memory and found.cpuset:
        return CgroupV1Supervisor(name, found)
    return SystemdSupervisor(name)


def _try_rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
