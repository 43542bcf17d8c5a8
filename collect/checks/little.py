"""Little's law: connections = req/s x mean latency, for a load generator that never pauses.

The statements about wrk are read from the source of 4.1.0 (src/wrk.c, src/stats.c) and tried
against real servers in tests/corpus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.checks import thresholds as at
from collect.checks.reasons import Reason, number, severity
from collect.lang import _

if TYPE_CHECKING:
    from collect.checks.figures import Figures


def check_little(figures: Figures) -> Reason | None:
    """Little's law upwards: connections wait in no latency (starvation, samples dropped).

    When wrk stops, a request may be under way on each connection. It counts nowhere, which weighs
    in a short trial of a slow server and proves nothing: it gets the benefit.
    """
    ratio = figures.little_ratio
    if ratio is None or not figures.open_connections or figures.requests == 0:
        return None
    under_way = figures.open_connections / figures.requests if figures.requests else 0.0
    excess = ratio / (1 + under_way)
    if excess <= at.LITTLE_SUSPECT:
        return None
    return Reason(
        "little",
        severity(invalid=excess > at.LITTLE_INVALID),
        _(
            "{connections} connections at {rate} req/s ought to wait {ratio} times as long as the "
            "latency measured."
        ).format(
            connections=f"{figures.open_connections:,}",
            rate=number(figures.rps or 0),
            ratio=number(ratio),
        ),
        _("See whether the server serves all connections at once: some starve, or time out."),
    )


def check_stalls(figures: Figures) -> Reason | None:
    """Little's law downwards: wrk has raised its own latency, since requests stalled.

    Before it prints, wrk corrects its histogram for coordinated omission: with an expected interval
    of connections / rps, each sample x of at least twice that adds samples at x - interval,
    x - 2 interval, … (`stats_correct`, called by `main`). Mean and percentiles then describe a
    client that never waits. 16 connections to a server of 1 ms that stops for 0.5 s once a second:
    1050 req/s, hence a mean of 15 ms, and 62 ms printed (ratio 0.25). So a low ratio is not a
    contradiction. It tells of a long tail; on a host that shares its CPUs, often of the host's own.
    """
    ratio = figures.little_ratio
    if ratio is None or not 0 < ratio < at.STALLS_SUSPECT:
        return None
    return Reason(
        "long_stalls",
        "suspect",
        _(
            "Some requests stalled: wrk corrects for that, and states a mean latency {ratio} times "
            "as long as the requests took."
        ).format(ratio=number(1 / ratio)),
        _("Look at p99 and the maximum instead of the mean; take longer trials on a quieter host."),
    )


def check_no_latency(figures: Figures) -> Reason | None:
    """There were answers, and each was later than the time-out."""
    if not figures.latency_is_empty or not figures.requests:
        return None
    return Reason(
        "no_latency",
        "suspect",
        _("wrk measured no latency, so its figures cannot be checked against each other."),
        _(
            "Raise the time-out (bench_load.timeout_s, wrk --timeout): wrk drops each sample "
            "above it."
        ),
    )
