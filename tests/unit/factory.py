"""Fabricate plans, trials and whole runs on disk; no clock and no chance in it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from collect.attempts import rerun_id
from collect.model import (
    SCHEMA_VERSION,
    CpuFigures,
    Decision,
    Errors,
    HostFigures,
    Latency,
    Load,
    MemoryFigures,
    Outcome,
    Plan,
    PlannedTrial,
    ProxyFigures,
    RateErrors,
    RateFigures,
    RateLatency,
    SearchFigures,
    SearchStep,
    ServiceFigures,
    Trial,
    WrkFigures,
    dumps,
)
from collect.plan import make_plan
from collect.variants import expand_variants

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = {
    "uwsgi": {
        "package": "pyuwsgi",
        "interfaces": ["wsgi"],
        "not_honoured": {"wsgi": ["loop", "socket"]},
    },
    "gunicorn": {
        "package": "gunicorn",
        "interfaces": ["wsgi", "asgi"],
        "not_honoured": {"wsgi": ["loop"], "asgi": ["loop"]},
    },
    "granian": {
        "package": "granian",
        "interfaces": ["wsgi", "asgi"],
        "not_honoured": {"wsgi": ["socket"], "asgi": ["socket"]},
    },
    "uvicorn": {
        "package": "uvicorn",
        "interfaces": ["asgi"],
        "not_honoured": {"asgi": ["threads"]},
    },
    "daphne": {"package": "daphne", "interfaces": ["asgi"], "not_honoured": {"asgi": ["threads"]}},
    "hypercorn": {
        "package": "hypercorn",
        "interfaces": ["asgi"],
        "not_honoured": {"asgi": ["threads"]},
    },
}
PAIRS = [
    {"server": "uwsgi", "interface": "wsgi"},
    {"server": "gunicorn", "interface": "wsgi"},
    {"server": "granian", "interface": "wsgi"},
    {"server": "uvicorn", "interface": "asgi"},
    {"server": "daphne", "interface": "asgi"},
    {"server": "hypercorn", "interface": "asgi"},
]
PROFILES = {
    "parity": {
        "knobs": {"workers": "per_core", "threads": 1, "backlog": 1024, "keepalive_s": 5},
        "servers": {"daphne": {"socket": True}},
        "matrix": PAIRS,
    },
    "study": {
        "knobs": {"workers": 4},
        "servers": {"granian": {"workers": 1}, "granian-wsgi": {"threads": 8}},
    },
}
ENDPOINTS = [
    {"name": "health", "path": "/health", "expect": {"json_subset": {"status": "ok"}}},
    {"name": "movie", "path": "/movie?page=1", "expect": {"status": 200}},
]
CREATED_AT = "2026-01-31T02:00:00+00:00"

# req/s and peak PSS in MiB: gunicorn and granian tie on health, as do three ASGI servers.
FIGURES = {
    "uwsgi-wsgi": (6293.4, 145.0),
    "gunicorn-wsgi": (5199.2, 124.1),
    "granian-wsgi": (5310.0, 139.0),
    "uvicorn-asgi": (539.1, 244.0),
    "daphne-asgi": (259.0, 177.0),
    "hypercorn-asgi": (545.2, 246.2),
}
# What each block multiplies a figure by: a range of about ±5 %.
BLOCK_FACTORS = (1.0, 0.96, 1.05, 1.02, 0.98)


def variants(matrix=None, selected=("parity",), cores=2):
    return expand_variants(matrix, CATALOGUE, PROFILES, list(selected), cores)


def plan(**changes) -> Plan:
    arguments = {
        "run_id": "20260131-0200",
        "host": "lab1",
        "variants": variants(),
        "endpoints": ENDPOINTS,
        "load": {},
        "blocks": 3,
        "seed": 1,
        "order": "interleaved",
        "address": "127.0.0.1",
        "port": 9875,
        "timing": None,
        "created_at": CREATED_AT,
    }
    return make_plan(**{**arguments, **changes})


def wrk(rps=1000.0, load=None, **changes) -> WrkFigures:
    """Return healthy figures: they obey Little's law and count no error."""
    shape = load or Load()
    mean_ms = shape.connections / rps * 1000
    figures = WrkFigures(
        requests=round(rps * shape.duration_s),
        duration_s=shape.duration_s,
        rps=rps,
        bytes=round(rps * shape.duration_s) * 130,
        latency_ms=Latency(
            mean=mean_ms,
            stdev=mean_ms / 5,
            p50=mean_ms * 0.98,
            p75=mean_ms * 1.1,
            p90=mean_ms * 1.3,
            p99=mean_ms * 1.6,
            p999=mean_ms * 2,
            max=mean_ms * 3,
        ),
        errors=Errors(0, 0, 0, 0, 0),
    )
    return replace(figures, **changes)


