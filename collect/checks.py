"""Say whether a trial can be believed: `valid`, `suspect` or `invalid`, and why.

Each check looks at one thing and gives at most one reason. A figure that is unknown raises no
alarm; a trial without any figures does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from collect.model import Trial

VerdictStatus = Literal["valid", "suspect", "invalid"]
Severity = Literal["suspect", "invalid"]

# Thresholds, all in one place. "Invalid" is kept for figures that mean something else than they
# say; "suspect" figures are real, and the reader must know what stands behind them.

STATUS_RATIO_INVALID = 0.01
"""Answers with status above 399. Error pages are cheap: one in a hundred already flatters."""
TIMEOUT_RATIO_INVALID = 0.05
"""wrk leaves timed-out requests out of its latency; above one in twenty its p95 is gone."""
LITTLE_SUSPECT = 1.25
LITTLE_INVALID = 2.0
"""Connections / (req/s) against mean latency: healthy runs give 0.98-1.02, starving ones 20-84.
Both bounds hold upwards and, as 1/bound, downwards."""
CLOSED_RATIO_SUSPECT = 0.5
"""Read errors per answer: a server that closes each connection gives 1.0, healthy ones 0."""
COVERAGE_RATIO_SUSPECT = 0.8
"""Share of the load during which memory was sampled: a peak may hide in the rest."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a trial is not simply valid."""

    code: str
    severity: Severity
    seen: str
    """One sentence: what was seen."""
    remedy: str
    """One sentence: what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be concluded from one trial."""

    status: VerdictStatus
    reasons: tuple[Reason, ...]


def verdict(trial: Trial) -> Verdict:
    """Judge one trial; the worst reason decides."""
    reasons = tuple(reason for check in CHECKS if (reason := check(trial)) is not None)
    if any(reason.severity == "invalid" for reason in reasons):
        return Verdict("invalid", reasons)
    return Verdict("suspect" if reasons else "valid", reasons)


def little_ratio(connections: int, rps: float | None, mean_ms: float | None) -> float | None:
    """Return connections / rps over mean latency: 1 for a healthy run, None where unknown.

    Above 1, connections wait without being measured (starvation, lost samples); below 1, the stated
    rate and the stated latency cannot both be true.
    """
    if rps is None or mean_ms is None or not rps > 0 or not mean_ms > 0:
        return None
    return connections / rps / (mean_ms / 1000)


_OUTCOME_REMEDIES = {
    "start_failed": "Read the journal in the trial's folder, mend the cause and run again.",
    "not_ready": "Read the journal in the trial's folder, or raise bench_timing.ready_timeout_s.",
    "wrong_answer_before": "Compare the endpoint's `expect` with what the app really answers.",
    "load_failed": "Read wrk.txt in the trial's folder; wrk could not do its work.",
    "server_died": "Read the journal in the trial's folder; look for memory running out.",
    "wrong_answer_after": "Read the journal in the trial's folder; load broke the app.",
}


def _outcome(trial: Trial) -> Reason | None:
    status = trial.outcome.status
    if status == "ok":
        return None
    detail = trial.outcome.reason or "the runner gave no reason"
    seen = f"{status.replace('_', ' ')}: {detail.rstrip('.')}."
    return Reason(status, "invalid", seen, _OUTCOME_REMEDIES[status])


def _no_figures(trial: Trial) -> Reason | None:
    if trial.outcome.status != "ok" or trial.wrk is not None:
        return None
    return Reason(
        "no_figures", "invalid", "wrk left no figures.", "Read wrk.txt in the trial's folder."
    )


def _no_requests(trial: Trial) -> Reason | None:
    if trial.wrk is None or trial.wrk.requests > 0:
        return None
    return Reason(
        "no_requests",
        "invalid",
        "Not one request was answered.",
        "See whether the server hangs under load; its journal is in the trial's folder.",
    )


def _status(trial: Trial) -> Reason | None:
    if trial.wrk is None or trial.wrk.requests <= 0 or trial.wrk.errors.status <= 0:
        return None
    share = trial.wrk.errors.status / trial.wrk.requests
    return Reason(
        "error_status",
        "invalid" if share > STATUS_RATIO_INVALID else "suspect",
        f"{_percent(share)} of the answers had an error status.",
        "Find the error in the server's journal; an error page is no answer.",
    )


