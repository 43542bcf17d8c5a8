"""What the runner saw of the service and the host around one trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.checks import thresholds as at
from collect.checks.reasons import Reason, number, percent, severity
from collect.lang import N_, _
from collect.model import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from collect.model import Trial

_DATABASES = ("redis-server", "postgres", "mysqld", "mariadbd", "memcached")
KERNEL_THREADS = ("ksoftirqd", "kworker")
"""As `collect.runner.others` names them, for all cores together. They do the network's work for the
load, whoever it is accounted to."""

_OUTCOMES = {
    "start_failed": N_("start failed"),
    "not_ready": N_("not ready"),
    "wrong_answer_before": N_("wrong answer before"),
    "load_failed": N_("load failed"),
    "server_died": N_("server died"),
    "proxy_died": N_("proxy died"),
    "wrong_answer_after": N_("wrong answer after"),
    "no_rate": N_("no rate"),
}
_OUTCOME_REMEDIES = {
    "start_failed": N_("Read the journal in the trial's folder, mend the cause and run again."),
    "not_ready": N_(
        "Read the journal in the trial's folder, or raise bench_timing.ready_timeout_s."
    ),
    "wrong_answer_before": N_("Compare the endpoint's `expect` with what the app really answers."),
    "load_failed": N_("Read wrk.txt in the trial's folder; wrk could not do its work."),
    "server_died": N_("Read the journal in the trial's folder; look for memory running out."),
    "proxy_died": N_("Read the journal in the trial's folder; it holds the proxy's lines too."),
    "wrong_answer_after": N_("Read the journal in the trial's folder; load broke the app."),
    "no_rate": N_("Mend what spoiled the trials at full load; rates are taken from those."),
}


def is_database(name: str) -> bool:
    """Tell whether one of `CpuFigures.others` is a database.

    The app itself asks it: its CPU time is part of what is measured.
    """
    # A database's process for each connection ends with it.
    return name.removesuffix(ENDED) in _DATABASES


def check_outcome(trial: Trial) -> Reason | None:
    """The runner could not finish, or the answer was wrong before or after the load."""
    status = trial.outcome.status
    if status == "ok":
        return None
    # What the runner noted on the host is in English, whoever reads it.
    detail = trial.outcome.reason or _("the runner gave no reason")
    remedy = _(_OUTCOME_REMEDIES[status])
    if status == "load_failed" and trial.leg != "capacity":
        remedy = _("Read rate.txt in the trial's folder; the generator could not do its work.")
    seen = _("{outcome}: {detail}.").format(outcome=_(_OUTCOMES[status]), detail=detail.rstrip("."))
    return Reason(status, "invalid", seen, remedy)


def check_no_figures(trial: Trial) -> Reason | None:
    """The trial went well, and yet there is nothing in it."""
    own = (trial.wrk, trial.rate, trial.search)
    if trial.outcome.status != "ok" or any(figures is not None for figures in own):
        return None
    if trial.leg != "capacity":
        seen = _("The generator left no figures.")
        return Reason("no_figures", "invalid", seen, _("Read rate.txt in the trial's folder."))
    return Reason(
        "no_figures", "invalid", _("wrk left no figures."), _("Read wrk.txt in the trial's folder.")
    )


def check_out_of_memory(trial: Trial) -> Reason | None:
    """The kernel's out-of-memory killer took a process of the service."""
    if trial.service is None or not trial.service.oom_kills:
        return None
    return Reason(
        "out_of_memory",
        "invalid",
        _("The kernel killed processes for lack of memory (kills: {kills}).").format(
            kills=trial.service.oom_kills
        ),
        _("Ask for fewer workers or threads, or take a larger host."),
    )


def check_restarts(trial: Trial) -> Reason | None:
    """Systemd started the service anew, or its main process is another one."""
    service = trial.service
    if service is None:
        return None
    before, after = service.main_pid_before, service.main_pid_after
    replaced = before is not None and after is not None and before != after
    if not service.restarts and not replaced:
        return None
    if service.restarts:
        seen = _("The server restarted under load (restarts: {restarts}).")
    else:
        seen = _("The server restarted under load (pid {before}, now {after}).")
    return Reason(
        "restarted",
        "invalid",
        seen.format(restarts=service.restarts, before=before, after=after),
        _("Read the journal in the trial's folder."),
    )


def check_clock(trial: Trial) -> Reason | None:
    """Somebody set the clock, and wrk times with it (`time_us` is `gettimeofday`)."""
    step_s = None if trial.host_state is None else trial.host_state.clock_step_s
    if step_s is None or abs(step_s) <= at.CLOCK_STEP_SUSPECT_S:
        return None
    return Reason(
        "clock_step",
        severity(invalid=abs(step_s) > _duration_s(trial) * at.CLOCK_STEP_RATIO_INVALID),
        _("The clock was moved by {step_s} s under load, and wrk times with it.").format(
            step_s=number(step_s)
        ),
        _("Let the host's clock settle (timedatectl), and run again."),
    )


