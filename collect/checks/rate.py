"""What the figures of a leg at a fixed rate tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.checks import thresholds as at
from collect.checks.reasons import Reason, number, percent, severity
from collect.lang import _

if TYPE_CHECKING:
    from collections.abc import Callable

    from collect.model import RateFigures


def is_missed(figures: RateFigures) -> bool:
    """Tell whether the server fell behind: a queue grew, and latency with it, for as long as asked.

    A handful of requests may be under way at the end and not at the beginning: that is no queue.
    """
    behind = (figures.rate_rps - figures.achieved_rps) * figures.duration_s
    share = figures.achieved_rps / figures.rate_rps
    return share < at.RATE_KEPT and behind > at.RATE_SLACK_REQUESTS


def check_missed(figures: RateFigures) -> Reason | None:
    """The variant cannot carry that rate: what it was late by grows with the leg's duration."""
    if not is_missed(figures):
        return None
    return Reason(
        "rate_missed",
        "suspect",
        _(
            "{achieved} of {asked} req/s were answered rightly: this variant cannot carry that "
            "rate, and its latency grows for as long as it is asked to."
        ).format(achieved=number(figures.achieved_rps), asked=number(figures.rate_rps)),
        _("Take no latency from this leg; ask for a lower rate (bench_rates)."),
    )


def check_unanswered(figures: RateFigures) -> Reason | None:
    """Requests without a right answer, other than by the queue of a rate that was missed."""
    lost = figures.requests - figures.answered
    if lost <= 0 or not figures.requests or check_missed(figures) is not None:
        return None
    errors = figures.errors
    return Reason(
        "unanswered",
        severity(invalid=lost > figures.requests * at.STATUS_RATIO_INVALID),
        _(
            "{share} of the requests brought no right answer (not connected {connect}, broken off "
            "{broken}, timed out {timeout}, wrong status {status})."
        ).format(
            share=percent(lost / figures.requests),
            connect=errors.connect,
            broken=errors.broken,
            timeout=errors.timeout,
            status=errors.status,
        ),
        _("Look in the server's journal; in the percentiles they count as later than all others."),
    )


def check_generator(figures: RateFigures) -> Reason | None:
    """The generator itself was late: its requests came in a burst, and latency is too high."""
    own_ms = figures.own_lag_p99_ms
    if own_ms is None or own_ms <= at.OWN_LAG_SUSPECT_MS:
        return None
    return Reason(
        "generator_late",
        "suspect",
        _(
            "The generator sent 1 % of its requests more than {own_ms} ms after they were due, "
            "though a connection was free: the host has no time left for it."
        ).format(own_ms=number(own_ms)),
        _("Ask for a lower rate, or take a host with more cores; latency here is that much high."),
    )


CHECKS: tuple[Callable[[RateFigures], Reason | None], ...] = (
    check_missed,
    check_unanswered,
    check_generator,
)