def _timeouts(trial: Trial) -> Reason | None:
    if trial.wrk is None or trial.wrk.errors.timeout <= 0:
        return None
    share = trial.wrk.errors.timeout / max(trial.wrk.requests, trial.wrk.errors.timeout)
    return Reason(
        "timeouts",
        "invalid" if share > TIMEOUT_RATIO_INVALID else "suspect",
        f"{trial.wrk.errors.timeout:,} requests took longer than {trial.load.timeout_s:g} s; "
        "wrk left them out of its latency.",
        "Raise bench_load.timeout_s or lower bench_load.connections.",
    )


def _little(trial: Trial) -> Reason | None:
    if trial.wrk is None or trial.wrk.requests <= 0:
        return None
    mean_ms = trial.wrk.latency_ms.mean
    connections = trial.load.connections
    ratio = little_ratio(connections, trial.wrk.rps, mean_ms)
    if ratio is None:
        return Reason(
            "no_latency",
            "suspect",
            "wrk measured no latency, so its figures cannot be checked against each other.",
            "Raise bench_load.timeout_s: wrk drops each sample above it.",
        )
    if ratio > 1:
        # When wrk stops, a request may be under way on each connection. It counts nowhere, which
        # weighs in a short trial of a slow server and proves nothing: give it the benefit.
        under_way = connections / trial.wrk.requests
        off = max(1.0, ratio / (1 + under_way))
        seen = (
            f"{connections} connections at {trial.wrk.rps:,.0f} req/s ought to wait {ratio:.3g} "
            "times as long as the latency measured."
        )
        remedy = "See whether the server serves all connections at once: some starve, or time out."
    else:
        off = 1 / ratio
        seen = (
            f"The mean latency is {off:.3g} times what {connections} connections at "
            f"{trial.wrk.rps:,.0f} req/s allow."
        )
        remedy = "Do not trust either figure; look at wrk.txt and at the clock of the host."
    if off <= LITTLE_SUSPECT:
        return None
    return Reason("little", "invalid" if off > LITTLE_INVALID else "suspect", seen, remedy)


def _closed(trial: Trial) -> Reason | None:
    if trial.wrk is None or trial.wrk.requests <= 0:
        return None
    share = trial.wrk.errors.read / trial.wrk.requests
    if share <= CLOSED_RATIO_SUSPECT:
        return None
    return Reason(
        "closed_connections",
        "suspect",
        f"The server closed its connection after {_percent(min(share, 1))} of the answers.",
        "Switch keep-alive on (keepalive_s), or compare only with servers that close as well.",
    )


def _workers(trial: Trial) -> Reason | None:
    service = trial.service
    if service is None or service.workers_seen in {None, service.workers_expected}:
        return None
    return Reason(
        "workers",
        "suspect",
        f"{service.workers_seen} workers ran where {service.workers_expected} were asked for.",
        "Compare effective.json in the trial's folder with the profile's knobs.",
    )


def _restarts(trial: Trial) -> Reason | None:
    if trial.service is None or not trial.service.restarts:
        return None
    return Reason(
        "restarted",
        "invalid",
        f"The server restarted under load (restarts: {trial.service.restarts}).",
        "Read the journal in the trial's folder.",
    )


def _out_of_memory(trial: Trial) -> Reason | None:
    if trial.service is None or not trial.service.oom_kills:
        return None
    return Reason(
        "out_of_memory",
        "invalid",
        f"The kernel killed processes for lack of memory (kills: {trial.service.oom_kills}).",
        "Ask for fewer workers or threads, or take a larger host.",
    )


def _listen_queue(trial: Trial) -> Reason | None:
    if trial.host_state is None or not trial.host_state.listen_overflows:
        return None
    return Reason(
        "listen_overflows",
        "suspect",
        f"The listen queue overflowed {trial.host_state.listen_overflows:,} times; clients tried "
        "again after a second or more.",
        "Raise the backlog knob above bench_load.connections.",
    )


def _memory_coverage(trial: Trial) -> Reason | None:
    memory = trial.memory
    if memory is None or memory.coverage_ratio is None:
        return None
    if memory.coverage_ratio >= COVERAGE_RATIO_SUSPECT:
        return None
    return Reason(
        "memory_coverage",
        "suspect",
        f"Memory was sampled during {_percent(memory.coverage_ratio)} of the load only.",
        "Take longer trials (bench_load.duration_s) or sample more often (bench_timing).",
    )


CHECKS: tuple[Callable[[Trial], Reason | None], ...] = (
    _outcome,
    _no_figures,
    _no_requests,
    _out_of_memory,
    _restarts,
    _status,
    _timeouts,
    _little,
    _closed,
    _listen_queue,
    _workers,
    _memory_coverage,
)
"""Every check, the gravest first: where only one reason can be shown, it is the first."""


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
