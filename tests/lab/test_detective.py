"""CPU taken away from outside, at known times: the detective finds when and by how much."""

from __future__ import annotations

import importlib
import sys
import threading
import time

import pytest
from labkit import REPO, SHORT_LOAD, block_of, run_playbook

from collect.checks import verdicts
from collect.detective import investigate, throughput_of
from collect.store import load_run

sys.path.insert(0, str(REPO / "roles/lab_host/module_utils"))
supervisor = importlib.import_module("serverbench_lab.supervisor")

HOST = "labb13"
BLOCKS = 12
SLOW_BLOCKS = (5, 8)
"""The host has half a core from the begin of the first to the end of the last."""
FAST_BLOCKS = 4
"""Of the run with credit: then the bucket is dry to the end."""
SLOW_CORES = 0.5
VARIABLES = {
    "bench_matrix": [
        {"server": "granian", "interface": "wsgi"},
        {"server": "gunicorn", "interface": "wsgi"},
    ],
    "bench_twin": False,
    "bench_blocks": BLOCKS,
    "bench_decide": None,
    "bench_reruns_per_block": 0,
    "bench_endpoints": ["health"],
    "bench_load": SHORT_LOAD,
}


class Throttle:
    """Lowers the host's quota in some blocks of a run, and remembers when."""

    def __init__(self, run_id, first, last):
        self._run_id, self._first, self._last = run_id, first, last
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.moments_s = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        supervisor.supervisor_for(HOST).set_quota(None)

    def _work(self):
        for wanted, cores in ((self._first, SLOW_CORES), (self._last + 1, None)):
            while not self._over.is_set() and block_of(HOST, self._run_id) < wanted:
                time.sleep(0.3)
            if self._over.is_set():
                return
            supervisor.supervisor_for(HOST).set_quota(cores)
            self.moments_s.append(time.time())


def measure(inventory, results, run_id, first, last):
    """Run the plan, throttled in these blocks; return what was found, and when it was so."""
    with Throttle(run_id, first, last) as throttle:
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
    by_id = {stored.trial.trial_id: stored for stored in host.trials}
    judged = list(zip(trials, verdicts(trials), strict=True))
    steady = investigate(
        host.plan, judged, rates=lambda trial: throughput_of(by_id[trial.trial_id])
    )
    spacing_s = (steady.moments[-1].starts_s - steady.moments[0].starts_s) / (len(trials) - 1)
    return steady, throttle.moments_s, spacing_s


@pytest.mark.lab
def test_a_throttle_is_found_when_it_was(deployed, tmp_path):
    steady, (begin_s, end_s), spacing_s = measure(deployed, tmp_path, "throttled", *SLOW_BLOCKS)
    (finding,) = [one for one in steady.findings if one.kind in ("host_slow", "burst")]
    assert finding.kind == "host_slow"
    assert abs(finding.starts_s - begin_s) <= 1.5 * spacing_s
    assert abs(finding.ends_s - end_s) <= 1.5 * spacing_s
    assert finding.ratio.high < 0.7
    # A quota is no steal: the guest does not see where its time went.
    assert not finding.signs.steal_shows


@pytest.mark.lab
def test_a_bucket_that_runs_dry_is_found(deployed, tmp_path):
    steady, (begin_s, *_), spacing_s = measure(
        deployed, tmp_path, "credit", FAST_BLOCKS + 1, BLOCKS + 1
    )
    (finding,) = steady.findings
    # A single session cannot tell it from a throttle, and says so.
    assert (finding.kind, finding.confidence) == ("credit", "maybe")
    assert abs(finding.starts_s - begin_s) <= 1.5 * spacing_s
    assert finding.bucket is not None
    # Half a core is what is left of two.
    assert finding.bucket.refill_cores.low < 2 * SLOW_CORES
    assert finding.bucket.size_core_s.value > 0
