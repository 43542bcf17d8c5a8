"""Legs at a fixed rate and the search, on a real host with real servers."""

from __future__ import annotations

import json

import pytest
from labkit import run_playbook

from collect.report import build_report
from collect.store import load_run

HOST = "labb13"
VARIABLES = {
    "rates": "true",
    "slo_p99_ms": "500",
    "bench_rate_duration_s": 2,
    "bench_matrix": [
        # Closes each connection after its answer, which a generator may take for leave to hurry.
        {"server": "gunicorn", "interface": "wsgi", "label": "sync", "knobs": {"keepalive_s": 0}},
        {"server": "uvicorn", "interface": "asgi"},
    ],
    "bench_twin": False,
    "bench_endpoints": ["movie"],
    "bench_blocks": 2,
    "bench_decide": None,
    "bench_reruns_per_block": 0,
    "bench_load": {
        "threads": 2,
        "connections": 16,
        "duration_s": 2,
        "warmup_s": 1,
        "timeout_s": 10,
    },
}


@pytest.mark.lab
def test_latency_at_fixed_rates_and_the_rate_within_a_limit(deployed, tmp_path):
    run_playbook(
        "bench.yml",
        deployed,
        limit=HOST,
        bench_run_id="rates",
        bench_results_dir=str(tmp_path),
        **VARIABLES,
    )
    assert "Latency at a fixed rate" in (tmp_path / "rates/report.md").read_text()
    (host,) = build_report(load_run(tmp_path / "rates")).hosts
    assert len(host.trials) == 4
    # 2 x (3 shares and a search) in the first block, and the common rate in the second.
    assert len(host.legs) == 2 * 4 + 2 * 5
    assert {line.trial.outcome.status for line in host.legs} == {"ok"}
    common = {line.trial.rate.rate_rps for line in host.legs if line.trial.leg == "common"}
    slowest = min(line.trial.wrk.rps for line in host.trials if line.trial.block == 1)
    (rate,) = common
    assert rate == pytest.approx(slowest / 2, rel=0.01)
    for line in host.legs:
        own = line.trial
        if own.leg == "share" and own.share == 0.25:
            # A quarter of what it carries is no rate to miss, however busy the machine.
            assert own.rate.achieved_rps == pytest.approx(own.rate.rate_rps, rel=0.3)
            assert own.rate.answered == own.rate.requests
            assert own.rate.latency_ms.p50 < 500
            seconds = json.loads((line.stored.folder / "rate.json").read_text())["seconds"]
            assert len(seconds) == 2
            assert sum(second[0] for second in seconds) == own.rate.requests
    (part,) = host.rates
    assert {row.variant for row in part.slo} == {line.trial.variant for line in host.legs}
    assert all(row.found.rate_rps > 1 for row in part.slo)
