"""`-e ladder=true` on a real host: each rung answers, and each step costs something."""

from __future__ import annotations

import pytest
from labkit import run_playbook

from collect.report import build_report
from collect.store import load_run

HOST = "labb13"
VARIABLES = {
    "ladder": "true",
    "bench_matrix": [
        {"server": "uwsgi", "interface": "wsgi"},
        {"server": "granian", "interface": "asgi"},
    ],
    "bench_twin": False,
    "bench_endpoints": ["movie"],
    "bench_blocks": 2,
    "bench_decide": None,
    "bench_reruns_per_block": 0,
    "bench_load": {"threads": 2, "connections": 8, "duration_s": 1, "warmup_s": 0, "timeout_s": 10},
}


@pytest.mark.lab
def test_the_ladder_says_where_the_time_goes(deployed, tmp_path):
    run = run_playbook(
        "bench.yml",
        deployed,
        limit=HOST,
        bench_run_id="ladder",
        bench_results_dir=str(tmp_path),
        **VARIABLES,
    )
    report = (tmp_path / "ladder" / "report.md").read_text()
    assert "Where the processor time of a request goes" in report
    # The units that serve without the ladder are not touched.
    assert not [t for t in run.tasks if t["task"].endswith("unit of uwsgi-wsgi")]
    (host,) = build_report(load_run(tmp_path / "ladder")).hosts
    assert [found.variant for found in host.ladders] == ["uwsgi-wsgi-ladder", "granian-asgi-ladder"]
    for found in host.ladders:
        assert found.missing == ()
        assert [step.endpoint for step in found.steps] == [
            "ladder-bare",
            "ladder-view",
            "ladder-middleware",
            "health",
            "movie",
        ]
        # Not the order of the small steps: these are two short blocks on a busy machine.
        bare, top = found.steps[0].rung_ms, found.steps[-1].rung_ms
        assert 0 < bare < top / 5