def trial(planned: PlannedTrial | None = None, of: Plan | None = None, **changes) -> Trial:
    """Return a healthy trial of the plan; its figures come from FIGURES."""
    of = of or plan()
    planned = planned or of.trials[0]
    variant = of.variant(planned.variant)
    rps, pss_mib = FIGURES.get(variant.twin_of or variant.id, (1000.0, 100.0))
    factor = BLOCK_FACTORS[(planned.block - 1) % len(BLOCK_FACTORS)]
    rps *= factor * (0.2 if planned.endpoint == "movie" else 1)
    pss = round(pss_mib * (2 - factor) * 2**20)
    # One after the other, as on a real host.
    started = datetime.fromisoformat(CREATED_AT) + timedelta(seconds=20 + 40 * planned.position)
    healthy = Trial(
        schema_version=SCHEMA_VERSION,
        run_id=of.run_id,
        host=of.host,
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
        started_at=started.isoformat(),
        ended_at=(started + timedelta(seconds=37)).isoformat(),
        load=of.load,
        wrk=wrk(rps, of.load),
        memory=MemoryFigures(round(pss * 0.8), pss, round(pss * 1.4), None, 0, 60, 0.98),
        cpu=CpuFigures(40.0, 3.0, 50.0, 0.3, {}, 0.0, 2),
        service=ServiceFigures(variant.workers, variant.workers, 0.7, 100, 100, 0, 0),
        host_state=HostFigures(0, 0.0, 0.05, 1.0),
        proxy_figures=None
        if variant.proxy == "none"
        else ProxyFigures(3.0, 9 * 2**20, round((12 + factor) * 2**20), 20 * 2**20),
        outcome=Outcome("ok"),
    )
    if planned.leg != "capacity":
        healthy = as_leg(healthy, planned, of)
    return replace(healthy, **changes)


def as_leg(one: Trial, planned: PlannedTrial, of: Plan) -> Trial:
    """Return the trial as a leg at a fixed rate: p99 grows with the load, as in a queue."""
    capacity = one.wrk.rps
    one = replace(
        one,
        wrk=None,
        leg=planned.leg,
        share=planned.share,
        load=replace(of.load, duration_s=11),
        cpu=replace(one.cpu, loadgen_s=0.2),
    )
    if planned.leg == "slo":
        return replace(one, search=search(capacity, of.rates.slo_p99_ms))
    asked = of.rates.common_rps or 20.0 if planned.share is None else capacity * planned.share
    return replace(one, rate=rate(asked, capacity))


def rate(asked: float, capacity: float, **changes) -> RateFigures:
    """Return the figures of a leg against a server that carries so much."""
    missed = asked > capacity
    p50_ms = 1000 / capacity / max(0.01, 1 - asked / capacity)
    latency = RateLatency(p50_ms, p50_ms, p50_ms * 2, p50_ms * 4, p50_ms * 6, p50_ms * 9)
    figures = RateFigures(
        rate_rps=asked,
        achieved_rps=min(asked, capacity),
        duration_s=10.0,
        requests=round(asked * 10),
        answered=round(asked * 10),
        late=0,
        waited=0,
        resent=0,
        connections_opened=20,
        latency_ms=RateLatency(*[4000.0] * 6) if missed else latency,
        errors=RateErrors(0, 0, 0, 0),
        lag_p99_ms=0.2,
        lag_max_ms=2.0,
        own_lag_p99_ms=0.2,
        cpu_s=0.2,
    )
    return replace(figures, **changes)


def search(capacity: float, limit_ms: float, holds: float = 0.8) -> SearchFigures:
    """Return a search in which everything up to that share of capacity holds."""
    steps = []
    for share in (0.6, holds - 0.02, holds + 0.02, 0.95):
        asked, over = capacity * share, 0 if share <= holds else 0.05
        count = round(asked * 4)
        steps.append(
            SearchStep(asked, asked, limit_ms * share, count, round(count * over), False, not over)
        )
    bounds = (capacity * 0.05, capacity * 1.1)
    return SearchFigures(limit_ms, capacity, *bounds, capacity * holds, "between", tuple(steps))


