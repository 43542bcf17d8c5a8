"""What is measured of the kit itself: each yields figures, a repeat at a time."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lab import BIN, REPO, Lab, changes, run
from made_run import write_run

from collect.decide import ALPHA
from collect.decide.student import t_quantile
from collect.model import load_plan, load_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = (100, 1_000, 10_000, 100_000)
HOSTS = (1, 4, 8)
SAMPLED_PAIRS, SAMPLED_S = 6, 4
"""Pairs of windows for each repeat, and how long a window lasts."""
_LONG_S = 35.0
"""A trial as it is usually asked for: 30 s after a warm-up of 5 s."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table."""

    what: str
    samples: tuple[float, ...]
    unit: str
    asked: str = ""
    floor: float | None = None
    """The least that any program would take for it, in the same unit; see the measure."""

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.samples)


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {text}\n")


def bare(lab: Lab, repeats: int) -> Iterator[Figure]:
    """From a bare host to six servers, every package fetched and installed."""
    samples = []
    for repeat in range(repeats):
        say(f"bare host to six servers, {repeat + 1} of {repeats}")
        lab.reset()
        samples.append(lab.play("deploy.yml").wall_s)
    yield Figure("bare host -> six servers deployed", tuple(samples), "s")


def converge(lab: Lab, repeats: int) -> Iterator[Figure]:
    """Deploy six servers where nothing is to be done; the floor is one ping by Ansible."""
    lab.play("deploy.yml")
    floor = _ping(lab, repeats)
    samples = []
    for repeat in range(repeats):
        say(f"six servers, nothing to do, {repeat + 1} of {repeats}")
        done = lab.play("deploy.yml")
        samples.append(done.wall_s)
        if changes(done):
            raise SystemExit(f"something was changed:\n{done.output}")
    yield Figure("six servers, nothing to do", tuple(samples), "s", "<= 10 s", floor)


def redeploy(lab: Lab, repeats: int) -> Iterator[Figure]:
    """Make one server the service: with nothing to do, and with changed code."""
    lab.play("deploy.yml", server="granian")
    floor = _ping(lab, repeats)
    same = []
    for repeat in range(repeats):
        say(f"one server, nothing to do, {repeat + 1} of {repeats}")
        same.append(lab.play("deploy.yml", server="granian").wall_s)
    yield Figure("one server, nothing to do", tuple(same), "s", "<= 3 s", floor)
    changed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "app"
        shutil.copytree(REPO / "app", copy, ignore=shutil.ignore_patterns("__pycache__"))
        for repeat in range(repeats):
            say(f"one server, changed code, {repeat + 1} of {repeats}")
            (copy / "CHANGED").write_text(f"{time.time()}\n")
            done = lab.play("deploy.yml", server="granian", app_source=str(copy))
            changed.append(done.wall_s)
            if not changes(done):
                raise SystemExit(f"nothing was changed:\n{done.output}")
    yield Figure("one server, changed code", tuple(changed), "s", "<= 6 s", floor)


def overhead(lab: Lab, repeats: int) -> Iterator[Figure]:
    """Take a run apart: six servers, as many blocks as there are repeats, trials of 2 s.

    What a trial costs beside its load does not hang on how long the load is, so the share is
    reckoned for trials of 30 s after 5 s of warm-up: the playbook's own time is in it once a run.
    """
    load = {"threads": 2, "connections": 32, "duration_s": 2, "warmup_s": 1, "timeout_s": 10}
    lab.play("deploy.yml")
    switching, shares, besides = [], [], []
    for repeat in range(repeats):
        say(f"a run of six trials, {repeat + 1} of {repeats}")
        with tempfile.TemporaryDirectory() as results:
            done = lab.play(
                "bench.yml",
                bench_results_dir=results,
                bench_endpoints=["health"],
                bench_blocks=1,
                bench_load=load,
            )
            (host,) = Path(results).glob("*/perf1")
            plan = load_plan(host / "plan.json")
            trials = [load_trial(host / "trials" / one.id / "trial.json") for one in plan.trials]
        begins = [_seconds(trial.started_at) for trial in trials]
        ends = _seconds(trials[-1].ended_at)
        loaded_s = (plan.load.duration_s + plan.load.warmup_s) * len(trials)
        switching.append((ends - begins[0] - loaded_s) / len(trials))
        besides.append(done.wall_s - loaded_s)
        shares.append(besides[-1] / (_LONG_S * len(trials)) * 100)
    yield Figure("a trial: seconds beside its load", tuple(switching), "s")
    yield Figure("a run of 6 trials: seconds beside load", tuple(besides), "s")
    yield Figure("a run of 6 trials of 30 s: overhead", tuple(shares), "%", "<= 8 %")
    long_ones = tuple(
        (beside - 6 * switch + 60 * switch) / (_LONG_S * 60) * 100
        for beside, switch in zip(besides, switching, strict=True)
    )
    yield Figure("a run of 60 trials of 30 s: overhead", long_ones, "%", "<= 8 %")


