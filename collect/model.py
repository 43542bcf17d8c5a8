"""What a plan and a trial are: the words every other module speaks.

Standard library only, Python 3.10: the host runner ships with this module. Units stand in the field
names. `None` means unknown or not measured; it is never written as 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from collect.decode import decode, encode
from collect.errors import DataError
from collect.files import parts_of
from collect.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collect.upgrade import Kind

SCHEMA_VERSION = 3
MAX_FILE_BYTES = 64 * 2**20
"""Of a file of JSON: a plan of 100,000 trials has 20 MB, and all others have a few KB."""

Interface = Literal["wsgi", "asgi"]
Proxy = Literal["none", "caddy", "nginx"]
Order = Literal["interleaved", "sequential"]
Leg = Literal[
    "capacity",  # wrk, as fast as it goes: what rankings rest on
    "share",  # a fixed rate: a share of the variant's own capacity
    "common",  # a fixed rate, the same for all variants
    "slo",  # a search for the highest rate that keeps p99 under a limit
]
OutcomeStatus = Literal[
    "ok",
    "start_failed",  # systemd could not start the unit, or it stopped again before answering
    "not_ready",  # it runs, but the right body did not come in time
    "wrong_answer_before",  # status or body were wrong just before the load
    "load_failed",  # wrk could not run, or left no figures
    "server_died",  # the unit's main process ended or restarted under load
    "proxy_died",  # the same of its proxy's
    "wrong_answer_after",  # status or body were wrong just after the load
    "no_rate",  # nothing is known to take the leg's rate from
]


ENDED = " (ended)"
"""In `CpuFigures.others`: follows the name of the parent of processes that ended meanwhile."""
IN_THE_WAY = "which is not in this plan"
NOT_STOPPED = "did not stop within"
"""In the reason of a `start_failed` that is not the variant's own doing: who had its port, or was
to make room for it."""
_Number = TypeVar("_Number", int, float)
_QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
"""Of a latency's figures the share of answers that came no later."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The answer an endpoint must give. At most one of the body checks is set."""

    status: int = 200
    json_exact: Any = None
    json_subset: Any = None
    regex: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request to make, with the answer it must get."""

    name: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    expect: Expectation = field(default_factory=Expectation)
    rung: str | None = None
    """Its name on the ladder of what a request passes through; None: not on it."""


@dataclass(frozen=True, slots=True)
class Load:
    """One wrk run: `-t threads -c connections -d duration_s`, after a warm-up of the same shape."""

    threads: int = 4
    connections: int = 200
    duration_s: float = 30.0
    warmup_s: float = 5.0
    timeout_s: float = 10.0
    """wrk drops samples above its time-out (2 s of its own accord) from the latency."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One server x interface x proxy x profile, perhaps varied: one systemd unit, and its proxy."""

    id: str
    server: str
    interface: Interface
    proxy: Proxy
    profile: str
    unit: str
    workers: int
    """Worker processes asked for; compared with the ones seen."""
    knobs: dict[str, Any] = field(default_factory=dict)
    not_honoured: tuple[str, ...] = ()
    """Knobs that this server has no setting for: shown as n/a."""
    socket_unit: str | None = None
    """The unit that holds the listening socket, stopped together with `unit`; None without one."""
    proxy_unit: str | None = None
    """The proxy in front of `unit`, which takes the load then; None without one."""
    port: int | None = None
    """Where the load goes; None: to the port of the plan."""
    label: str | None = None
    """Names a variation of the pair, which has knobs of its own."""
    twin_of: str | None = None
    """Id of the variant that this one is an exact copy of, to measure what noise alone can do."""

    @property
    def units(self) -> tuple[str, ...]:
        """Its units in the order they start: socket, service, proxy."""
        units = (self.socket_unit, self.unit, self.proxy_unit)
        return tuple(unit for unit in units if unit is not None)


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One wrk run to make: a variant against an endpoint, in its place in the order."""

    id: str
    block: int
    position: int
    """Counted from 1 through the whole plan."""
    variant: str
    endpoint: str
    leg: Leg = "capacity"
    share: float | None = None
    """Of the variant's own capacity; None for every leg but `share`."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The legs at a fixed rate that follow a capacity trial in the same start."""

    of_capacity: tuple[float, ...] = ()
    common_rps: float | None = None
    common_is_auto: bool = False
    """Take half of what the slowest variant carried in the first block, from the second on."""
    slo_p99_ms: float | None = None
    """Search for the highest rate with a 99th percentile up to this; None: no search."""
    duration_s: float = 10.0
    step_s: float = 4.0
    """Of each step of the search."""
    steps: int = 7
    lead_in_s: float = 1.0
    """Sent before each leg and step at its rate, and not counted."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How the runner waits and samples."""

    ready_timeout_s: float = 30.0
    stop_timeout_s: float = 15.0
    sample_interval_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a run may end before its last block; without `gap` it runs them all."""

    min_blocks: int
    gap: float | None = None
    """Smallest relative difference worth knowing: 0.05 ends the run once every pair is either
    separated or known to lie within 5 %."""
    time_budget_s: float | None = None
    """No block begins after this long; None: no limit."""
    reruns_per_block: int = 0
    """How many invalid trials are run once more at the end of a block."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which a scheduled run works, on blocks of its own.

    What is missed is missing: its blocks run later would belong to another time of day.
    """

    starts_at: str
    """ISO 8601, with the offset of the host's zone."""
    ends_at: str
    """No block begins at this moment or later."""
    first_block: int
    last_block: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the host runner needs to know, written once before anything runs."""

    schema_version: int
    run_id: str
    host: str
    created_at: str
    seed: int
    order: Order
    blocks: int
    """Blocks planned: the most that will be run."""
    stopping: Stopping
    address: str
    port: int
    load: Load
    timing: Timing
    variants: tuple[Variant, ...]
    endpoints: tuple[Endpoint, ...]
    trials: tuple[PlannedTrial, ...]
    windows: tuple[Window, ...] = ()
    """When a scheduled run works, in order of time; empty for a run that is begun by hand."""
    rates: Rates | None = None
    """None: capacity only."""

    def load_s(self, planned: PlannedTrial) -> float:
        """Return how long the load of the trial lasts, without its warm-up."""
        if planned.leg == "capacity" or self.rates is None:
            return self.load.duration_s
        if planned.leg == "slo":
            return self.rates.steps * (self.rates.lead_in_s + self.rates.step_s)
        return self.rates.lead_in_s + self.rates.duration_s

    def warmup_s(self, planned: PlannedTrial) -> float:
        """Return the trial's warm-up: a leg at a fixed rate has none, it follows a full load."""
        return self.load.warmup_s if planned.leg == "capacity" else 0.0

    def port_of(self, variant: Variant) -> int:
        """Return where the load of the variant goes: to its proxy, if it has one."""
        return self.port if variant.port is None else variant.port

    def variant(self, variant_id: str) -> Variant:
        """Return the variant of that id; `DataError` where the plan has none."""
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        raise DataError(f"plan {self.run_id}: no variant {variant_id!r}")

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of that name; `DataError` where the plan has none."""
        for endpoint in self.endpoints:
            if endpoint.name == name:
                return endpoint
        raise DataError(f"plan {self.run_id}: no endpoint {name!r}")


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of the answered requests, from wrk's own histogram, in milliseconds."""

    mean: float | None
    stdev: float | None
    p50: float | None
    p75: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Errors:
    """What wrk counted: socket errors by kind, and answers with a status above 399."""

    connect: int
    read: int
    write: int
    timeout: int
    status: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.connect + self.read + self.write + self.timeout + self.status


