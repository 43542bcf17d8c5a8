"""Legs at a fixed rate and the search, on a real host with real servers."""

from __future__ import annotations

import json

import pytest
from labkit import run_playbook

from collect.report import build_report
from collect.store import load_run

HOST = "labb13"
VARIABLES = {
    "bench_rate_duration_s": 2,
    "bench_twin": False,
    "bench_endpoints": ["movie"],
    "bench_decide": None,
    "bench_reruns_per_block": 0,
    "bench_load": {
        "threads": 2,
        "connections": 16,
        "duration_s": 2,
        "warmup_s": 0,
        "timeout_s": 10,
    },
}
# Closes each connection after its answer, which a generator may take for leave to hurry.
SYNC = {"server": "gunicorn", "interface": "wsgi", "label": "sync", "knobs": {"keepalive_s": 0}}
UVICORN = {"server": "uvicorn", "interface": "asgi"}


def run(deployed, folder, name, **variables):
    run_playbook(
        "bench.yml",
        deployed,
        limit=HOST,
        bench_run_id=name,
        bench_results_dir=str(folder),
        **VARIABLES,
        **variables,
    )
    assert "Latency at a fixed rate" in (folder / name / "report.md").read_text()
    (host,) = build_report(load_run(folder / name)).hosts
    assert {line.trial.outcome.status for line in host.legs} == {"ok"}
    return host


@pytest.mark.lab
def test_servers_are_asked_at_shares_of_their_own_capacity_and_at_one_rate_for_all(
    deployed, tmp_path
):
    host = run(
        deployed,
        tmp_path,
        "rates",
        bench_rates={"of_capacity": ["25%"], "common": "auto"},
        bench_matrix=[SYNC, UVICORN],
        bench_blocks=2,
    )
    assert len(host.trials) == 4
    # The common rate is known from the second block on.
    assert len(host.legs) == 4 + 2
    (rate,) = {line.trial.rate.rate_rps for line in host.legs if line.trial.leg == "common"}
    slowest = min(line.trial.wrk.rps for line in host.trials if line.trial.block == 1)
    assert rate == pytest.approx(slowest / 2, rel=0.01)
    for line in host.legs:
        own = line.trial
        if own.leg == "share":
            # A quarter of what it carries is no rate to miss, however busy the machine.
            assert own.rate.achieved_rps == pytest.approx(own.rate.rate_rps, rel=0.3)
            assert own.rate.answered == own.rate.requests
            seconds = json.loads((line.stored.folder / "rate.json").read_text())["seconds"]
            assert len(seconds) == 2
            assert sum(second[0] for second in seconds) == own.rate.requests


@pytest.mark.lab
def test_the_highest_rate_within_a_limit_is_found(deployed, tmp_path):
    host = run(deployed, tmp_path, "slo", slo_p99_ms="500", bench_matrix=[UVICORN], bench_blocks=1)
    (line,) = host.legs
    assert len(list(line.stored.folder.glob("rate-*.json"))) == len(line.trial.search.steps)
    ((row,),) = (part.slo for part in host.rates)
    assert 0.05 <= row.found.rate_rps / row.capacity_rps <= 1.11
    assert "uvicorn-asgi" in host.rates[0].said[0]
