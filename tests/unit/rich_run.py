"""A run in which everything that a report can show is there: fabricated, on disk."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import factory

from collect.ladder import add_rungs
from collect.twin import add_twin

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</script><script>window.pwned = 1</script><img src=x onerror=window.pwned=2>"

_ENDPOINTS = add_rungs(
    [factory.ENDPOINTS[1] | {"rung": "database"}],
    [factory.ENDPOINTS[0] | {"rung": "django-ninja"}, factory.ENDPOINTS[1] | {"rung": "database"}],
)
_RUNG_COST = {"ladder-bare": 0.1, "ladder-view": 0.2, "ladder-middleware": 0.5, "health": 0.7}
_MATRIX = [
    *factory.PAIRS,
    {"server": "granian", "interface": "wsgi", "proxy": "nginx"},
    {"server": "uvicorn", "interface": "asgi", "proxy": "caddy"},
]


def write(results: Path, hosts: int = 2, blocks: int = 4) -> Path:
    """Write the run, and return its folder."""
    for number in range(hosts):
        run = _write_host(results, f"lab{number + 1}", blocks)
    return run


def _write_host(results: Path, name: str, blocks: int) -> Path:
    variants = factory.variants(_MATRIX, ("parity", "study"))
    plan = factory.plan(
        host=name, variants=add_twin(variants, "granian-wsgi"), endpoints=_ENDPOINTS, blocks=blocks
    )
    trials = [_trial(plan, one, name) for one in factory.noisy_trials(plan, 0.03)]
    closing, failed = plan.trials[3], plan.trials[7]
    trials[3] = factory.closing(plan, closing)
    trials[7] = factory.failed(plan, failed, "server_died", HOSTILE)
    run = factory.write_host(results, plan, trials)
    facts = run / name / "host.json"
    told = json.loads(facts.read_text())
    told |= {
        "cpu_model": f"EPYC {HOSTILE}",
        "virtualisation": "kvm",
        "versions": {"wrk": "4.1.0"},
        "packages": {"django": "6.1", "granian": "2.8.7", "attrs": "26"},
    }
    facts.write_text(json.dumps(told))
    for one in trials:
        folder = run / name / "trials" / one.trial_id
        argv = ["/venv/bin/granian", "--host=127.0.0.1", HOSTILE]
        used = {
            "processes": [{"argv": argv, "helper": False}],
            "load_argv": ["wrk", "-t4", "http://127.0.0.1:9875/"],
        }
        (folder / "effective.json").write_text(json.dumps(used))
    return run


def _trial(plan, one, name):
    chance = random.Random(f"{name} {one.trial_id}")  # noqa: S311 - not a secret
    start = datetime.fromisoformat(plan.created_at) + timedelta(seconds=40 * one.position)
    cost = _RUNG_COST.get(one.endpoint, 1.0)
    cpu = replace(
        one.cpu,
        server_s=one.wrk.requests * cost * 1e-4 * chance.uniform(0.97, 1.03),
        others={"redis-server": 1.5, "journald": 0.4},
        steal_ratio=chance.uniform(0, 0.02),
    )
    return replace(
        one,
        started_at=start.isoformat(),
        ended_at=(start + timedelta(seconds=37)).isoformat(),
        cpu=cpu,
        memory=replace(one.memory, cgroup_peak_bytes=round(one.memory.pss_peak_bytes * 1.1)),
        host_state=replace(one.host_state, canary_s=0.05 * chance.uniform(0.98, 1.05)),
    )
