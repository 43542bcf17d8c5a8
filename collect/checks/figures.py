"""The common view of wrk's figures: a trial and a plain text both turn into it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.model import Latency

if TYPE_CHECKING:
    from collect.model import Trial

NO_LATENCY = Latency(None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Figures:
    """One output of wrk. None is unknown: a text may have been cut off or cropped."""

    connections: int | None = None
    threads: int | None = None
    asked_s: float | None = None
    """The duration asked for (`-d`); None where wrk's rounding of it hides the true one."""
    timeout_s: float | None = None
    """Answers later than this are left out of the latency; 2 s of wrk's own accord."""
    requests: int | None = None
    duration_s: float | None = None
    rps: float | None = None
    latency_ms: Latency = NO_LATENCY
    latency_is_empty: bool = False
    """wrk printed its latency, and there was not one sample in it."""
    connect_errors: int | None = None
    read_errors: int | None = None
    write_errors: int | None = None
    timeouts: int | None = None
    status_errors: int | None = None
    """Answers with a status above 399."""
    paced: bool = False
    """The rate was set from outside (wrk2's `-R`): connections idle, and Little's law is silent."""
    failure: str | None = None
    """What wrk printed instead of figures."""
    missing: tuple[str, ...] = ()
    """Figures that the text ought to hold and does not; always empty for a trial."""

    @property
    def open_connections(self) -> int | None:
        """Connections that wrk really opens: each thread takes `connections / threads`, cut off.

        Source: `main` in wrk.c; `-t4 -c10` opens 8.
        """
        if self.connections is None or not self.threads:
            return self.connections
        return self.connections // self.threads * self.threads

    @property
    def little_ratio(self) -> float | None:
        """See `little_ratio`; None where it says nothing."""
        if self.paced or self.open_connections is None:
            return None
        return little_ratio(self.open_connections, self.rps, self.latency_ms.mean)


def trial_figures(trial: Trial) -> Figures | None:
    """Return the view of a trial; None where wrk left no figures."""
    wrk = trial.wrk
    if wrk is None:
        return None
    return Figures(
        connections=trial.load.connections,
        threads=trial.load.threads,
        asked_s=trial.load.duration_s,
        timeout_s=trial.load.timeout_s,
        requests=wrk.requests,
        duration_s=wrk.duration_s,
        rps=wrk.rps,
        latency_ms=wrk.latency_ms,
        latency_is_empty=wrk.latency_ms.mean is None,
        connect_errors=wrk.errors.connect,
        read_errors=wrk.errors.read,
        write_errors=wrk.errors.write,
        timeouts=wrk.errors.timeout,
        status_errors=wrk.errors.status,
    )


def little_ratio(connections: int, rps: float | None, mean_ms: float | None) -> float | None:
    """Return connections / rps over mean latency: 1 for a healthy run, None where unknown.

    Little's law: as many requests are under way as there are connections, so each takes
    connections / rps on average. Above 1, connections wait without being measured (starvation,
    samples dropped at the time-out). Below 1, wrk's correction has raised the mean: stalls.
    """
    if rps is None or mean_ms is None or not rps > 0 or not mean_ms / 1000 > 0:
        return None
    ratio = connections / rps / (mean_ms / 1000)
    return ratio if math.isfinite(ratio) else None
