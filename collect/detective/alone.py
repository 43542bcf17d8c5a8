"""What befell single servers, or the load generator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from collect.detective.course import span_of
from collect.detective.finding import Confidence, Finding
from collect.detective.search import cost
from collect.detective.stretches import SMALLEST_FALL
from collect.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collect.checks import Verdict
    from collect.detective.course import Course
    from collect.detective.noise import Bools
    from collect.detective.search import Feature, Found
    from collect.model import Trial

_Z = 1.96
_SMALLEST_GROWTH = 1.1
_LIMITED_SHARE = 0.25
"""Of a variant's trials on an endpoint; a single busy trial has its own verdict already."""
LOADGEN = "loadgen_busy"


def find_decays(course: Course, found: Found) -> tuple[Finding, ...]:
    """Say which servers got slower along the run, the others not."""
    return tuple(
        _decay(course, feature)
        for feature in found.features
        if feature.kind == "decay" and feature.effect <= SMALLEST_FALL
    )


def _decay(course: Course, feature: Feature) -> Finding:
    low, ratio, high = (math.exp(feature.effect + z * feature.error) for z in (-_Z, 0.0, _Z))
    moments = course.middle_s
    hours = float(moments[-1] - moments[0]) / 3600
    own = course.variant == feature.variant
    needed = cost("decay", len(course), len(course.names))
    confidence: Confidence = "likely" if feature.gain < 2 * needed else "sure"
    return Finding(
        kind="decay",
        starts_s=float(course.start_s[own].min()),
        ends_s=float(course.end_s[own].max()),
        confidence=confidence,
        trials=int(own.sum()),
        ratio=Interval(ratio, low, high),
        variants=(course.names[feature.variant],),
        per_hour=math.exp(feature.effect / hours) if hours >= 1 else None,
        memory_ratio=_growth(course, own),
    )


def _growth(course: Course, own: Bools) -> float | None:
    """Return by how much peak memory grew from the first trial to the last; None where it did not.

    Slope by least squares on the logarithm, each endpoint with its own level; it counts from three
    standard errors on.
    """
    known = [
        (float(course.middle_s[place]), int(course.cell[place]), math.log(peak))
        for place in np.flatnonzero(own)
        if (peak := course.trials[place].whole_pss_peak_bytes)
    ]
    if len(known) < 3:  # noqa: PLR2004 - a line through two points fits always
        return None
    moments, cells, logs = (np.array(column) for column in zip(*known, strict=True))
    levels = (cells[:, None] == np.unique(cells)[None, :]).astype(float)
    freedom = len(known) - levels.shape[1] - 1
    if freedom < 1:
        return None
    ageing = (moments - moments[0]) / (float(np.ptp(moments)) or 1.0)
    design = np.column_stack([levels, ageing])
    effects, *_ = np.linalg.lstsq(design, logs, rcond=None)
    rest = logs - design @ effects
    inverse = np.linalg.pinv(design.T @ design)
    error = math.sqrt(float(rest @ rest) / freedom * float(inverse[-1, -1]))
    grown = math.exp(float(effects[-1]))
    return grown if grown >= _SMALLEST_GROWTH and effects[-1] > 3 * error else None


def find_loadgen(judged: Iterable[tuple[Trial, Verdict]]) -> Finding | None:
    """Say whether wrk was the limit for some variants; None where it was not."""
    total: dict[tuple[str, str], int] = {}
    busy: dict[tuple[str, str], list[Trial]] = {}
    for trial, verdict in judged:
        cell = trial.variant, trial.endpoint
        total[cell] = total.get(cell, 0) + 1
        if any(reason.code == LOADGEN for reason in verdict.reasons):
            busy.setdefault(cell, []).append(trial)
    limited = {cell: own for cell, own in busy.items() if len(own) >= _LIMITED_SHARE * total[cell]}
    trials = [trial for own in limited.values() for trial in own]
    spans = [span for trial in trials if (span := span_of(trial)) is not None]
    if not spans:
        return None
    return Finding(
        kind="loadgen",
        starts_s=min(start_s for start_s, _ in spans),
        ends_s=max(end_s for _, end_s in spans),
        confidence="sure",
        trials=len(trials),
        variants=tuple(dict.fromkeys(variant for variant, _ in limited)),
    )
