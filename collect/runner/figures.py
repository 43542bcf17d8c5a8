"""From what was read before, beside and after the load to the figures of `trial.json`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from collect.model import CpuFigures, HostFigures, MemoryFigures, ProxyFigures
from collect.runner import others as everybody
from collect.runner.sampler import MEMORY_EVERY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collect.runner.others import Processes
    from collect.runner.seams import Counters, Memory, Sample

_IDLE = ("idle", "iowait")
_STEAL = "steal"
TREND_MIN_SAMPLES = 6
"""Fewer say too little of where a third begins."""
TREND_MIN_S = 2.0
"""A shorter load is all start and end."""


def memory_figures(
    idle: Memory | None,
    samples: Sequence[Sample],
    duration_s: float,
    interval_s: float,
    before: Counters,
    after: Counters,
) -> MemoryFigures:
    """Sum up the memory samples; one without PSS (not measured, or no process left) does not count.

    What two samples cover of the time between them is three intervals at most, where two is what
    they are apart: in a longer gap the peak may lie where nobody looked.
    """
    measured = [sample for sample in samples if sample.pss_bytes is not None]
    coverage = None
    if measured and duration_s > 0:
        gaps = (later.t_s - earlier.t_s for earlier, later in pairwise(measured))
        covered_s = sum(min(gap, (MEMORY_EVERY + 1) * interval_s) for gap in gaps)
        coverage = round(min(1.0, covered_s / duration_s), 4)
    return MemoryFigures(
        pss_idle_bytes=None if idle is None else idle.pss_bytes,
        pss_peak_bytes=_peak(sample.pss_bytes for sample in samples),
        rss_peak_bytes=_peak(sample.rss_bytes for sample in samples),
        cgroup_peak_bytes=_cgroup_peak(samples, before, after),
        swap_peak_bytes=_peak(sample.swap_bytes for sample in samples),
        samples=len(measured),
        coverage_ratio=coverage,
    )


def cpu_figures(
    before: Counters,
    after: Counters,
    loadgen_s: float | None,
    others: tuple[Processes, Processes] | None,
    cores: int,
) -> CpuFigures:
    """Take the differences of the CPU counters.

    `busy_s` leaves out steal: time that another guest got was spent by nobody here.
    """
    spent = _differences(before.host_cpu_s, after.host_cpu_s)
    total_s = sum(spent.values())
    idle_s = sum(spent.get(kind, 0.0) for kind in _IDLE)
    steal_s = spent.get(_STEAL)
    server_s = _growth(before.server_cpu_s, after.server_cpu_s)
    runner_s = _growth(before.runner_cpu_s, after.runner_cpu_s)
    return CpuFigures(
        server_s=None if server_s is None else round(server_s, 4),
        loadgen_s=None if loadgen_s is None else round(loadgen_s, 4),
        busy_s=round(total_s - idle_s - (steal_s or 0.0), 2) if total_s > 0 else None,
        runner_s=None if runner_s is None else round(runner_s, 4),
        others=None if others is None else everybody.spent(*others),
        steal_ratio=None if steal_s is None or total_s <= 0 else round(steal_s / total_s, 4),
        cores=cores,
    )


def proxy_figures(
    idle: Memory | None, samples: Sequence[Sample], before: Counters, after: Counters
) -> ProxyFigures:
    """Sum up what the proxy took, beside and not inside what the server took."""
    cpu_s = _growth(before.proxy_cpu_s, after.proxy_cpu_s)
    return ProxyFigures(
        cpu_s=None if cpu_s is None else round(cpu_s, 4),
        pss_idle_bytes=None if idle is None else idle.pss_bytes,
        pss_peak_bytes=_peak(sample.proxy_pss_bytes for sample in samples),
        rss_peak_bytes=_peak(sample.proxy_rss_bytes for sample in samples),
    )


def host_figures(
    before: Counters,
    after: Counters,
    canary_s: float | None,
    samples: Sequence[Sample],
    duration_s: float,
) -> HostFigures:
    """Take the differences of the host's counters."""
    overflows = _growth(before.listen_overflows, after.listen_overflows)
    lasted_s = after.monotonic_s - before.monotonic_s
    waited_s = _growth(before.cpu_pressure_s, after.cpu_pressure_s)
    step_s = (after.wall_s - before.wall_s) - (after.monotonic_s - before.monotonic_s)
    return HostFigures(
        listen_overflows=None if overflows is None else int(overflows),
        # Plus zero: a step of -0.0 is none.
        clock_step_s=round(step_s, 4) + 0.0,
        canary_s=None if canary_s is None else round(canary_s, 5),
        trend_ratio=trend_ratio(samples, duration_s),
        cpu_pressure_ratio=None
        if waited_s is None or lasted_s <= 0
        else round(min(1.0, waited_s / lasted_s), 4),
    )


def trend_ratio(samples: Sequence[Sample], duration_s: float) -> float | None:
    """Return the traffic of the load's last third over that of its first.

    1 is steady. The bytes at each third are interpolated between samples. The end is the load's own
    and not the last sample's, which comes only after wrk has ended. None with too few samples, a
    load too short, or a first third without traffic.
    """
    points = [(s.t_s, s.loopback_bytes) for s in samples if s.loopback_bytes is not None]
    if len(points) < TREND_MIN_SAMPLES:
        return None
    begin_s = points[0][0]
    span_s = min(points[-1][0] - begin_s, duration_s)
    if span_s < TREND_MIN_S:
        return None
    marks = [_bytes_at(points, begin_s + span_s * third / 3) for third in range(4)]
    first, last = marks[1] - marks[0], marks[3] - marks[2]
    return round(last / first, 4) if first > 0 and last >= 0 else None


def _bytes_at(points: Sequence[tuple[float, int]], t_s: float) -> float:
    for (left_s, left), (right_s, right) in pairwise(points):
        if t_s <= right_s and right_s > left_s:
            return left + (right - left) * (t_s - left_s) / (right_s - left_s)
    return float(points[-1][1])


def oom_kills(before: Counters, after: Counters, result: str) -> int | None:
    """Count the kills for lack of memory under load.

    Without the kernel's count only a main process killed so is known, by systemd's result of the
    unit: at least one. Anything else stays unknown.
    """
    kills = _growth(before.oom_kills, after.oom_kills)
    if kills is not None and (kills > 0 or result != "oom-kill"):
        return int(kills)
    return 1 if result == "oom-kill" else None


def _cgroup_peak(samples: Sequence[Sample], before: Counters, after: Counters) -> int | None:
    """Return the kernel's peak if it rose under this load, else the highest value sampled.

    `memory.peak` counts from the start of the unit: once an earlier trial of the same start, or the
    start itself, went higher, it says nothing of this one.
    """
    old, new = before.cgroup_peak_bytes, after.cgroup_peak_bytes
    if old is not None and new is not None and new > old:
        return new
    return _peak(sample.cgroup_memory_bytes for sample in samples)


def _peak(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _growth(before: float | None, after: float | None) -> float | None:
    """Return the difference; None where a side is unknown, or where the counter began anew."""
    if before is None or after is None or after < before:
        return None
    return after - before


def _differences(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    # A single kind may step back by a tick on a machine with hot-plugged cores.
    return {kind: max(0.0, after[kind] - before[kind]) for kind in after if kind in before}
