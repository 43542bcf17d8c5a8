"""From what was read before, beside and after the load to the figures of `trial.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.model import CpuFigures, HostFigures, MemoryFigures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collect.runner.seams import Counters, Memory, Sample

_IDLE = ("idle", "iowait")
_STEAL = "steal"


def memory_figures(
    idle: Memory | None,
    samples: Sequence[Sample],
    duration_s: float,
    before: Counters,
    after: Counters,
) -> MemoryFigures:
    """Sum up the memory samples; a sample without PSS (no process left) does not count."""
    measured = [sample for sample in samples if sample.pss_bytes is not None]
    coverage = None
    if measured and duration_s > 0:
        coverage = round(min(1.0, (measured[-1].t_s - measured[0].t_s) / duration_s), 4)
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
    before: Counters, after: Counters, loadgen_s: float | None, cores: int
) -> CpuFigures:
    """Take the differences of the CPU counters.

    `busy_s` leaves out steal: time that another guest got was spent by nobody here.
    """
    spent = _differences(before.host_cpu_s, after.host_cpu_s)
    total_s = sum(spent.values())
    idle_s = sum(spent.get(kind, 0.0) for kind in _IDLE)
    steal_s = spent.get(_STEAL)
    server_s = _growth(before.server_cpu_s, after.server_cpu_s)
    return CpuFigures(
        server_s=None if server_s is None else round(server_s, 4),
        loadgen_s=None if loadgen_s is None else round(loadgen_s, 4),
        busy_s=round(total_s - idle_s - (steal_s or 0.0), 2) if total_s > 0 else None,
        runner_s=None,
        others=None,
        steal_ratio=None if steal_s is None or total_s <= 0 else round(steal_s / total_s, 4),
        cores=cores,
    )


def host_figures(before: Counters, after: Counters, canary_s: float | None) -> HostFigures:
    """Take the differences of the host's counters."""
    overflows = _growth(before.listen_overflows, after.listen_overflows)
    step_s = (after.wall_s - before.wall_s) - (after.monotonic_s - before.monotonic_s)
    return HostFigures(
        listen_overflows=None if overflows is None else int(overflows),
        clock_step_s=round(step_s, 4),
        canary_s=None if canary_s is None else round(canary_s, 5),
        trend_ratio=None,
    )


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
