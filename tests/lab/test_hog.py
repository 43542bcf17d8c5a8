"""A neighbour inside the host takes its CPU for a third of a run: it is named, and fools nobody."""

from __future__ import annotations

import shlex
import threading
import time

import pytest
from labkit import SHORT_LOAD, block_of, run_playbook, ssh

from collect.checks import verdicts
from collect.stats import compare
from collect.store import load_run

HOST = "labb13"
BLOCKS = 6
HOG_BLOCKS = (3, 4)
VARIABLES = {
    "bench_matrix": [
        {"server": "granian", "interface": "wsgi"},
        {"server": "gunicorn", "interface": "wsgi"},
        {"server": "uvicorn", "interface": "asgi"},
    ],
    "bench_twin": True,
    "bench_blocks": BLOCKS,
    "bench_decide": None,
    "bench_reruns_per_block": 1,
    "bench_endpoints": ["health"],
    "bench_load": SHORT_LOAD,
}


def hog(run_id, over):
    """Keep both cores busy, in the host's own cgroup, while the run is in HOG_BLOCKS."""
    deadline = time.monotonic() + 400
    while block_of(HOST, run_id) < HOG_BLOCKS[0] and time.monotonic() < deadline:
        time.sleep(0.5)
    loop = "while :; do :; done & while :; do :; done"
    ssh(HOST, f"systemd-run --unit=hog --property=RuntimeMaxSec=300 sh -c {shlex.quote(loop)}")
    while (
        block_of(HOST, run_id) in HOG_BLOCKS and time.monotonic() < deadline and not over.is_set()
    ):
        time.sleep(0.5)
    ssh(HOST, "systemctl stop hog.service", check=False)


def measure(inventory, results, run_id):
    run_playbook(
        "bench.yml",
        inventory,
        limit=HOST,
        bench_run_id=run_id,
        bench_results_dir=str(results),
        **VARIABLES,
    )
    (host,) = load_run(results / run_id).hosts
    trials = [stored.trial for stored in host.trials]
    judged = list(zip(trials, verdicts(trials), strict=True))
    ranking = compare(host.plan, judged).ranking("health", "rps")
    return judged, {row.variant: row.tier for row in ranking.rows}


@pytest.mark.lab
def test_a_hog_is_named_and_the_tiers_are_those_of_a_quiet_run(deployed, tmp_path):
    _, quiet = measure(deployed, tmp_path, "quiet")
    over = threading.Event()
    neighbour = threading.Thread(target=hog, args=("hogged", over))
    neighbour.start()
    try:
        judged, hogged = measure(deployed, tmp_path, "hogged")
    finally:
        over.set()
        neighbour.join()
    named = {
        trial.block
        for trial, verdict in judged
        if any(r.code == "other_processes" and "sh" in r.seen for r in verdict.reasons)
    }
    # The hog comes a moment after the first block of the two has begun, and goes a moment late.
    assert HOG_BLOCKS[1] in named
    assert named <= {*HOG_BLOCKS, HOG_BLOCKS[1] + 1}
    late = [v for t, v in judged if t.block == HOG_BLOCKS[1]]
    assert all(any(r.code == "other_processes" for r in v.reasons) for v in late)
    assert len(set(quiet.values())) > 1, quiet
    assert hogged == quiet