@dataclass(frozen=True, slots=True)
class WrkFigures:
    """What one wrk run measured, from its Lua `done` hook."""

    requests: int
    duration_s: float
    rps: float
    bytes: int
    latency_ms: Latency
    errors: Errors


@dataclass(frozen=True, slots=True)
class RateLatency:
    """Latency from the moment a request was due, in milliseconds, over all requests of a leg.

    A percentile is None where it falls on a request that brought no right answer, since nobody
    knows how long that would have taken; the mean is None with any such request.
    """

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class RateErrors:
    """Requests without a right answer, by what became of them."""

    connect: int
    broken: int
    """The connection ended before the answer did, or what came was not HTTP."""
    timeout: int
    status: int
    """Answered with another status than the one expected."""


@dataclass(frozen=True, slots=True)
class RateFigures:
    """What one leg at a fixed rate measured; the lead-in does not count."""

    rate_rps: float
    """Asked for: request n was due n / rate_rps seconds after the start."""
    achieved_rps: float
    """Right answers in the leg's duration; falls behind where a queue grows."""
    duration_s: float
    requests: int
    answered: int
    late: int
    """Sent more than 10 ms after they were due, or never."""
    waited: int
    """Found no connection free when they were due."""
    resent: int
    """Asked again, since the server had let an idle connection go."""
    connections_opened: int
    latency_ms: RateLatency
    errors: RateErrors
    lag_p99_ms: float | None
    """From when a request was due until it was sent; part of its latency."""
    lag_max_ms: float | None
    own_lag_p99_ms: float | None
    """The same for requests that found a connection free: what the generator itself was late."""
    cpu_s: float | None
    """What the generator took, the lead-in included."""
    over_limit: int | None = None
    """Requests that took longer than the limit of a search, or brought no right answer; None
    without a limit."""


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One rate that the search tried."""

    rate_rps: float
    achieved_rps: float
    p99_ms: float | None
    requests: int
    over: int
    """Requests that took longer than the limit, or brought no right answer."""
    is_missed: bool
    """The rate was not kept."""
    holds: bool
    """Whether the rate was kept with its 99th percentile up to the limit."""


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """What one search for the highest rate within the limit found."""

    limit_p99_ms: float
    capacity_rps: float
    """What its bounds were taken from."""
    lowest_rps: float
    highest_rps: float
    rate_rps: float
    """Between the highest rate that held and the lowest that did not; the last one tried where all
    held, or none did. A start for the next block: `collect.stats` takes its figure from the steps
    of all blocks."""
    end: Literal["between", "above", "below"]
    """`above`: every rate tried held. `below`: none did."""
    steps: tuple[SearchStep, ...]


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Memory of the service's whole process tree, sampled while load ran."""

    pss_idle_bytes: int | None
    """After start and the first right answer, before any load."""
    pss_peak_bytes: int | None
    rss_peak_bytes: int | None
    """Sum over processes: pages shared by two workers count twice."""
    cgroup_peak_bytes: int | None
    """The unit's `memory.peak`; None where the kernel does not offer it."""
    swap_peak_bytes: int | None
    samples: int
    coverage_ratio: float | None
    """Time between the first and the last sample, as a share of the load's duration."""


