"""The words of the detective: what can have happened to a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collect.stats import Interval

Kind = Literal[
    "host_slow",  # the host lost speed: all variants fell together
    "credit",  # a bucket of CPU credit ran dry: fast at first, then as fast as it refills
    "burst",  # a short common fall that came back
    "decay",  # one server alone got slower along the run
    "loadgen",  # wrk was the limit, not the servers
]
Confidence = Literal["sure", "likely", "maybe"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the 95 % interval that it lies in."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Signs:
    """What the host's own counters showed meanwhile, and otherwise; None where nobody knows."""

    steal: float | None = None
    """Share of the CPU time that other guests got; the mean over trials."""
    steal_else: float | None = None
    canary: float | None = None
    """Time of the fixed piece of work over the time that it took otherwise; medians."""
    pressure: float | None = None
    """Share of the time in which some process waited for a processor; the mean over trials."""
    pressure_else: float | None = None

    @property
    def steal_shows(self) -> bool:
        """Tell whether steal gives it away."""
        return _rises(self.steal, self.steal_else, _STEAL_RISE)

    @property
    def pressure_shows(self) -> bool:
        """Tell whether CPU pressure does."""
        return _rises(self.pressure, self.pressure_else, _PRESSURE_RISE)

    @property
    def canary_shows(self) -> bool:
        """Tell whether the canary does."""
        return self.canary is not None and self.canary >= _CANARY_RISE

    @property
    def shows(self) -> bool:
        """Tell whether any of them does."""
        return self.steal_shows or self.pressure_shows or self.canary_shows

    @property
    def is_known(self) -> bool:
        """Tell whether any of them was measured on both sides."""
        pairs = ((self.steal, self.steal_else), (self.pressure, self.pressure_else))
        return self.canary is not None or any(None not in pair for pair in pairs)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of CPU credit, as a provider deals it out."""

    size_core_s: Estimate
    """What it held above the refill when the load began."""
    refill_cores: Estimate
    cores: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that happened, from when to when."""

    kind: Kind
    starts_s: float
    """Since the epoch, as `ends_s`."""
    ends_s: float
    confidence: Confidence
    trials: int
    """How many trials lie in it, or show it."""
    ratio: Interval | None = None
    """Speed meanwhile over the speed otherwise; a decaying server's at the end over the begin."""
    variants: tuple[str, ...] = ()
    """Who it befell; empty: all."""
    sessions: int = 1
    """In how many sessions, with a pause before each, it was seen: a credit only."""
    per_hour: float | None = None
    """A decaying server's speed after an hour over its speed before; None in a run that is shorter,
    since nobody saw what comes after."""
    memory_ratio: float | None = None
    """Its peak memory at the end over that at the begin, where it grew too."""
    signs: Signs = Signs()
    bucket: Bucket | None = None


_STEAL_RISE = 0.03
"""Steal of 0 to 1 % is usual; three more percent are not."""
_PRESSURE_RISE = 0.15
_CANARY_RISE = 1.3
"""Single canaries vary by 10 to 35 %; a median of several varies less."""


def _rises(inside: float | None, outside: float | None, by: float) -> bool:
    return inside is not None and outside is not None and inside - outside >= by