def check_others(trial: Trial) -> Reason | None:
    """Processes that are no part of the trial took the CPU. Databases are part of it."""
    cpu = trial.cpu
    if cpu is None or not cpu.others:
        return None
    foreign = {
        name: spent_s
        for name, spent_s in cpu.others.items()
        if not is_database(name) and not name.startswith(KERNEL_THREADS)
    }
    share = _share_of_host(trial, sum(foreign.values()))
    if share is None or share <= at.OTHERS_RATIO_SUSPECT:
        return None
    worst = sorted(foreign, key=lambda name: -foreign[name])[:3]
    return Reason(
        "other_processes",
        severity(invalid=share > at.OTHERS_RATIO_INVALID),
        _("Other processes took {share} of the host's CPU: {names}.").format(
            share=percent(share), names=_(", ").join(worst)
        ),
        _("Stop them while a run is on (systemctl list-timers shows what starts by itself)."),
    )


def check_loadgen(trial: Trial) -> Reason | None:
    """Wrk itself is at its limit, or takes much of what the server could have."""
    cpu = trial.cpu
    if cpu is None or cpu.loadgen_s is None:
        return None
    if trial.leg != "capacity":
        return _check_generator(_share_of_host(trial, cpu.loadgen_s))
    usable = min(trial.load.threads, cpu.cores)
    own = cpu.loadgen_s / (_duration_s(trial) * usable) if usable > 0 else 0.0
    share = _share_of_host(trial, cpu.loadgen_s) or 0.0
    is_saturated = own > at.LOADGEN_RATIO_INVALID
    if not is_saturated and share <= at.LOADGEN_RATIO_SUSPECT:
        return None
    if is_saturated:
        seen = _(
            "wrk took {share} of the host's CPU and could take no more: these figures are its own "
            "limit."
        )
    else:
        seen = _("wrk took {share} of the host's CPU.")
    return Reason(
        "loadgen_busy",
        severity(invalid=is_saturated),
        seen.format(share=percent(share)),
        _("Take an endpoint that does more work, more wrk threads, or a host with more cores."),
    )


def _check_generator(share: float | None) -> Reason | None:
    """Latency is that of a host with less left for the server than it had under wrk."""
    if share is None or share <= at.GENERATOR_RATIO_SUSPECT:
        return None
    return Reason(
        "generator_busy",
        "suspect",
        _(
            "The generator took {share} of the host's CPU, far more than wrk at the same rate: "
            "latency here is higher than with the visitors elsewhere."
        ).format(share=percent(share)),
        _("Ask for a lower rate (bench_rates), or take a host with more cores."),
    )


def check_runner(trial: Trial) -> Reason | None:
    """The runner's own sampling cost too much."""
    spent_s = None if trial.cpu is None else trial.cpu.runner_s
    share = None if spent_s is None else _share_of_host(trial, spent_s)
    if share is None or share <= at.RUNNER_RATIO_SUSPECT:
        return None
    return Reason(
        "runner_busy",
        "suspect",
        _("The kit's own sampling took {share} of the host's CPU.").format(share=percent(share)),
        _("Raise bench_timing.sample_interval_s."),
    )


def check_steal(trial: Trial) -> Reason | None:
    """The hypervisor gave the CPU to other guests."""
    share = None if trial.cpu is None else trial.cpu.steal_ratio
    if share is None or share <= at.STEAL_RATIO_SUSPECT:
        return None
    return Reason(
        "steal",
        "suspect",
        _("The hypervisor gave {share} of the CPU time to other machines.").format(
            share=percent(share)
        ),
        _("Compare inside blocks only, and run at another time of day."),
    )


def check_trend(trial: Trial) -> Reason | None:
    """Throughput rose or fell inside the trial."""
    ratio = None if trial.host_state is None else trial.host_state.trend_ratio
    if trial.leg != "capacity":
        return None  # A fixed rate is kept or missed, and a search changes its own on purpose.
    if ratio is None or ratio < 0 or 1 / at.TREND_SUSPECT <= ratio <= at.TREND_SUSPECT:
        return None
    return Reason(
        "trend",
        severity(invalid=ratio < at.TREND_INVALID),
        _("Throughput in the last third of the load was {ratio} times that of the first.").format(
            ratio=number(ratio)
        ),
        _(
            "Take a longer warm-up (bench_load.warmup_s) and look for what slows the host or "
            "server."
        ),
    )