@dataclass(frozen=True, slots=True)
class CpuFigures:
    """Processor time spent while load ran, in CPU seconds; ratios are shares of all cores."""

    server_s: float | None
    loadgen_s: float | None
    busy_s: float | None
    """All non-idle time of the host, whoever spent it."""
    runner_s: float | None
    """The runner itself, its sampler included."""
    others: dict[str, float] | None
    """CPU seconds of processes that are neither the service, wrk nor the runner, by name; only
    those that matter. Databases the app uses (redis-server, postgres) are among them."""
    steal_ratio: float | None
    cores: int


@dataclass(frozen=True, slots=True)
class ProxyFigures:
    """What the proxy in front of the service took while load ran."""

    cpu_s: float | None
    pss_idle_bytes: int | None
    pss_peak_bytes: int | None
    rss_peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """What systemd and /proc said of the service around the trial."""

    workers_expected: int
    workers_seen: int | None
    ready_s: float | None
    """From start to the first right answer; None for a later trial of the same start."""
    main_pid_before: int | None
    main_pid_after: int | None
    restarts: int | None
    """Restarts counted by systemd between the start and the end of the load."""
    oom_kills: int | None


@dataclass(frozen=True, slots=True)
class HostFigures:
    """The host around the trial."""

    listen_overflows: int | None
    """Connections the kernel dropped because a listen queue was full (`ListenOverflows`)."""
    clock_step_s: float | None
    """Wall clock minus monotonic clock over the trial: not 0 when somebody set the clock."""
    canary_s: float | None
    """Time of a fixed piece of work on one core, just before the load."""
    trend_ratio: float | None
    """Throughput of the load's last third over its first third, from loopback traffic."""
    cpu_pressure_ratio: float | None = None
    """Share of the load's time in which some process waited for a processor, as the kernel tells
    (`/proc/pressure/cpu`); None where it does not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the trial ended; `reason` is None only for `ok`."""

    status: OutcomeStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """`trial.json`: one trial's figures. A part that could not be measured is None."""

    schema_version: int
    run_id: str
    host: str
    trial_id: str
    """The planned trial's id; a re-run adds `--2`, `--3`, which no planned id can end with."""
    attempt: int
    """1, or more for a re-run of an invalid trial."""
    block: int
    position: int
    variant: str
    server: str
    interface: Interface
    proxy: Proxy
    profile: str
    endpoint: str
    started_at: str
    ended_at: str
    load: Load
    """Of a leg: its duration is the leg's own, with what is not counted."""
    wrk: WrkFigures | None
    memory: MemoryFigures | None
    cpu: CpuFigures | None
    service: ServiceFigures | None
    host_state: HostFigures | None
    proxy_figures: ProxyFigures | None
    """None without a proxy. `memory` and `cpu.server_s` do not hold it."""
    outcome: Outcome
    leg: Leg = "capacity"
    share: float | None = None
    """As planned."""
    rate: RateFigures | None = None
    """Of a leg at a fixed rate, which has no `wrk`."""
    search: SearchFigures | None = None

    @property
    def whole_pss_idle_bytes(self) -> int | None:
        """Memory before any load, the proxy's included; None where a part of it is unknown.

        The first trial after a start knows it. What an older runner noted in later ones, too, is
        what the load before them had left.
        """
        if self.service is None or self.service.ready_s is None:
            return None
        own = self.memory.pss_idle_bytes if self.memory else None
        beside = self.proxy_figures.pss_idle_bytes if self.proxy_figures else None
        return self._whole(own, beside)

    @property
    def whole_pss_peak_bytes(self) -> int | None:
        """The same at its peak; server and proxy need not have peaked at the same moment."""
        own = self.memory.pss_peak_bytes if self.memory else None
        beside = self.proxy_figures.pss_peak_bytes if self.proxy_figures else None
        return self._whole(own, beside)

    @property
    def whole_cpu_s(self) -> float | None:
        """CPU time while load ran, the proxy's included; None where a part of it is unknown."""
        own = self.cpu.server_s if self.cpu else None
        return self._whole(own, self.proxy_figures.cpu_s if self.proxy_figures else None)

    @property
    def whole_latency_ms(self) -> Latency | None:
        """The latency of all answers, those included that wrk left out as later than its time-out.

        With a share `l` left out, the quantile `q` of all answers is the quantile `q / (1 - l)` of
        those that wrk kept. Between two that it printed a straight line is taken, which lies above
        a tail that grows steeper. One that falls on the late answers is the time-out, the least
        that they took; the mean counts them as that. The deviation is unknown.
        """
        if self.wrk is None or self.wrk.errors.timeout <= 0:
            return None if self.wrk is None else self.wrk.latency_ms
        kept, late = self.wrk.latency_ms, self.wrk.errors.timeout
        left_out = late / max(self.wrk.requests, late)
        limit_ms = self.load.timeout_s * 1000
        known = [(q, x) for name, q in _QUANTILES.items() if (x := getattr(kept, name)) is not None]
        found = {
            name: limit_ms
            if quantile > 1 - left_out or quantile == 1
            else _between(known, quantile / (1 - left_out), limit_ms)
            for name, quantile in _QUANTILES.items()
        }
        mean = None if kept.mean is None else (1 - left_out) * kept.mean + left_out * limit_ms
        return Latency(mean, None, **found)

    def _whole(self, own: _Number | None, beside: _Number | None) -> _Number | None:
        if self.proxy == "none":
            return own
        return None if own is None or beside is None else own + beside


