"""What the order of steps needs from the outside, so that a test can stand in for each part."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from collect.model import Endpoint, RateFigures, SearchFigures, WrkFigures
    from collect.runner.others import Processes


class StopRequested(BaseException):
    """SIGTERM or SIGINT came. Not an `Exception`, so that no handler for faults swallows it."""


class NoAnswerError(Exception):
    """The server gave no HTTP answer: refused, reset, timed out, or not HTTP at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` is None where it was larger than the runner reads."""

    status: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of a unit at one moment."""

    active: str
    sub: str
    result: str
    main_pid: int | None
    restarts: int | None
    control_group: str | None
    job_pending: bool
    properties: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process of the service."""

    pid: int
    ppid: int
    name: str
    argv: tuple[str, ...]
    threads: int | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory summed over the service's processes; None where it could not be read of each one."""

    processes: int
    pss_bytes: int | None
    rss_bytes: int | None
    swap_bytes: int | None


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters that only grow, read before and after the load. CPU times in seconds."""

    wall_s: float
    monotonic_s: float
    host_cpu_s: Mapping[str, float]
    server_cpu_s: float | None
    listen_overflows: int | None
    oom_kills: int | None
    cgroup_peak_bytes: int | None
    runner_cpu_s: float | None
    """The runner's own, without its children."""
    proxy_cpu_s: float | None = None
    cpu_pressure_s: float | None = None
    """Wall time in which some process waited for a processor; None where nobody counts it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of `samples.jsonl`; `t_s` counts from the start of the load, monotonic."""

    t_s: float
    pss_bytes: int | None
    rss_bytes: int | None
    swap_bytes: int | None
    processes: int
    threads: int | None
    cgroup_memory_bytes: int | None
    server_cpu_s: float | None
    host_cpu_s: Mapping[str, float]
    loopback_bytes: int | None
    """Received on the loopback interface since boot: requests, answers, the app's databases; what
    a proxy passes on by TCP counts twice. Only ratios of it mean anything."""
    proxy_pss_bytes: int | None = None
    proxy_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """How one load ended. `error` says why its figures cannot be used; None if they can."""

    argv: tuple[str, ...]
    cpu_s: float | None
    figures: WrkFigures | None
    error: str | None
    rate: RateFigures | None = None
    """Of a leg at a fixed rate."""
    search: SearchFigures | None = None


class Clock(Protocol):
    """Time; a test brings its own."""

    def monotonic(self) -> float:
        """Return seconds on a clock nobody can set."""

    def time(self) -> float:
        """Return seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Services(Protocol):
    """systemd. Methods that act return None, or what went wrong in words."""

    def stop(self, units: Sequence[str], timeout_s: float) -> str | None:
        """Stop all units and wait until they have stopped."""

    def start(self, units: Sequence[str]) -> str | None:
        """Ask for the start of the units, without waiting for it."""

    def state(self, unit: str) -> UnitState:
        """Return the unit's state now."""

    def active(self, units: Sequence[str]) -> tuple[str, ...]:
        """Return those of the units that run."""

    def serving(self) -> tuple[str, ...]:
        """Return the units of any variant and proxy that run, in this plan or not."""

    def is_shutting_down(self) -> bool:
        """Tell whether the host goes down."""

    def journal(self, unit: str, since_s: float) -> str:
        """Return the unit's last log lines since that time (seconds since the epoch)."""


class Asker(Protocol):
    """Makes one request at a time, always to the same port."""

    def at(self, port: int) -> Asker:
        """Return one that asks at that port."""

    def ask(self, endpoint: Endpoint, timeout_s: float) -> Answer:
        """Return the answer.

        Raises:
            NoAnswerError: none came in time.
        """

    def port_owner(self, own: UnitState | None = None) -> str | None:
        """Say who listens on the port; None when nobody does, or a process of that unit."""


class Sampling(Protocol):
    """A sampler at work."""

    def stop(self) -> list[Sample]:
        """End the sampling and return what was seen."""


class Watch(Protocol):
    """Looks at the service's processes, at those of its proxy where it has one, and at the host."""

    def processes(self, state: UnitState) -> tuple[ProcessInfo, ...]:
        """Return the processes of the unit; empty when it has none left."""

    def memory(self, state: UnitState) -> Memory:
        """Return the memory of the unit's processes."""

    def counters(self, state: UnitState, proxy: UnitState | None) -> Counters:
        """Read the counters around a load."""

    def others(self, state: UnitState, proxy: UnitState | None) -> Processes:
        """Look at the CPU time of all processes but those of the units and the runner's own."""

    def start_sampling(
        self, state: UnitState, proxy: UnitState | None, interval_s: float
    ) -> Sampling:
        """Begin to sample beside the load."""

    def canary(self) -> float | None:
        """Do the fixed piece of work; return its wall time in seconds."""

    def server_version(self, server: str) -> str | None:
        """Return the version of the server's package, if the runner was told where it is."""


class LoadGenerator(Protocol):
    """wrk."""

    def at(self, port: int) -> LoadGenerator:
        """Return one that loads that port."""

    def warm_up(self, endpoint: Endpoint, folder: Path) -> LoadResult:
        """Load for `warmup_s`; the figures are not kept."""

    def run(self, endpoint: Endpoint, folder: Path) -> LoadResult:
        """Load for `duration_s`; leave `wrk.txt` and `wrk.json` in the folder."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A fixed rate to keep; times in seconds. The lead-in is sent and not counted."""

    rate_rps: float
    lead_in_s: float
    duration_s: float
    limit_ms: float | None = None
    """Requests above it are counted; None: none is."""


class RateGenerator(Protocol):
    """Sends at a fixed rate, whatever the server does."""

    def at(self, port: int) -> RateGenerator:
        """Return one that loads that port."""

    def run(self, endpoint: Endpoint, pace: Pace, folder: Path, name: str) -> LoadResult:
        """Keep the pace; leave `<name>.json` in the folder."""


class SystemClock:
    """The host's own clocks."""

    def monotonic(self) -> float:
        """Return seconds on a clock nobody can set."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def iso(time_s: float) -> str:
    """Write seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(time_s, timezone.utc).isoformat(timespec="milliseconds")
