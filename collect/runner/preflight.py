"""Refuse a plan that cannot be run as it is, before a service is touched.

The control side checks more; this is what would do harm or measure something else *here*: the plan
is a file that somebody may have edited.
"""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from collect.attempts import looks_like_rerun
from collect.errors import DataError, ServerbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collect.model import Endpoint, Plan, Rates

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,150}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,200}\.(service|socket)")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH = re.compile(r"/[!-~]*")
_LINE = re.compile(r"[ -~\t]*")


def check_plan(plan: Plan) -> None:
    """Raise `DataError` for the first thing in the plan that cannot be run."""
    for problem in _problems(plan):
        raise DataError(f"plan.json: {problem}")


def check_tools(program: str, script: Path) -> None:
    """Raise `ServerbenchError` if wrk or its script is missing: no trial could bring a figure."""
    if shutil.which(program) is None:
        # Again, since its package may be there without it.
        raise ServerbenchError(
            f"{program} is missing on this host: apt-get install --reinstall wrk"
        )
    if not script.is_file():
        raise ServerbenchError(f"{script} is missing on this host: deploy the load generator again")


def _problems(plan: Plan) -> Iterator[str]:
    if not _NAME.fullmatch(plan.run_id):
        yield f"run_id: got {plan.run_id!r}; accepted: letters, digits and . _ @ + -"
    if not 0 < plan.port < 65536:  # noqa: PLR2004 - the size of a port number
        yield f"port: got {plan.port}; accepted: 1 to 65535"
    yield from _load_problems(plan)
    yield from _stopping_problems(plan)
    for variant in plan.variants:
        for unit in filter(None, (variant.unit, variant.socket_unit)):
            if not _UNIT.fullmatch(unit):
                yield f"variants.{variant.id}: got unit {unit!r}; accepted: NAME.service"
    for endpoint in plan.endpoints:
        yield from _endpoint_problems(endpoint)
    if plan.rates is not None:
        yield from _rate_problems(plan.rates)
    yield from _trial_problems(plan)


def _trial_problems(plan: Plan) -> Iterator[str]:
    variants = {variant.id for variant in plan.variants}
    endpoints = {endpoint.name for endpoint in plan.endpoints}
    for trial_id, times in Counter(trial.id for trial in plan.trials).items():
        if times > 1:
            yield f"trials: id {trial_id!r} occurs {times} times"
    for trial in plan.trials:
        if not _NAME.fullmatch(trial.id):
            yield f"trials: got id {trial.id!r}; accepted: letters, digits and . _ @ + -"
        if looks_like_rerun(trial.id):
            yield f"trials: got id {trial.id!r}, which a second attempt would bear"
        if trial.variant not in variants:
            yield f"trials.{trial.id}: variant {trial.variant!r} is not in the plan"
        if trial.endpoint not in endpoints:
            yield f"trials.{trial.id}: endpoint {trial.endpoint!r} is not in the plan"
        if trial.leg != "capacity" and plan.rates is None:
            yield f"trials.{trial.id}: a leg {trial.leg!r}, and the plan has no rates"


def _rate_problems(rates: Rates) -> Iterator[str]:
    for name, value, most in (
        ("common_rps", rates.common_rps, 1e6),
        ("slo_p99_ms", rates.slo_p99_ms, 1e7),
        ("duration_s", rates.duration_s, 3600.0),
        ("step_s", rates.step_s, 3600.0),
        ("steps", rates.steps, 100),
    ):
        # Each request of a leg is kept in memory: what is out of all bounds would fill it.
        if value is not None and not 0 < value <= most:
            yield f"rates.{name}: got {value:g}; accepted: above 0, up to {most:g}"
    if not 0 <= rates.lead_in_s <= 60:  # noqa: PLR2004 - a minute
        yield f"rates.lead_in_s: got {rates.lead_in_s:g}; accepted: seconds from 0 to 60"


def _load_problems(plan: Plan) -> Iterator[str]:
    load = plan.load
    if load.threads < 1 or load.connections < load.threads:
        yield (
            f"load: got {load.threads} threads, {load.connections} connections; accepted: at least "
            "one thread, and a connection for each"
        )
    for name, value, least in (
        ("duration_s", load.duration_s, 1),
        ("warmup_s", load.warmup_s, 0),
        ("timeout_s", load.timeout_s, 1),
    ):
        # wrk reads whole seconds only; rounding would measure something that nobody asked for.
        if not math.isfinite(value) or value < least or value != int(value):
            yield f"load.{name}: got {value:g}; accepted: whole seconds, {least} or more"
    if not plan.timing.sample_interval_s >= 0.05:  # noqa: PLR2004 - a sample itself costs some ms
        yield f"timing.sample_interval_s: got {plan.timing.sample_interval_s:g}; accepted: >= 0.05"
    for name in ("ready_timeout_s", "stop_timeout_s"):
        value = getattr(plan.timing, name)
        if not math.isfinite(value) or value <= 0:
            yield f"timing.{name}: got {value:g}; accepted: seconds above 0"


def _stopping_problems(plan: Plan) -> Iterator[str]:
    stopping = plan.stopping
    if not 1 <= stopping.min_blocks <= plan.blocks:
        yield f"stopping.min_blocks: got {stopping.min_blocks}; accepted: 1 to {plan.blocks}"
    if stopping.gap is not None and not 0 < stopping.gap < 1:
        yield f"stopping.gap: got {stopping.gap:g}; accepted: above 0 and below 1, or null"
    if stopping.time_budget_s is not None and not stopping.time_budget_s > 0:
        yield f"stopping.time_budget_s: got {stopping.time_budget_s:g}; accepted: above 0, or null"
    if stopping.reruns_per_block < 0:
        yield f"stopping.reruns_per_block: got {stopping.reruns_per_block}; accepted: from 0"


def _endpoint_problems(endpoint: Endpoint) -> Iterator[str]:
    where = f"endpoints.{endpoint.name}"
    if not _PATH.fullmatch(endpoint.path):
        yield f"{where}.path: got {endpoint.path!r}; accepted: / and printable ASCII, no space"
    if not _TOKEN.fullmatch(endpoint.method):
        yield f"{where}.method: got {endpoint.method!r}; accepted: an HTTP method"
    for name, value in endpoint.headers.items():
        if not _TOKEN.fullmatch(name) or not _LINE.fullmatch(value):
            yield f"{where}.headers: {name!r} is no header name, or its value not one line of ASCII"
    if endpoint.expect.regex is not None:
        try:
            re.compile(endpoint.expect.regex)
        except re.error as error:
            yield f"{where}.expect.regex: {endpoint.expect.regex!r}: {error}"
