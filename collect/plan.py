"""Turn variables into a plan: which trials, in which order, and how long they will take.

Pure: the same arguments give the same plan, on any machine. Times are in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from collect.attempts import looks_like_rerun
from collect.decode import MAX_WHOLE
from collect.errors import DataError, shown
from collect.inputs import (
    DECIDE,
    ENDPOINTS,
    RERUNS,
    TIME_BUDGET,
    TIMING,
    check_blocks,
    check_date,
    check_endpoints,
    check_folder_name,
    check_load,
    check_timing,
    check_whole,
    select_endpoints,
)
from collect.ladder import LADDER, add_ladder, add_rungs, is_wanted
from collect.model import (
    SCHEMA_VERSION,
    Load,
    Order,
    Plan,
    PlannedTrial,
    Rates,
    Timing,
    Variant,
)
from collect.rates import DURATION, RATES, SLO, check_fits, check_rates, legs_of
from collect.twin import TWIN, add_twin
from collect.variants import PROXY_PORT, expand_variants, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Estimate",
    "estimate_disk_bytes",
    "estimate_s",
    "expand_variants",
    "make_plan",
    "plan_from_variables",
]

START_S = 1.0
"""Start of a server until the first right answer: 0.4-1.0 s measured for the six."""
STOP_S = 1.0
"""Stop of the server that ran before: 0.06-1.04 s measured."""
TRIAL_OVERHEAD_S = 1.5
"""Around each load: both body checks, the canary, the first and last sample, writing the folder."""

TRIAL_FILES_BYTES = 36 * 1024
"""A trial's folder without its samples: six small files of 4 KiB blocks each, and some room."""
SAMPLE_BYTES = 400
"""One line of samples.jsonl: 399 bytes on average over twelve trials of six servers."""

DEFAULT_RERUNS = 2
"""Chance spoils a trial now and then; a block in which more fail has another trouble."""

