"""What wrk's own figures tell, from a trial or from plain text.

The statements about wrk are read from the source of 4.1.0 (src/wrk.c, src/stats.c) and tried
against real servers in tests/corpus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.checks import little
from collect.checks import thresholds as at
from collect.checks.reasons import Reason, number, percent, severity
from collect.lang import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable

    from collect.checks.figures import Figures

_RISING = ("p50", "p75", "p90", "p99", "p99.9", N_("maximum"))


def check_failure(figures: Figures) -> Reason | None:
    """Wrk printed an error instead of figures."""
    if figures.failure is None:
        return None
    return Reason(
        "load_failed",
        "invalid",
        _("wrk made no load: {failure}.").format(failure=figures.failure.rstrip(".")),
        _("See whether the server listens at that address, and run again."),
    )


def check_no_throughput(figures: Figures) -> Reason | None:
    """A text that ends, or was cropped, before it says anything."""
    if figures.failure is not None or figures.rps is not None or figures.requests is not None:
        return None
    return Reason(
        "cut_off",
        "invalid",
        _("The text holds neither the number of requests nor the requests per second."),
        _("Take the whole output, down to Transfer/sec."),
    )


def check_no_requests(figures: Figures) -> Reason | None:
    """Nothing was answered; wrk prints neither an error nor a time-out for a server that hangs."""
    if figures.requests is None:
        answered = figures.rps is None or figures.rps > 0
    else:
        answered = figures.requests > 0
    if answered:
        return None
    return Reason(
        "no_requests",
        "invalid",
        _("Not one request was answered."),
        _("See whether the server hangs under load; its journal is in the trial's folder."),
    )


def check_connect(figures: Figures) -> Reason | None:
    """Connections that could not be opened (`connect_socket`); wrk never tries those again."""
    lost, opened = figures.connect_errors, figures.open_connections
    if not lost or not opened:
        return None
    return Reason(
        "connections_lost",
        severity(invalid=lost > opened * at.LOST_CONNECTIONS_INVALID),
        _(
            "{lost} times wrk could not open one of its {opened} connections, and gave it up."
        ).format(lost=f"{lost:,}", opened=f"{opened:,}"),
        _("See whether the host ran out of ports or file handles, or the server went away."),
    )


def check_refused(figures: Figures) -> Reason | None:
    """The port was closed under load: the server died or restarted.

    wrk takes a refusal for a failed write and reconnects at once, so a server that is gone gives
    thousands of write errors a second and not one connect error; a healthy one gives none.
    """
    write, opened = figures.write_errors, figures.open_connections
    if not write or not opened or write <= opened or write <= (figures.read_errors or 0):
        return None
    return Reason(
        "connections_refused",
        "invalid",
        _("New connections were refused under load ({write} write errors).").format(
            write=f"{write:,}"
        ),
        _("See in the server's log why it died or restarted."),
    )


def check_broken(figures: Figures) -> Reason | None:
    """Connections that broke without an answer, other than by closing after each one."""
    read, write, requests = figures.read_errors, figures.write_errors, figures.requests
    broken = (read or 0) + (write or 0)
    if not broken or not requests:
        return None
    if check_closed(figures) is not None or check_refused(figures) is not None:
        return None
    if broken <= requests * at.BROKEN_RATIO_SUSPECT:
        return None
    return Reason(
        "broken_connections",
        severity(invalid=broken > requests * at.CLOSED_RATIO_MAX),
        _("{broken} connections broke while {requests} requests were answered.").format(
            broken=f"{broken:,}", requests=f"{requests:,}"
        ),
        _("Look in the server's log for workers that die, are replaced or cut connections."),
    )


def check_status(figures: Figures) -> Reason | None:
    """Error answers; wrk counts them as requests like any other. Redirects do not count here."""
    if not figures.status_errors or not figures.requests:
        return None
    share = figures.status_errors / figures.requests
    return Reason(
        "error_status",
        severity(invalid=share > at.STATUS_RATIO_INVALID),
        _("{share} of the answers had an error status.").format(share=percent(min(share, 1))),
        _("Find the error in the server's journal; an error page is no answer."),
    )


def check_timeouts(figures: Figures) -> Reason | None:
    """Answers that came too late: counted as requests, left out of the latency.

    Never invalid by itself: req/s is right, and a server near its limit would keep only the blocks
    in which it was fast. `Trial.whole_latency_ms` makes up for what the latency lacks. wrk notices
    only when the answer comes (`response_complete`); a request that is never answered counts
    nowhere, and only Little's law shows it.
    """
    late = figures.timeouts
    if not late:
        return None
    if figures.timeout_s is None:
        seen = _(
            "{late} requests took longer than wrk's time-out; wrk left them out of its latency, "
            "which looks better than it was."
        )
    else:
        seen = _(
            "{late} requests took longer than {limit} s; wrk left them out of its latency, and a "
            "percentile of {limit} s stands for that or more."
        )
    return Reason(
        "timeouts",
        "suspect",
        seen.format(late=f"{late:,}", limit=f"{figures.timeout_s or 0:g}"),
        _("Raise the time-out (bench_load.timeout_s, wrk --timeout) or lower the connections."),
    )


def check_impossible(figures: Figures) -> Reason | None:
    """Figures that no run of wrk can give: somebody mistyped, or mixed two outputs."""
    latency, requests = figures.latency_ms, figures.requests
    rising = latency.p50, latency.p75, latency.p90, latency.p99, latency.p999, latency.max
    wrong = []
    low: float | None = None
    low_name = ""
    for name, value in zip(_RISING, rising):  # noqa: B905 - a value a name; 3.10 reads both
        if value is None:
            continue
        if low is not None and low > value * (1 + at.ORDER_TOLERANCE):
            wrong.append(_above(low_name, name))
        low, low_name = value, name
    mean, highest = latency.mean, latency.max
    if mean is not None and highest is not None and mean > highest * (1 + at.ORDER_TOLERANCE):
        wrong.append(_above(N_("mean"), N_("maximum")))
    if figures.duration_s is not None and figures.duration_s <= 0:
        # Any rate would do: nothing else could tell that it is wrong.
        wrong.append(_("its load took no time"))
    errors = figures.read_errors, figures.write_errors, figures.connect_errors
    counts = (requests, figures.status_errors, figures.timeouts, *errors)
    if any(count is not None and count < 0 for count in counts):
        wrong.append(_("it counts fewer than none"))
    if requests is not None:
        if (figures.status_errors or 0) > requests:
            wrong.append(_("it has more error answers than answers"))
        if (figures.timeouts or 0) > requests:
            wrong.append(_("it has more time-outs than answers"))
    if not wrong:
        return None
    return Reason(
        "impossible_figures",
        "invalid",
        _("No run of wrk gives these figures: {wrong}.").format(wrong=wrong[0]),
        _("Take the output as wrk printed it, one run at a time."),
    )


def check_rate(figures: Figures) -> Reason | None:
    """Requests / duration against the stated req/s, which wrk computes from those very figures."""
    requests, duration_s, rps = figures.requests, figures.duration_s, figures.rps
    if requests is None or rps is None or not duration_s:
        return None
    expected = requests / duration_s
    if abs(rps - expected) <= expected * at.RATE_TOLERANCE + at.RATE_ROUNDING_RPS:
        return None
    return Reason(
        "rate_mismatch",
        "invalid",
        _(
            "{requests} requests in {duration_s} s are {expected} req/s, but {stated} are stated."
        ).format(
            requests=f"{requests:,}",
            duration_s=f"{duration_s:g}",
            expected=number(expected),
            stated=number(rps),
        ),
        _("Take the output as wrk printed it, one run at a time."),
    )


def check_closed(figures: Figures) -> Reason | None:
    """One read error an answer: the server closes unannounced, and each request has to connect."""
    if not figures.read_errors or not figures.requests:
        return None
    share = figures.read_errors / figures.requests
    if not at.CLOSED_RATIO < share <= at.CLOSED_RATIO_MAX:
        return None
    return Reason(
        "closed_connections",
        "suspect",
        _("The server closed its connection after {share} of the answers.").format(
            share=percent(min(share, 1))
        ),
        _("Switch keep-alive on (keepalive_s), or compare only with servers that close as well."),
    )


def check_duration(figures: Figures) -> Reason | None:
    """Stopped by hand, or held up by the host."""
    if figures.asked_s is None or figures.duration_s is None:
        return None
    slack_s = figures.asked_s * at.DURATION_TOLERANCE + at.DURATION_SLACK_S
    if abs(figures.duration_s - figures.asked_s) <= slack_s:
        return None
    return Reason(
        "duration_off",
        "suspect",
        _("wrk ran for {duration_s} s where {asked_s} s were asked for.").format(
            duration_s=number(figures.duration_s), asked_s=f"{figures.asked_s:g}"
        ),
        _("Let wrk run to its end, on a host that is not overloaded and whose clock stays."),
    )


def check_missing(figures: Figures) -> Reason | None:
    """Lines that a text ought to hold."""
    if not figures.missing or figures.failure or check_no_throughput(figures) is not None:
        return None
    return Reason(
        "missing_figures",
        "suspect",
        _("The text does not give {figures}, so not every check could be made.").format(
            figures=_join(figures.missing)
        ),
        _("Take the whole output, from `Running … test @ …` down to Transfer/sec."),
    )


CHECKS: tuple[Callable[[Figures], Reason | None], ...] = (
    check_failure,
    check_no_throughput,
    check_no_requests,
    check_connect,
    check_refused,
    check_status,
    check_timeouts,
    check_impossible,
    check_rate,
    check_broken,
    little.check_little,
    little.check_no_latency,
    check_closed,
    little.check_stalls,
    check_duration,
    check_missing,
)
"""The gravest first."""


def _above(low: str, high: str) -> str:
    return _("its {low} latency is above its {high}").format(low=_(low), high=_(high))


def _join(names: tuple[str, ...]) -> str:
    # What a text may lack is named by the parser, and translated here.
    own = [_(name) for name in names]
    if len(own) == 1:
        return own[0]
    return _("{names} and {last}").format(names=_(", ").join(own[:-1]), last=own[-1])
