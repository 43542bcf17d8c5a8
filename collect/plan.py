"""Turn variables into a plan: which trials, in which order, and how long they will take.

Pure: the same arguments give the same plan, on any machine. Times are in seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from collect.errors import DataError
from collect.inputs import (
    ENDPOINTS,
    TIMING,
    check_date,
    check_endpoints,
    check_folder_name,
    check_load,
    check_timing,
    check_whole,
    select_endpoints,
)
from collect.model import SCHEMA_VERSION, Load, Order, Plan, PlannedTrial, Stopping, Timing, Variant
from collect.variants import expand_variants, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Estimate", "estimate_s", "expand_variants", "make_plan", "plan_from_variables"]

START_S = 1.0
"""Start of a server until the first right answer: 0.4-1.0 s measured for the six."""
STOP_S = 1.0
"""Stop of the server that ran before: 0.06-1.04 s measured."""
TRIAL_OVERHEAD_S = 1.5
"""Around each load: both body checks, the canary, the first and last sample, writing the folder."""

_MAX_BLOCKS = 999
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a plan takes on its host, in seconds, and where the time goes."""

    total_s: float
    load_s: float
    warmup_s: float
    switching_s: float
    """Stopping, starting, checking and writing: everything that is not load."""


def make_plan(  # noqa: PLR0913 - a plan is exactly these fields; all are passed by name
    *,
    run_id: str,
    host: str,
    variants: Sequence[Variant],
    endpoints: object,
    load: Load | Mapping[str, Any],
    blocks: int | str,
    seed: int | str,
    order: str,
    address: str,
    port: int | str,
    timing: Timing | Mapping[str, Any] | None,
    created_at: str,
) -> Plan:
    """Return the plan of one host.

    Block k depends on seed, host, variants and endpoints only, so a longer run begins with the
    blocks of a shorter one. Numbers may be strings, as `-e bench_blocks=3` hands them over.

    Args:
        run_id: name of the run and of its folder.
        host: name of the host and of its folder; part of the seed, so hosts get their own order.
        variants: what `expand_variants` returned.
        endpoints: list of `{name, path, method, headers, body, expect}`.
        load: `{threads, connections, duration_s, warmup_s, timeout_s}`, whole seconds.
        blocks: how often every variant x endpoint is measured.
        seed: any whole number.
        order: `interleaved` or `sequential`.
        address: where the variant listens on the host.
        port: as `address`.
        timing: `{ready_timeout_s, stop_timeout_s, sample_interval_s}`; null takes the defaults.
        created_at: ISO 8601.

    Raises:
        DataError: an argument does not fit; the message names its variable.
    """
    if order not in get_args(Order):
        raise DataError(f"bench_order: got {order!r}; accepted: {', '.join(get_args(Order))}")
    check_folder_name(run_id, "bench_run_id")
    check_folder_name(host, "inventory_hostname")
    check_date(created_at)
    checked = check_endpoints(endpoints)
    if not variants:
        raise DataError("variants: got nothing; accepted: at least one, see bench_matrix")
    plan = Plan(
        schema_version=SCHEMA_VERSION,
        run_id=plain(run_id),
        host=plain(host),
        created_at=plain(created_at),
        seed=check_whole(seed, "bench_seed"),
        order=plain(order),
        blocks=check_whole(blocks, "bench_blocks", 1, _MAX_BLOCKS),
        stopping=Stopping(min_blocks=check_whole(blocks, "bench_blocks", 1, _MAX_BLOCKS)),
        address=plain(address),
        port=check_whole(port, "port", 1, _MAX_PORT),
        load=check_load(load),
        timing=check_timing(timing),
        variants=tuple(variants),
        endpoints=checked,
        trials=(),
    )
    return replace(plan, trials=_trials(plan))


def plan_from_variables(
    variables: Mapping[str, Any], *, host: str, cores: int, created_at: str
) -> Plan:
    """Return the plan for the variables of one host, under the names they have in the inventory.

    Variables that a plan does not need are ignored, so the output of `ansible-inventory --host`
    will do.

    Raises:
        DataError: a variable is missing or does not fit.
    """
    data = plain(variables)
    if not isinstance(data, dict):
        raise DataError(f"variables: got {type(data).__name__}; accepted: a mapping")
    for name in ("server_catalogue", "server_profiles", "bench_profiles", ENDPOINTS):
        if name not in data:
            raise DataError(f"{name} is missing; accepted: what playbooks/group_vars/all holds")
    variants = expand_variants(
        data.get("bench_matrix"),
        data["server_catalogue"],
        data["server_profiles"],
        data["bench_profiles"],
        cores,
    )
    return make_plan(
        run_id=data.get("bench_run_id") or "not-named-yet",
        host=host,
        variants=variants,
        endpoints=select_endpoints(data[ENDPOINTS], data.get("bench_endpoints")),
        load=data.get("bench_load") or {},
        blocks=data.get("bench_blocks", 5),
        seed=data.get("bench_seed", 1),
        order=data.get("bench_order", "interleaved"),
        address=data.get("bench_address", "127.0.0.1"),
        port=data.get("bench_port", 9875),
        timing=data.get(TIMING),
        created_at=created_at,
    )


def estimate_s(plan: Plan) -> Estimate:
    """Say how long the plan takes, in seconds; servers that fail to start take longer."""
    trials = len(plan.trials)
    starts = sum(
        1
        for previous, trial in zip((None, *plan.trials), plan.trials, strict=False)
        if previous is None or (previous.block, previous.variant) != (trial.block, trial.variant)
    )
    load_s = trials * plan.load.duration_s
    warmup_s = trials * plan.load.warmup_s
    switching_s = starts * (START_S + STOP_S) + trials * TRIAL_OVERHEAD_S
    return Estimate(load_s + warmup_s + switching_s, load_s, warmup_s, switching_s)


def _trials(plan: Plan) -> tuple[PlannedTrial, ...]:
    names = [endpoint.name for endpoint in plan.endpoints]
    pairs: list[tuple[int, str, str]] = []
    if plan.order == "sequential":
        pairs = [
            (block, variant.id, name)
            for variant in plan.variants
            for block in range(1, plan.blocks + 1)
            for name in names
        ]
    else:
        for block in range(1, plan.blocks + 1):
            # Seeded per block and by text: block k stays the same however many blocks follow.
            shuffler = random.Random(f"{plan.seed}/{plan.host}/{block}")  # noqa: S311 - not a secret
            variants = [variant.id for variant in plan.variants]
            shuffler.shuffle(variants)
            for variant_id in variants:
                shuffled = list(names)
                shuffler.shuffle(shuffled)
                pairs.extend((block, variant_id, name) for name in shuffled)
    seen: set[str] = set()
    trials = []
    for position, (block, variant_id, name) in enumerate(pairs, start=1):
        trial_id = f"b{block:02d}-{variant_id}-{name}"
        if trial_id in seen:
            # `x-wsgi` + `caddy-health` and `x-wsgi-caddy` + `health` would share a folder.
            raise DataError(
                f"{ENDPOINTS}: {name!r} after variant {variant_id!r} gives the trial id "
                f"{trial_id} twice; accepted: a name that no variant id ends with"
            )
        seen.add(trial_id)
        trials.append(PlannedTrial(trial_id, block, position, variant_id, name))
    return tuple(trials)
