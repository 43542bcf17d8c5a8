"""A synthetic host: its servers, the plan for them, its speed, and the trials it gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from collect.decide import twins_of
from collect.model import (
    SCHEMA_VERSION,
    Errors,
    Latency,
    Load,
    Outcome,
    Plan,
    PlannedTrial,
    Trial,
    Variant,
    WrkFigures,
)
from collect.plan import make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from collect.simulate.setup import Setup

CORRELATION_S = 600.0
"""The wandering of the host's speed forgets itself in ten minutes."""
TRIAL_NOISE = 0.01
"""What each trial adds by itself: a standard deviation, on the log scale."""
FASTEST_RPS = 1000.0

ALIKE = ("alike-one", "alike-two")
ONE_GAP_APART = (
    ("alike-one", "fast-less"),
    ("alike-two", "fast-less"),
    ("slow", "slow-less"),
)

_NEVER = "2026-01-01T00:00:00+00:00"


def true_speeds(gap: float) -> dict[str, float]:
    """Return each server's speed: two identical ones, and two pairs that are one gap apart."""
    fast, slow = 1.0, 0.5
    return {
        "alike-one": fast,
        "alike-two": fast,
        "fast-less": fast * (1 - gap),
        "slow": slow,
        "slow-less": slow * (1 - gap),
        "last": 0.2,
    }


def plan_host(setup: Setup, number: int) -> Plan:
    """Return the plan of one synthetic host."""
    speeds = true_speeds(setup.gap)
    variants = [
        Variant(name, name, "wsgi", "none", "simulated", f"{name}.service", 1) for name in speeds
    ]
    if setup.order == "sequential":
        np.random.default_rng([setup.seed, number, 1]).shuffle(variants)
    else:
        first = variants[0]
        variants.append(replace(first, id="twin", unit="twin.service", twin_of=first.id))
    return make_plan(
        run_id="simulated",
        host=f"host{number}",
        variants=variants,
        endpoints=[{"name": "health", "path": "/"}],
        load=Load(),
        blocks={"min": min(setup.min_blocks, setup.blocks), "max": setup.blocks},
        seed=setup.seed,
        order=setup.order,
        address="127.0.0.1",
        port=9875,
        timing=None,
        created_at=_NEVER,
        decide={"gap": setup.gap} if setup.stopping else None,
    )


def run_host(setup: Setup, plan: Plan, number: int) -> list[Trial]:
    """Return every trial of the plan, as this host would have it."""
    chance = np.random.default_rng([setup.seed, number])
    logs = host_speed(setup, len(plan.trials), chance)
    logs += chance.normal(size=len(plan.trials)) * TRIAL_NOISE
    speeds = true_speeds(setup.gap)
    speeds |= {twin: speeds[original] for twin, original in twins_of(plan).items()}
    return [
        synthetic_trial(plan, planned, FASTEST_RPS * speeds[planned.variant] * factor)
        for planned, factor in zip(plan.trials, np.exp(logs).tolist(), strict=True)
    ]


def host_speed(setup: Setup, count: int, chance: np.random.Generator) -> NDArray[np.float64]:
    """Return the host's log speed during each of so many trials in a row.

    What a throttle does is averaged over a trial's time.
    """
    drifting = wandering(np.arange(count) * setup.trial_s, setup.noise, chance)
    edges = np.arange(count + 1) * setup.trial_s
    switches, work = [0.0], [0.0]
    speed = setup.throttle if chance.random() < 1 / 2 else 1.0
    while switches[-1] < edges[-1]:
        dwell = chance.exponential(setup.dwell_s)
        switches.append(switches[-1] + dwell)
        work.append(work[-1] + dwell * speed)
        speed = 1.0 if speed != 1 else setup.throttle
    done = np.interp(edges, switches, work)
    drift = setup.drift * edges[:-1] / 3600
    logs: NDArray[np.float64] = drifting + np.log(np.diff(done) / setup.trial_s) + drift
    return logs


def wandering(
    moments_s: NDArray[np.floating], noise: float, chance: np.random.Generator
) -> NDArray[np.float64]:
    """Return how far the log speed has wandered at each of these moments, which rise.

    It is sampled exactly (Gillespie, Exact Numerical Simulation of the Ornstein-Uhlenbeck Process,
    1996).
    """
    keep = np.exp(-np.diff(moments_s) / CORRELATION_S)
    steps = chance.normal(size=len(moments_s)) * noise
    steps[1:] *= np.sqrt(1 - keep**2)
    wandered = np.empty(len(moments_s))
    value = 0.0
    for index, (kept, step) in enumerate(zip([0.0, *keep.tolist()], steps.tolist(), strict=True)):
        value = kept * value + step
        wandered[index] = value
    return wandered


def synthetic_trial(plan: Plan, planned: PlannedTrial, rps: float) -> Trial:
    """Return a trial whose figures agree with each other, as a sound one's do."""
    mean_ms = plan.load.connections / rps * 1000
    latency = Latency(mean_ms, mean_ms / 5, mean_ms, *(mean_ms * x for x in (1.1, 1.3, 1.6, 2, 3)))
    requests = round(rps * plan.load.duration_s)
    wrk = WrkFigures(
        requests, plan.load.duration_s, rps, requests * 130, latency, Errors(0, 0, 0, 0, 0)
    )
    variant = plan.variant(planned.variant)
    return Trial(
        schema_version=SCHEMA_VERSION,
        run_id=plan.run_id,
        host=plan.host,
        trial_id=planned.id,
        attempt=1,
        block=planned.block,
        position=planned.position,
        variant=variant.id,
        server=variant.server,
        interface=variant.interface,
        proxy=variant.proxy,
        profile=variant.profile,
        endpoint=planned.endpoint,
        started_at=_NEVER,
        ended_at=_NEVER,
        load=plan.load,
        wrk=wrk,
        memory=None,
        cpu=None,
        service=None,
        host_state=None,
        proxy_figures=None,
        outcome=Outcome("ok"),
    )