def check_listen_queue(trial: Trial) -> Reason | None:
    """The kernel dropped connections (`ListenOverflows`): the client's next try takes a second."""
    count = None if trial.host_state is None else trial.host_state.listen_overflows
    if not count:
        return None
    return Reason(
        "listen_overflows",
        "suspect",
        _(
            "The listen queue overflowed {count} times; clients tried again after a second or more."
        ).format(count=f"{count:,}"),
        _("Raise the backlog knob above bench_load.connections."),
    )


def check_workers(trial: Trial) -> Reason | None:
    """The server is not what was asked for."""
    service = trial.service
    if service is None or service.workers_seen in {None, service.workers_expected}:
        return None
    return Reason(
        "workers",
        "suspect",
        _("{seen} workers ran where {expected} were asked for.").format(
            seen=service.workers_seen, expected=service.workers_expected
        ),
        _("Compare effective.json in the trial's folder with the profile's knobs."),
    )


def check_swap(trial: Trial) -> Reason | None:
    """Part of the server was on disk: neither its speed nor its memory is what it seems."""
    memory = trial.memory
    if memory is None or (memory.swap_peak_bytes or 0) < at.SWAP_SUSPECT_BYTES:
        return None
    swap = memory.swap_peak_bytes or 0
    whole = swap + (memory.pss_peak_bytes or 0)
    return Reason(
        "swap",
        severity(invalid=swap > whole * at.SWAP_RATIO_INVALID),
        _("{swap} MiB of the server were swapped out.").format(swap=number(swap / 2**20)),
        _("Ask for fewer workers or threads, or take a larger host."),
    )


def check_memory_coverage(trial: Trial) -> Reason | None:
    """The peak of memory may lie where nobody looked."""
    memory = trial.memory
    if memory is None:
        return None
    coverage = 0.0 if memory.samples == 0 else memory.coverage_ratio
    if coverage is None or coverage >= at.COVERAGE_RATIO_SUSPECT:
        return None
    return Reason(
        "memory_coverage",
        "suspect",
        _("Memory was sampled during {share} of the load only.").format(share=percent(coverage)),
        _("Take longer trials (bench_load.duration_s) or sample more often (bench_timing)."),
    )


def check_impossible(trial: Trial) -> Reason | None:
    """Figures that no runner can have noted; nothing may be ranked by them."""
    wrk, rate, memory, cpu = trial.wrk, trial.rate, trial.memory, trial.cpu
    proxy = trial.proxy_figures
    counts: list[float | None] = []
    if memory is not None:
        counts += (
            memory.pss_idle_bytes,
            memory.pss_peak_bytes,
            memory.rss_peak_bytes,
            memory.cgroup_peak_bytes,
            memory.swap_peak_bytes,
            memory.samples,
        )
    if cpu is not None:
        counts += (cpu.server_s, cpu.loadgen_s, cpu.busy_s, cpu.runner_s)
        counts += (cpu.others or {}).values()
    if proxy is not None:
        counts += (proxy.cpu_s, proxy.pss_idle_bytes, proxy.pss_peak_bytes, proxy.rss_peak_bytes)
    if rate is not None:
        counts += (rate.achieved_rps, rate.requests, rate.answered, rate.late, rate.cpu_s)
        counts += (rate.errors.connect, rate.errors.broken, rate.errors.timeout, rate.errors.status)
    for step in () if trial.search is None else trial.search.steps:
        counts += (step.rate_rps, step.achieved_rps, step.requests, step.over)
    if any(count is not None and count < 0 for count in counts):
        wrong = _("a count, a time or memory below zero")
    elif wrk is not None and wrk.bytes < wrk.requests:
        wrong = _("answers without a byte")
    else:
        return None
    return Reason(
        "impossible_figures",
        "invalid",
        _("The trial has {wrong}, which cannot be.").format(wrong=wrong),
        _("Run serverbench verify: somebody changed trial.json, or the host's disk is failing."),
    )


BEFORE_LOAD: tuple[Callable[[Trial], Reason | None], ...] = (
    # A server that died of it is said to have run out of memory, which is why it died.
    check_out_of_memory,
    check_outcome,
    check_no_figures,
    check_impossible,
    check_restarts,
)
"""What explains bad figures of wrk, and so stands before them; the gravest first."""
AFTER_LOAD: tuple[Callable[[Trial], Reason | None], ...] = (
    check_clock,
    check_others,
    check_loadgen,
    check_steal,
    check_trend,
    check_swap,
    check_listen_queue,
    check_workers,
    check_runner,
    check_memory_coverage,
)


def _duration_s(trial: Trial) -> float:
    measured = trial.load.duration_s if trial.wrk is None else trial.wrk.duration_s
    return max(measured, 0.001)


def _share_of_host(trial: Trial, spent_s: float) -> float | None:
    cores = 0 if trial.cpu is None else trial.cpu.cores
    return spent_s / (_duration_s(trial) * cores) if cores > 0 else None