DEFAULT_RATE_DURATION_S = 10

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
    load: Load | Mapping[str, Any] | None,
    blocks: int | str | Mapping[str, Any],
    seed: int | str,
    order: str,
    address: str,
    port: int | str,
    timing: Timing | Mapping[str, Any] | None,
    created_at: str,
    decide: Mapping[str, Any] | str | None = None,
    time_budget_s: int | str | None = None,
    reruns_per_block: int | str = DEFAULT_RERUNS,
    rates: Rates | None = None,
) -> Plan:
    """Return the plan of one host.

    Block k depends on seed, host, variants and endpoints only, so a longer run begins with the
    blocks of a shorter one. Numbers may be strings, as `-e bench_blocks=3` hands them over.

    Args:
        run_id: name of the run and of its folder.
        host: name of the host and of its folder; part of the seed, so hosts get their own order.
        variants: what `expand_variants` returned.
        endpoints: list of `{name, path, method, headers, body, expect}`.
        load: `{threads, connections, duration_s, warmup_s, timeout_s}`, whole seconds; null takes
            the defaults.
        blocks: how often every variant x endpoint is measured: a number, or `{min, max}`.
        seed: any whole number.
        order: `interleaved` or `sequential`.
        address: where the variant listens on the host.
        port: as `address`.
        timing: `{ready_timeout_s, stop_timeout_s, sample_interval_s}`; null takes the defaults.
        created_at: ISO 8601.
        decide: `{gap: 5%}` lets the run end from `blocks.min` on, once every pair is separated or
            known to lie within the gap; null runs all blocks. Sequential order always does, since
            none of its blocks is whole before the last variant has run.
        time_budget_s: no block begins after this long; null is no limit.
        reruns_per_block: how many invalid trials are run once more at the end of a block.
        rates: what `check_rates` returned: the legs at a fixed rate.

    Raises:
        DataError: an argument does not fit; the message names its variable.
    """
    if order not in get_args(Order):
        raise DataError(f"bench_order: got {shown(order)}; accepted: {', '.join(get_args(Order))}")
    check_folder_name(run_id, "bench_run_id")
    check_folder_name(host, "inventory_hostname")
    check_date(created_at)
    checked = check_endpoints(endpoints)
    if not variants:
        raise DataError("variants: got nothing; accepted: at least one, see bench_matrix")
    most, stopping = check_blocks(blocks, decide, time_budget_s, reruns_per_block)
    if order == "sequential":
        if stopping.time_budget_s is not None:
            raise DataError(
                f"{TIME_BUDGET}: got {shown(time_budget_s)} with bench_order: sequential, which "
                "would "
                "leave the last variants out; accepted: null"
            )
        stopping = replace(stopping, min_blocks=most, gap=None)
    check_fits(rates, order, most)
    own_port = check_whole(port, "port", 1, _MAX_PORT)
    if any(variant.port == own_port for variant in variants):
        raise DataError(
            f"proxy_port: got {own_port}, where the servers listen themselves (bench_port); "
            "accepted: another port"
        )
    plan = Plan(
        schema_version=SCHEMA_VERSION,
        run_id=plain(run_id),
        host=plain(host),
        created_at=plain(created_at),
        seed=check_whole(seed, "bench_seed", -MAX_WHOLE, MAX_WHOLE),
        order=plain(order),
        blocks=most,
        stopping=stopping,
        address=plain(address),
        port=own_port,
        load=check_load(load),
        timing=check_timing(timing),
        variants=tuple(variants),
        endpoints=checked,
        trials=(),
        rates=rates,
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
    if not isinstance(variables, Mapping):
        raise DataError(f"variables: got {type(variables).__name__}; accepted: a mapping")
    data = {str(name): plain(value, str(name)) for name, value in variables.items()}
    for name in ("server_catalogue", "server_profiles", "bench_profiles", ENDPOINTS):
        if name not in data:
            raise DataError(f"{name} is missing; accepted: what playbooks/group_vars/all holds")
    variants = expand_variants(
        data.get("bench_matrix"),
        data["server_catalogue"],
        data["server_profiles"],
        data["bench_profiles"],
        cores,
        data.get("proxy_port", PROXY_PORT),
    )
    endpoints = select_endpoints(data[ENDPOINTS], data.get("bench_endpoints"))
    if is_wanted(data.get(LADDER, False)):
        endpoints = add_rungs(endpoints, data[ENDPOINTS])
        variants = add_ladder(
            variants, {"wsgi": data.get("app_wsgi"), "asgi": data.get("app_asgi")}
        )
    variants = add_twin(variants, data.get(TWIN, False))
    return make_plan(
        run_id=data.get("bench_run_id") or "not-named-yet",
        host=host,
        variants=variants,
        endpoints=endpoints,
        load=data.get("bench_load"),
        blocks=data.get("bench_blocks", 5),
        seed=data.get("bench_seed", 1),
        order=data.get("bench_order", "interleaved"),
        address=data.get("bench_address", "127.0.0.1"),
        port=data.get("bench_port", 9875),
        timing=data.get(TIMING),
        created_at=created_at,
        decide=data.get(DECIDE),
        time_budget_s=data.get(TIME_BUDGET),
        reruns_per_block=data.get(RERUNS, DEFAULT_RERUNS),
        rates=check_rates(
            data.get(RATES), data.get(SLO), data.get(DURATION, DEFAULT_RATE_DURATION_S)
        ),
    )


def estimate_s(plan: Plan, blocks: int | None = None) -> Estimate:
    """Say how long the plan takes, in seconds; servers that fail and trials run twice take longer.

    Args:
        plan: what is to run.
        blocks: how many blocks, if it ends early; all of them if left out.
    """
    chosen = [trial for trial in plan.trials if blocks is None or trial.block <= blocks]
    trials = len(chosen)
    starts = sum(
        1
        for previous, trial in zip((None, *chosen), chosen, strict=False)
        if previous is None or (previous.block, previous.variant) != (trial.block, trial.variant)
    )
    load_s = sum(map(plan.load_s, chosen))
    warmup_s = sum(map(plan.warmup_s, chosen))
    switching_s = starts * (START_S + STOP_S) + trials * TRIAL_OVERHEAD_S
    return Estimate(load_s + warmup_s + switching_s, load_s, warmup_s, switching_s)


def estimate_disk_bytes(plan: Plan) -> int:
    """Say how much the results of a plan take on the host's disk, and once more where they go."""
    samples = sum(plan.load_s(trial) / plan.timing.sample_interval_s + 2 for trial in plan.trials)
    return round(len(plan.trials) * TRIAL_FILES_BYTES + samples * SAMPLE_BYTES)


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
    variants_by_id = {variant.id: variant for variant in plan.variants}
    endpoints = {endpoint.name: endpoint for endpoint in plan.endpoints}
    wanted: list[PlannedTrial] = []
    for block, variant_id, name in pairs:
        capacity = PlannedTrial(f"b{block:02d}-{variant_id}-{name}", block, 0, variant_id, name)
        variant, endpoint = variants_by_id[variant_id], endpoints[name]
        # Right after it: they take their rates from what it finds.
        wanted += [capacity, *legs_of(plan.rates, variant, endpoint, block, capacity.id)]
    seen: set[str] = set()
    trials = []
    for position, planned in enumerate(wanted, start=1):
        trial_id, variant_id, name = planned.id, planned.variant, planned.endpoint
        if looks_like_rerun(trial_id):
            raise DataError(
                f"{ENDPOINTS}: {name!r} gives the trial id {trial_id}, which would be a second "
                "attempt; accepted: a name that does not end with two hyphens and a number"
            )
        if trial_id in seen:
            # `x-wsgi` + `caddy-health` and `x-wsgi-caddy` + `health` would share a folder.
            raise DataError(
                f"{ENDPOINTS}: {name!r} after variant {variant_id!r} gives the trial id "
                f"{trial_id} twice; accepted: a name that no variant id ends with"
            )
        seen.add(trial_id)
        trials.append(replace(planned, position=position))
    return tuple(trials)