@dataclass(frozen=True, slots=True)
class PairDecision:
    """What is known of one pair on one endpoint when a run ended; ratios are a / b."""

    endpoint: str
    a: str
    b: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    state: Literal["separated", "within_gap", "open"]
    blocks_needed: int | None
    """Estimate of further blocks until it is decided; 0 when it is, None where nobody can say."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`decision.json`: why a run ended, rewritten after every block."""

    schema_version: int
    run_id: str
    blocks_done: int
    reason: Literal["decided", "time_budget", "all_blocks", "going_on"]
    pairs: tuple[PairDecision, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """`progress.json`: where the runner is, for whoever follows it."""

    schema_version: int
    run_id: str
    state: Literal["running", "waiting", "done", "failed"]
    """`waiting`: for the next window of a scheduled run."""
    done: int
    total: int
    block: int
    blocks: int
    trial_id: str | None
    phase: str
    remaining_s: float | None
    last: str | None
    """The trial that ended last, in words: `granian-wsgi health 9438 req/s`."""
    message: str | None
    """Why it failed; None otherwise."""
    updated_at: str
    verdicts: dict[str, int] | None = None
    """Trials so far by verdict; None where a runner of before does not tell."""


def _between(known: Sequence[tuple[float, float]], quantile: float, last: float) -> float:
    """Return the value at a quantile, on a straight line between the two known next to it.

    Args:
        known: rising quantiles, each with its value.
        quantile: from the lowest of them up to 1.
        last: the value above all that is known.
    """
    below = max((one for one in known if one[0] <= quantile), default=(quantile, last))
    above = min((one for one in known if one[0] >= quantile), default=(1.0, last))
    if above[0] <= below[0]:
        return above[1]
    return below[1] + (quantile - below[0]) / (above[0] - below[0]) * (above[1] - below[1])


def load_plan(path: Path) -> Plan:
    """Read `plan.json`.

    Raises:
        DataError: the file is not JSON, was written by a newer serverbench, or does not fit the
            schema. What an older one wrote is upgraded.
    """
    return decode(Plan, _versioned(path, "plan"), str(path))


def load_trial(path: Path) -> Trial:
    """Read `trial.json`; errors as in `load_plan`."""
    return decode(Trial, _versioned(path, "trial"), str(path))


def load_decision(path: Path) -> Decision:
    """Read `decision.json`; errors as in `load_plan`."""
    return decode(Decision, _versioned(path, "decision"), str(path))


def dumps(value: object) -> str:
    """Write a dataclass as JSON that a person can read and `diff` can compare."""
    return json.dumps(encode(value), indent=2, ensure_ascii=False) + "\n"


def read_bounded(path: Path, limit_bytes: int = MAX_FILE_BYTES) -> str:
    """Return the text of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than `limit_bytes`, or no UTF-8.
    """
    return read_bytes(path, limit_bytes).decode("utf-8")


def read_bytes(path: str | Path, limit_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return what a file holds; errors as in `read_bounded`."""
    parts = []
    left = limit_bytes
    for part in parts_of(path):
        parts.append(part)
        left -= len(part)
        if left < 0:
            raise ValueError(f"larger than {limit_bytes // 2**20} MiB")
    return b"".join(parts)


def _versioned(path: Path, kind: Kind) -> dict[str, Any]:
    try:
        data = json.loads(read_bounded(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); was the copy cut off?") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds {type(data).__name__}; accepted: a mapping")
    return upgrade(data, kind, SCHEMA_VERSION, str(path))
