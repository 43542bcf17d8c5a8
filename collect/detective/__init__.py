"""Was the host throttled? Say of each stretch of a run what happened, and of hours which is fast.

Pure and offline: everything comes from the trials that were pulled. The parts:

`course`     the trials in the order of time
`noise`      what a host's speed does without any reason
`search`     what stands out from that: change points and slopes
`stretches`  the common ones: a slow host, a burst, a bucket of credit
`alone`      what befell one server, or the load generator
`inside`     when the speed changed inside a trial
`hours`      times of day, and whether the servers keep their order
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from collect.detective.alone import find_decays, find_loadgen
from collect.detective.course import Course, take_course
from collect.detective.finding import Bucket, Confidence, Estimate, Finding, Kind, Signs
from collect.detective.hours import Hours, OrderPair, TimeOfDay, compare_hours, slots_of, zone_of
from collect.detective.inside import throughput_of
from collect.detective.search import search
from collect.detective.stretches import SMALLEST_FALL, find_stretches, usual_level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from collect.checks import Verdict
    from collect.detective.inside import Rates
    from collect.detective.search import Found
    from collect.model import Plan, Trial

__all__ = [
    "Bucket",
    "Confidence",
    "Estimate",
    "Finding",
    "Hours",
    "Kind",
    "Moment",
    "OrderPair",
    "Signs",
    "Steadiness",
    "TimeOfDay",
    "investigate",
    "throughput_of",
]

LEAST_TRIALS = 6
"""Fewer tell nothing of when."""
_LEAST_BLOCKS = 2


@dataclass(frozen=True, slots=True)
class Moment:
    """The speed during one trial."""

    trial_id: str
    variant: str
    starts_s: float
    ends_s: float
    speed: float
    """Over the usual speed of this variant on this endpoint."""
    common: float
    """What all variants shared of it, by the findings."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What is known of the host's speed along a run."""

    findings: tuple[Finding, ...] = ()
    """By time."""
    hours: Hours | None = None
    """None where the run knows one time of day only."""
    trials: int = 0
    blocks: int = 0
    seen_fall: float | None = None
    """The smallest share by which the host could have slowed down for a third of the run without
    more than one chance in twenty to go unseen; None where no fall would have been seen."""
    seen_decay: float | None = None
    """The same of one server alone, from its first trial to its last."""
    wandering: float | None = None
    """By how much the host's speed wandered for no reason that was found: a relative standard
    deviation."""
    moments: tuple[Moment, ...] = ()
    zone: str = "UTC"
    """In which hours are told."""
    blind: Literal["few", "clock", "order"] | None = None
    """Why nobody can say of the host: too few trials, trials that by their times ran into each
    other, or one variant after the other, so that a slow hour looks like a slow server."""

    @property
    def matters(self) -> tuple[Finding, ...]:
        """The findings that a reader must know of before the ranking."""
        return tuple(finding for finding in self.findings if finding.confidence != "maybe")


def investigate(
    plan: Plan,
    judged: Sequence[tuple[Trial, Verdict]],
    *,
    zone: str | None = None,
    rates: Callable[[Trial], Rates] = lambda _trial: (),
) -> Steadiness:
    """Say what happened.

    Args:
        plan: the host's plan.
        judged: its trials with their verdicts; invalid ones count only against the load generator.
        zone: the host's time zone by its IANA name; UTC where it is None or unknown.
        rates: the throughput inside a trial, for the few at the edges of what was found.
    """
    known = zone_of(zone)
    limited = find_loadgen(judged)
    own = () if limited is None else (limited,)
    course = take_course(plan, judged)
    blocks = len({trial.block for trial in course.trials})
    if len(course) < LEAST_TRIALS or blocks < _LEAST_BLOCKS or course.overlaps:
        why: Literal["few", "clock"] = "clock" if course.overlaps else "few"
        return Steadiness(own, trials=len(course), blocks=blocks, zone=known[1], blind=why)
    found = search(course, _levels(plan, course, known[0]), decays=plan.order == "interleaved")
    findings = (*own, *find_stretches(course, found, rates), *find_decays(course, found))
    return Steadiness(
        findings=tuple(sorted(findings, key=lambda finding: finding.starts_s)),
        hours=compare_hours(plan, judged, course, found.residual, known),
        trials=len(course),
        blocks=blocks,
        seen_fall=_share(found.smallest),
        seen_decay=_share(found.smallest_decay),
        wandering=found.wandering,
        moments=_moments(course, found),
        zone=known[1],
        blind=None if _share(found.smallest) is not None else "order",
    )


def _levels(plan: Plan, course: Course, zone: tzinfo) -> list[int]:
    """Return which sessions share a level: those of one time of day, where each has two or more.

    What the hour explains is no finding; `hours` tells of it.
    """
    slots = slots_of(plan, course, zone)
    is_repeated = all(slots.count(slot) > 1 for slot in slots)
    return slots if is_repeated else [0] * len(slots)


def _share(log: float) -> float | None:
    return -math.expm1(-max(log, -SMALLEST_FALL)) if log < _MOST_LOG else None


def _moments(course: Course, found: Found) -> tuple[Moment, ...]:
    level = sum(
        (feature.effect * feature.column(course) for feature in found.common),
        np.zeros(len(course)),
    )
    usual = usual_level(level)
    return tuple(
        Moment(
            trial.trial_id,
            trial.variant,
            start_s,
            end_s,
            math.exp(rest - usual),
            math.exp(own - usual),
        )
        for trial, start_s, end_s, rest, own in zip(
            course.trials,
            course.start_s.tolist(),
            course.end_s.tolist(),
            found.residual.tolist(),
            level.tolist(),
            strict=True,
        )
    )


_MOST_LOG = 3.0
"""A fall to a twentieth: whoever could have seen only that could have seen nothing."""
