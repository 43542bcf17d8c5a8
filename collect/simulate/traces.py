"""Synthetic runs in which something happened, and it is known what: the detective is tried on them.

The host's speed wanders and each trial adds its own noise, as large as on real machines. On top of
that comes one thing, or nothing: a throttle for a while, a bucket of CPU credit that runs dry, a
server that decays, a neighbour's burst, a load generator at its limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

import numpy as np

from collect.model import CpuFigures, HostFigures, Load, MemoryFigures, Variant
from collect.plan import make_plan
from collect.simulate.host import FASTEST_RPS, synthetic_trial, wandering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.model import Plan, Trial

Kind = Literal["nothing", "host_slow", "credit", "decay", "burst", "loadgen"]

CORES = 2
SWITCH_S = 3.0
"""Between two trials: the server before is stopped, this one is started and answers."""
SWITCH_CORES = 0.4
SAMPLE_S = 0.5
_BEGIN = datetime(2026, 1, 5, 4, tzinfo=timezone.utc)
_PSS_BYTES = 120 * 2**20
_CANARY_S = 0.05
_CAP_RPS = 600.0
"""What a load generator at its limit lets through."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What happens in a run; times in seconds from its begin."""

    kind: Kind = "nothing"
    from_s: float = 0.0
    to_s: float = math.inf
    factor: float = 1.0
    """Speed meanwhile, over the speed before; a decaying server's at the end of the run."""
    variant: int = 0
    """Place of the server that decays."""
    grows: bool = False
    """Whether its memory grows as well."""
    is_hidden: bool = True
    """Whether the counters of the guest show nothing of it."""
    bucket_core_s: float = 0.0
    refill_cores: float = 0.0
    trial_noise: float = 0.08
    wandering: float = 0.15


@dataclass(frozen=True, slots=True)
class Trace:
    """A run's trials, and the throughput inside each."""

    plan: Plan
    trials: tuple[Trial, ...]
    rates: dict[str, tuple[tuple[float, float], ...]]
    """By trial: seconds since the begin of the load, and how fast it was until then."""
    dry_s: tuple[float, ...]
    """When the bucket ran dry for the first time in each session; seconds from the run's begin."""


def trace_plan(
    *, variants: int, blocks: int, endpoints: int, duration_s: float = 30.0, seed: int = 1
) -> Plan:
    """Return a plan with so many of each."""
    names = [f"server{number + 1}" for number in range(variants)]
    return make_plan(
        run_id="synthetic",
        host="host1",
        variants=[Variant(n, n, "wsgi", "none", "simulated", f"{n}.service", 2) for n in names],
        endpoints=[{"name": f"page{number + 1}", "path": "/"} for number in range(endpoints)],
        load=Load(duration_s=duration_s),
        blocks={"min": blocks, "max": blocks},
        seed=seed,
        order="interleaved",
        address="127.0.0.1",
        port=9875,
        timing=None,
        created_at=_BEGIN.isoformat(),
        decide=None,
    )


def block_s(plan: Plan) -> float:
    """Return how long a block of such a run lasts."""
    per_trial_s = SWITCH_S + plan.load.warmup_s + plan.load.duration_s
    return per_trial_s * len(plan.variants) * len(plan.endpoints)


