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


# What may stand in a field depends on the others: these agree with the plan, or are dates.
BOUND = ("run_id", "trial_id", "variant", "endpoint", "started_at", "ended_at", "created_at", "id",
         "name", "twin_of", "starts_at", "ends_at")  # fmt: skip


def plant(run: Path, text: str) -> set[str]:
    """Put a text into every free-text field that a host writes; return the fields' names."""
    planted: set[str] = set()
    for path in sorted(run.rglob("*")):
        if path.suffix == ".json" and path.is_file():
            data = json.loads(path.read_text())
            known = {"host.json": None, "effective.json": None}.get(path.name, _TEXTS)
            path.write_text(json.dumps(_planted(data, text, known, path.name, planted)))
        elif path.name in {"wrk.txt", "journal.txt"}:
            path.write_text(f"{text}\n{path.read_text()}{text}\n")
            planted.add(path.name)
    return planted


# Of what is decoded: the fields that take any text. Others are one of a few words.
_TEXTS = frozenset({
    "reason", "server", "profile", "host", "a", "b", "trial_id", "phase", "last", "message",
    "updated_at", "label", "unit", "socket_unit", "proxy_unit", "path", "method", "body",
    "address", "rung", "regex",
})  # fmt: skip
_OUTCOMES = ("decided", "time_budget", "all_blocks", "going_on")


def _planted(value: object, text: str, known: object, where: str, planted: set[str]) -> object:
    """Return the value with the text in its fields; without `known`, in every one."""
    if isinstance(value, list):
        return [_planted(item, text, known, where, planted) for item in value]
    if not isinstance(value, dict):
        if isinstance(value, str) and known is None:
            planted.add(where)
            return f"{value}{text}"
        return value
    new = {}
    for name, inner in value.items():
        place = f"{where}:{name}"
        bound = name in BOUND and not where.startswith("progress.json")
        if isinstance(inner, str) and known is not None and name in known and not bound:
            # A word out of a few, as the reason of a decision is, stays.
            new[name] = inner if inner in _OUTCOMES else f"{inner}{text}"
            planted.add(place)
        elif name in {"others", "headers"} and isinstance(inner, dict):
            new[name] = {f"{key}{text}": item for key, item in inner.items()}
            planted.add(place)
        else:
            new[name] = _planted(inner, text, known, where, planted)
    return new


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