def noisy_trials(of: Plan, spread: float = 0.02) -> list[Trial]:
    """Return healthy trials whose figures scatter by up to `spread`, each by itself.

    Without it every block would show exactly the same ratios, and any difference would be certain.
    """
    trials = []
    for planned in of.trials:
        chance = random.Random(planned.id)  # noqa: S311 - not a secret
        one = trial(planned, of)
        rps = (one.wrk.rps if one.wrk else 1.0) * (1 + chance.uniform(-spread, spread))
        grown = 1 + chance.uniform(-spread, spread)
        memory = replace(
            one.memory,
            pss_idle_bytes=round(one.memory.pss_idle_bytes * grown),
            pss_peak_bytes=round(one.memory.pss_peak_bytes * grown),
        )
        figures = None if one.wrk is None else wrk(rps, of.load)
        trials.append(replace(one, wrk=figures, memory=memory))
    return trials


def rerun(one: Trial, attempt: int = 2) -> Trial:
    """Return the trial as a later attempt."""
    return replace(one, trial_id=rerun_id(one.trial_id, attempt), attempt=attempt)


def failed(of: Plan, planned: PlannedTrial, status="start_failed", reason="exit status 1") -> Trial:
    return trial(
        planned,
        of,
        wrk=None,
        memory=None,
        cpu=None,
        service=None,
        host_state=None,
        outcome=Outcome(status, reason),
    )


def closing(of: Plan, planned: PlannedTrial) -> Trial:
    """Return a trial of a server that closes each connection and lets its queue overflow."""
    healthy = trial(planned, of)
    requests = healthy.wrk.requests
    return replace(
        healthy,
        wrk=replace(healthy.wrk, errors=Errors(0, requests, 0, 0, 0)),
        host_state=HostFigures(1234, 0.0, 0.05, 1.0),
    )


def wrk_text(one: Trial) -> str:
    if one.wrk is None:
        return ""
    return (
        f"Running {one.load.duration_s:g}s test @ http://127.0.0.1:9875/{one.endpoint}\n"
        f"  {one.load.threads} threads and {one.load.connections} connections\n"
        "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
        f"    Latency   {one.wrk.latency_ms.mean:.2f}ms   {one.wrk.latency_ms.stdev:.2f}ms "
        f"{one.wrk.latency_ms.max:.2f}ms   71.00%\n"
        f"  {one.wrk.requests} requests in {one.wrk.duration_s:.2f}s, 1.00MB read\n"
        f"Requests/sec: {one.wrk.rps:.2f}\n"
    )


def trial_files(one: Trial) -> dict[str, bytes]:
    """Return the files of a trial's folder, its checksums included."""
    files = {"trial.json": dumps(one).encode(), "wrk.txt": wrk_text(one).encode()}
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()
    )
    return {**files, "SHA256SUMS": sums.encode()}


def host_files(of: Plan, trials: list[Trial], decision: Decision | None = None) -> dict[str, bytes]:
    """Return every file of results/<run_id>/<host>/, by its name below there."""
    host = {
        "kernel": "6.12.48",
        "os": "Debian GNU/Linux 13 (trixie)",
        "python": "3.13.5",
        "cores": 2,
        "memory_total_bytes": 8 * 2**30,
        "memory_limit_bytes": 2 * 2**30,
    }
    files = {"plan.json": dumps(of).encode(), "host.json": json.dumps(host).encode()}
    if decision is not None:
        files["decision.json"] = dumps(decision).encode()
    for one in trials:
        for name, content in trial_files(one).items():
            files[f"trials/{one.trial_id}/{name}"] = content
    return files


def healthy_trials(of: Plan) -> list[Trial]:
    return [trial(planned, of) for planned in of.trials]


def write_host(
    results: Path,
    of: Plan,
    trials: list[Trial] | None = None,
    decision: Decision | None = None,
) -> Path:
    """Write a host's files and return the run's folder."""
    run = results / of.run_id
    chosen = healthy_trials(of) if trials is None else trials
    for name, content in host_files(of, chosen, decision).items():
        path = run / of.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return run


def tar_bytes(files: dict[str, bytes], extra: list[tarfile.TarInfo] | None = None) -> bytes:
    """Return a tar.gz of the files, and of members without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra or []:
            tar.addfile(member)
    return buffer.getvalue()