def sampler(lab: Lab, repeats: int) -> Iterator[Figure]:
    """What measuring costs: the same load in pairs, in random order, with the sampler and without.

    Of the servers the one whose processes have most memory to be read, and the fastest one.
    """
    script = (Path(__file__).parent / "sampled_pairs.py").read_text()
    path = "/api/django-starter/monitoring/health"
    lab.play("deploy.yml")
    for unit in ("uvicorn-asgi", "granian-wsgi"):
        pairs = SAMPLED_PAIRS * repeats
        say(f"{unit} with the sampler and without, {pairs} pairs of {SAMPLED_S} s")
        said = lab.ssh(
            f"python3 -B - /opt/serverbench serverbench-{unit}.service {path} {pairs} {SAMPLED_S} "
            "0.5",
            stdin=script,
        )
        found = json.loads(said)
        logs = [math.log(beside / alone) for beside, alone, _ in found]
        half = t_quantile(ALPHA, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
        # The 95 % interval of the mean stands where other rows have their lowest and highest.
        interval = tuple(math.exp(statistics.fmean(logs) + x) for x in (-half, 0, half))
        yield Figure(f"{unit}: req/s sampled / not", interval, "x", ">= 0.99")
        cpu = tuple(cpu_s / SAMPLED_S / 2 * 100 for _, _, cpu_s in found)
        yield Figure(f"{unit}: CPU of sampler, both cores", cpu, "%")


def reports(_lab: Lab, repeats: int) -> Iterator[Figure]:
    """Report and verify made-up runs; the floor reads, parses or hashes the same files only."""
    for trials in SIZES:
        with tempfile.TemporaryDirectory(prefix="serverbench-perf-") as results:
            say(f"making a run of {trials} trials")
            folder = write_run(Path(results), trials)
            run([BIN / "serverbench", "report", folder, "--format", "markdown", "--output",
                 folder / "report.md"])  # fmt: skip
            for command, least in (("report", _parse), ("verify", _hash)):
                done = []
                for repeat in range(repeats):
                    say(f"{command}, {trials} trials, {repeat + 1} of {repeats}")
                    done.append(run([BIN / "serverbench", command, folder]))
                floor = statistics.median(least(folder) for _ in range(repeats))
                walls = tuple(one.wall_s for one in done)
                asked = "<= 10 s" if trials == SIZES[-1] else ""
                yield Figure(f"{command}, {trials} trials", walls, "s", asked, floor)
                if trials == SIZES[-1]:
                    peaks = tuple(one.peak_bytes / 2**20 for one in done)
                    yield Figure(f"{command}, {trials} trials", peaks, "MiB", "<= 1024")


def hosts(lab: Lab, repeats: int) -> Iterator[Figure]:
    """Deploy six servers on several hosts where nothing is to be done."""
    for count in HOSTS:
        say(f"making {count} hosts ready")
        lab.play("deploy.yml", count)
        samples = []
        for repeat in range(repeats):
            say(f"{count} hosts, nothing to do, {repeat + 1} of {repeats}")
            samples.append(lab.play("deploy.yml", count).wall_s)
        yield Figure(f"six servers on {count} hosts, nothing to do", tuple(samples), "s")


def clone(_lab: Lab, repeats: int) -> Iterator[Figure]:
    """From a fresh clone to the ranked report of `make bench`: no environment, a new host."""
    samples = []
    for repeat in range(repeats):
        say(f"a fresh clone to its report, {repeat + 1} of {repeats}")
        with tempfile.TemporaryDirectory(prefix="serverbench-perf-") as folder:
            run(["git", "clone", "--quiet", REPO, f"{folder}/clone"])
            checkout = Path(folder, "clone")
            samples.append(run(["make", "bench"], checkout).wall_s / 60)
            run(["make", "lab-down"], checkout)
    yield Figure("fresh clone -> ranked report", tuple(samples), "min", "<= 5 min")


MEASURES: dict[str, Callable[[Lab, int], Iterator[Figure]]] = {
    "bare": bare,
    "converge": converge,
    "redeploy": redeploy,
    "overhead": overhead,
    "sampler": sampler,
    "hosts": hosts,
    "reports": reports,
    "clone": clone,
}


def _ping(lab: Lab, repeats: int) -> float:
    command = [BIN / "ansible", "perf1", "-i", lab.folder, "-m", "ansible.builtin.ping"]
    return statistics.median(run(command).wall_s for _ in range(repeats))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _parse(folder: Path) -> float:
    started_s = time.monotonic()
    for path in folder.glob("*/trials/*/trial.json"):
        json.loads(path.read_bytes())
    return time.monotonic() - started_s


def _hash(folder: Path) -> float:
    started_s = time.monotonic()
    for path in folder.glob("*/trials/*/*"):
        hashlib.sha256(path.read_bytes()).digest()
    return time.monotonic() - started_s
