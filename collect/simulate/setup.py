"""What to simulate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.errors import DataError

if TYPE_CHECKING:
    from collect.model import Order

GREATEST_GAP = 0.4
"""Above it the second group of servers would reach the first."""
_LONGEST_S = 10**9
_MOST_SWITCHES = 100
"""In one trial: with more of them nothing is left of the throttle but its mean."""
_MOST_BLOCKS = 999


@dataclass(frozen=True, slots=True)
class Setup:
    """What to simulate; shares are relative, times in seconds."""

    runs: int = 400
    blocks: int = 10
    order: Order = "interleaved"
    noise: float = 0.05
    """Standard deviation of the host's log speed."""
    throttle: float = 0.6
    """Speed while throttled; 1 never throttles."""
    dwell_s: float = 3600.0
    """Mean time in either state."""
    trial_s: float = 45.0
    """From the start of one trial to the start of the next."""
    gap: float = 0.10
    """By how much the slower of two neighbours is slower, and the gap that ends a run early."""
    seed: int = 1
    drift: float = 0.0
    """Change of the log speed in an hour."""
    stopping: bool = False
    min_blocks: int = 5
    """With `stopping`: blocks before the first look."""


def check_setup(setup: Setup) -> None:
    """Raise a `DataError` that names the first option out of its range."""
    for option, is_right, accepted in (
        ("--runs", setup.runs >= 1, "a whole number from 1"),
        ("--blocks", 1 <= setup.blocks <= _MOST_BLOCKS, f"1 to {_MOST_BLOCKS}"),
        ("--min-blocks", setup.min_blocks >= 1, "a whole number from 1"),
        ("--seed", setup.seed >= 0, "a whole number from 0"),
        ("--noise", 0 <= setup.noise <= 1, "0 to 1"),
        ("--throttle", 0 < setup.throttle <= 1, "above 0, up to 1"),
        ("--trial-s", 1 <= setup.trial_s <= _LONGEST_S, f"1 to {_LONGEST_S} seconds"),
        (
            "--dwell-s",
            setup.trial_s / _MOST_SWITCHES <= setup.dwell_s <= _LONGEST_S,
            f"seconds, from a hundredth of --trial-s to {_LONGEST_S}",
        ),
        ("--gap", 0 < setup.gap <= GREATEST_GAP, f"above 0, up to {GREATEST_GAP}"),
        ("--drift", abs(setup.drift) <= 1, "-1 to 1"),
    ):
        if not is_right:
            value = getattr(setup, option[2:].replace("-", "_"))
            raise DataError(f"{option}: got {value}; accepted: {accepted}")