def run_trace(plan: Plan, truth: Truth, seed: int, session_starts: Sequence[float] = ()) -> Trace:
    """Return the trials as they would be.

    Args:
        plan: what to run.
        truth: what happens meanwhile.
        seed: the same seed gives the same trials.
        session_starts: when each session begins, in seconds from the run's begin; blocks are dealt
            out evenly among them. One session at 0 if left out.
    """
    chance = np.random.default_rng(seed)
    begins = _begins(plan, session_starts or (0.0,))
    cells = {(t.variant, t.endpoint): 0.0 for t in plan.trials}
    cells = {cell: float(chance.normal() * 0.6) for cell in cells}
    count = len(plan.trials)
    host = wandering(np.array(begins), truth.wandering, chance)
    own = chance.normal(size=count) * truth.trial_noise
    steal, canary, pressure = chance.random((3, count))
    cores_used = float(chance.uniform(0.8, 1.0)) * CORES
    bucket = _Bucket(truth, cores_used)
    span_s = begins[-1] - begins[0] or 1.0
    names = [variant.id for variant in plan.variants]
    trials, rates = [], {}
    for place, planned in enumerate(plan.trials):
        begin_s = begins[place]
        load_s = begin_s + SWITCH_S + plan.load.warmup_s
        end_s = load_s + plan.load.duration_s
        steps = np.arange(0.0, plan.load.duration_s, SAMPLE_S)
        factors = _factors(truth, load_s + steps)
        factors *= bucket.speeds(begin_s, load_s, steps)
        speed = cells[planned.variant, planned.endpoint] + host[place] + own[place]
        is_leaking = truth.kind == "decay" and planned.variant == names[truth.variant]
        aged = (begin_s - begins[0]) / span_s
        if is_leaking:
            speed += math.log(truth.factor) * aged
        rps = FASTEST_RPS * math.exp(speed) * float(factors.mean())
        is_capped = truth.kind == "loadgen"
        if is_capped:
            rps = min(rps, _CAP_RPS * math.exp(own[place] / 4))
        slow = 1 - float(factors.mean())
        shown = 0.0 if truth.is_hidden else slow
        one = synthetic_trial(plan, planned, rps)
        started = _BEGIN + timedelta(seconds=begin_s)
        trials.append(
            replace(
                one,
                started_at=started.isoformat(),
                ended_at=(started + timedelta(seconds=end_s - begin_s)).isoformat(),
                cpu=CpuFigures(
                    server_s=cores_used * plan.load.duration_s * 0.9,
                    loadgen_s=plan.load.duration_s * (1.9 if is_capped else 0.1),
                    busy_s=cores_used * plan.load.duration_s * (1 - shown),
                    runner_s=0.1,
                    others={},
                    steal_ratio=0.01 * steal[place] + shown * 0.5,
                    cores=CORES,
                ),
                memory=_memory(is_leaking=is_leaking and truth.grows, aged=aged),
                host_state=HostFigures(
                    listen_overflows=0,
                    clock_step_s=0.0,
                    canary_s=_CANARY_S * math.exp((canary[place] - 0.5) * 0.4) / (1 - shown),
                    trend_ratio=1.0,
                    cpu_pressure_ratio=0.4 + 0.1 * pressure[place],
                ),
            )
        )
        noisy = factors * np.exp(chance.normal(size=len(factors)) * 0.05)
        rates[planned.id] = tuple(zip((steps + SAMPLE_S).tolist(), noisy.tolist(), strict=True))
    return Trace(plan, tuple(trials), rates, tuple(bucket.dry_s))


def _begins(plan: Plan, starts: Sequence[float]) -> list[float]:
    """Return when each trial begins: sessions share the blocks, trials follow each other."""
    step_s = SWITCH_S + plan.load.warmup_s + plan.load.duration_s
    per_session = math.ceil(plan.blocks / len(starts))
    begins: list[float] = []
    session = -1
    for planned in plan.trials:
        now = (planned.block - 1) // per_session
        begins.append(starts[now] if now != session else begins[-1] + step_s)
        session = now
    return begins


def _factors(truth: Truth, moments_s: np.ndarray) -> np.ndarray:
    if truth.kind not in ("host_slow", "burst"):
        return np.ones(len(moments_s))
    slow = (moments_s >= truth.from_s) & (moments_s < truth.to_s)
    return np.where(slow, truth.factor, 1.0)


class _Bucket:
    """CPU credit in core-seconds: it fills at a rate, and once it is empty that rate is all."""

    def __init__(self, truth: Truth, cores_used: float) -> None:
        self._truth = truth
        self._used = cores_used
        self._level = truth.bucket_core_s
        self._at_s = 0.0
        self._was_at_s = -math.inf
        self.dry_s: list[float] = []

    def speeds(self, begin_s: float, load_s: float, steps: np.ndarray) -> np.ndarray:
        """Return the speed in each step of a load, after the switch and its warm-up."""
        if self._truth.kind != "credit":
            return np.ones(len(steps))
        pause_s = begin_s - self._at_s
        self._flow(pause_s, 0.0)
        if pause_s > self._truth.bucket_core_s / self._truth.refill_cores / 2:
            self._was_at_s = -math.inf
        self._flow(SWITCH_S, SWITCH_CORES)
        self._at_s = begin_s + SWITCH_S
        for _ in np.arange(self._at_s, load_s, SAMPLE_S):
            self._burn()
        return np.array([self._burn() for _ in steps])

    def _flow(self, seconds: float, used: float) -> None:
        self._level += (self._truth.refill_cores - used) * seconds
        self._level = min(self._truth.bucket_core_s, max(0.0, self._level))

    def _burn(self) -> float:
        lost = (self._used - self._truth.refill_cores) * SAMPLE_S
        self._at_s += SAMPLE_S
        if self._level >= lost:
            self._level -= lost
            return 1.0
        share = self._level / lost
        self._level = 0.0
        if self._was_at_s == -math.inf:
            self._was_at_s = self._at_s
            self.dry_s.append(self._at_s)
        return share + (1 - share) * self._truth.refill_cores / self._used


def _memory(*, is_leaking: bool, aged: float) -> MemoryFigures:
    pss = round(_PSS_BYTES * (1 + (1.5 * aged if is_leaking else 0.0)))
    return MemoryFigures(round(pss * 0.8), pss, round(pss * 1.4), None, 0, 60, 0.98)
