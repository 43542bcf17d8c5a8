"""From the course of the common speed to what happened: slow stretches, bursts, credit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np

from collect.decide import ALPHA
from collect.decide.student import t_quantile
from collect.detective.finding import Bucket, Confidence, Estimate, Finding, Kind, Signs
from collect.detective.inside import change_inside
from collect.detective.search import cost
from collect.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collect.detective.course import Course
    from collect.detective.inside import Rates
    from collect.detective.noise import Bools, Floats
    from collect.detective.search import Found
    from collect.model import Trial

SMALLEST_FALL = math.log(0.87)
"""A smaller one is nothing that anybody would act on: like trials vary by 8 %."""
_USUAL_SHARE = 0.1
"""The highest speed of so many of the trials is the usual one, not a moment's luck."""
_BURST_BLOCKS = 1.25
"""What lasts longer than a block, and a bit for its blurred edges, falls on every variant."""
_BLUR_BLOCKS = 0.2
_ALIKE = 1.6
"""Sessions fell after about the same time: a pause may not have filled the bucket."""
_MOSTLY = 0.6
_TWO = 2


@dataclass(frozen=True, slots=True)
class _Slow:
    """Trials of one session that were slower than its usual speed."""

    first: int
    end: int
    session: slice
    usual: Bools
    """Which trials were at the usual speed."""


def find_stretches(
    course: Course, found: Found, rates: Callable[[Trial], Rates]
) -> tuple[Finding, ...]:
    """Say what the common changes were, in the order of time."""
    if not found.common:
        return ()
    columns = np.stack([feature.column(course) for feature in found.common], axis=1)
    level = columns @ np.array([feature.effect for feature in found.common])
    slow = [
        one for session in course.sessions for one in _slow_in(level, session, usual_level(level))
    ]
    seen: list[tuple[_Slow, Finding]] = []
    for one in slow:
        chosen = _within(course, one)
        contrast = columns[chosen].mean(axis=0) - columns[one.usual].mean(axis=0)
        error = math.sqrt(max(0.0, float(contrast @ found.covariance @ contrast)))
        effect = float(contrast @ np.array([feature.effect for feature in found.common]))
        ratio = _interval(course, effect, error)
        # A single trial may stumble by itself, and has its own verdict.
        if effect > SMALLEST_FALL or ratio.high >= 1 or one.end - one.first < _TWO:
            continue
        starts_s, ends_s = _edges(course, one, effect, rates)
        finding = Finding(
            kind=_kind(course, one, starts_s, ends_s),
            starts_s=starts_s,
            ends_s=ends_s,
            confidence=_confidence(course, found, one, effect, error),
            trials=one.end - one.first,
            ratio=ratio,
            signs=_signs(course, chosen, one.usual),
        )
        seen.append((one, finding))
    dry = _dry(course, seen)
    findings = [finding for one, finding in seen if one not in [own for own, _ in dry]]
    if dry:
        findings.append(_credit(course, dry))
    return tuple(sorted(findings, key=lambda finding: finding.starts_s))


def usual_level(level: Floats) -> float:
    """Return the highest speed that a fair share of the trials reach."""
    return float(np.quantile(level, 1 - _USUAL_SHARE, method="inverted_cdf"))


def _slow_in(level: Floats, session: slice, usual: float) -> list[_Slow]:
    is_slow = level < usual + SMALLEST_FALL
    at_usual = ~is_slow
    found = []
    begin = None
    for place in range(session.start, session.stop + 1):
        if place < session.stop and is_slow[place]:
            begin = place if begin is None else begin
        elif begin is not None:
            found.append(_Slow(begin, place, session, at_usual))
            begin = None
    return found


def _kind(course: Course, one: _Slow, starts_s: float, ends_s: float) -> Kind:
    is_inside = one.session.start < one.first and one.end < one.session.stop
    is_short = ends_s - starts_s <= _BURST_BLOCKS * course.block_s
    return "burst" if is_inside and is_short else "host_slow"


def _dry(course: Course, seen: Sequence[tuple[_Slow, Finding]]) -> list[tuple[_Slow, Finding]]:
    """Return the stretches that look like credit that ran dry; none where it was something else.

    Each begins after a fast start and lasts to the end of its session. With several sessions all
    that went on for so long must have fallen, after about the same time: then chance is ruled out.
    A single one must have a longer plateau than a fast start: a throttle that began late looks the
    same until the run ends.
    """
    last = [
        (one, finding)
        for one, finding in seen
        if finding.kind == "host_slow"
        and one.first > one.session.start
        and _reaches_end(course, one)
    ]
    if not last:
        return []
    fast_s = [finding.starts_s - _begin_s(course, one.session) for one, finding in last]
    if len(course.sessions) == 1:
        ((_, finding),) = last[-1:]
        return last if fast_s[-1] < finding.ends_s - finding.starts_s else []
    usual_s = median(fast_s)
    alike = [
        pair
        for pair, own_s in zip(last, fast_s, strict=True)
        if usual_s / _ALIKE <= own_s <= usual_s * _ALIKE
    ]
    long_enough = sum(
        float(course.end_s[part.stop - 1]) - _begin_s(course, part) > usual_s * _ALIKE
        for part in course.sessions
    )
    return alike if len(alike) >= max(_TWO, _MOSTLY * long_enough) else []


def _begin_s(course: Course, session: slice) -> float:
    return float(course.start_s[session.start])


def _reaches_end(course: Course, one: _Slow) -> bool:
    """Tell whether it lasts to the end of its session, but for the blur of its edge."""
    trials = one.session.stop - one.end
    rest_s = float(course.end_s[one.session.stop - 1] - course.end_s[one.end - 1])
    return trials <= 1 or rest_s < _BLUR_BLOCKS * course.block_s


def _confidence(
    course: Course, found: Found, one: _Slow, effect: float, error: float
) -> Confidence:
    befell = set(course.variant[one.first : one.end].tolist())
    if len(befell) == 1 < len(course.names):
        # All of it lies in one start of one server, which may have stumbled by itself.
        return "maybe"
    needed = math.sqrt(2 * cost("stretch", len(course), len(course.names)))
    is_far = abs(effect) > needed * error
    return "sure" if is_far and -effect > 2 * found.wandering else "likely"


def _interval(course: Course, effect: float, error: float) -> Interval:
    # The noise is known from so many blocks, and not for certain.
    freedom = max(_TWO, len({trial.block for trial in course.trials}) - 1)
    half = t_quantile(ALPHA, freedom) * error
    low, ratio, high = (math.exp(effect + x) for x in (-half, 0.0, half))
    return Interval(ratio, low, high)


def _edges(
    course: Course, one: _Slow, effect: float, rates: Callable[[Trial], Rates]
) -> tuple[float, float]:
    """Return from when to when it lasted, as exactly as the trials at its edges tell."""
    starts_s = float(course.start_s[one.first])
    if one.first > one.session.start:
        starts_s = _edge(course, one.first, effect, rates)
    ends_s = float(course.end_s[one.end - 1])
    if one.end < one.session.stop:
        ends_s = _edge(course, one.end, -effect, rates)
    return starts_s, ends_s


def _edge(course: Course, place: int, effect: float, rates: Callable[[Trial], Rates]) -> float:
    """Return when the speed changed, near the begin of the trial at this place."""
    for near in (place - 1, place):
        trial = course.trials[near]
        if (after_s := change_inside(rates(trial), effect)) is not None:
            # The load ends a moment before its trial does.
            return float(course.end_s[near]) - trial.load.duration_s + after_s
    return float(course.end_s[place - 1] + course.start_s[place]) / 2


def _signs(course: Course, chosen: Bools, usual: Bools) -> Signs:
    inside = [course.trials[place] for place in np.flatnonzero(chosen)]
    outside = [course.trials[place] for place in np.flatnonzero(usual)]
    steal, steal_else = (_mean(map(_steal, trials)) for trials in (inside, outside))
    pressure, pressure_else = (_mean(map(_pressure, trials)) for trials in (inside, outside))
    canaries = [
        [canary for trial in trials if (canary := _canary_s(trial)) is not None]
        for trials in (inside, outside)
    ]
    return Signs(
        steal=steal,
        steal_else=steal_else,
        canary=median(canaries[0]) / median(canaries[1]) if all(canaries) else None,
        pressure=pressure,
        pressure_else=pressure_else,
    )


def mean_steal(trials: Sequence[Trial]) -> float | None:
    """Return the mean share of stolen time; None where nobody knows it."""
    return _mean(map(_steal, trials))


def _mean(values: map[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _steal(trial: Trial) -> float | None:
    return None if trial.cpu is None else trial.cpu.steal_ratio


def _pressure(trial: Trial) -> float | None:
    return None if trial.host_state is None else trial.host_state.cpu_pressure_ratio


def _canary_s(trial: Trial) -> float | None:
    canary_s = None if trial.host_state is None else trial.host_state.canary_s
    return canary_s if canary_s is not None and canary_s > 0 else None


def _credit(course: Course, dry: Sequence[tuple[_Slow, Finding]]) -> Finding:
    """Make one finding of all sessions in which the bucket ran dry."""
    slowest, finding = max(dry, key=lambda pair: pair[1].trials)
    ratio = finding.ratio
    buckets = [
        bucket
        for one, own in dry
        if own.ratio is not None and (bucket := _bucket(course, one, own, own.ratio)) is not None
    ]
    # Fast again after a pause is what a throttle by chance does not do.
    confidence: Confidence = finding.confidence if len(dry) > 1 else "maybe"
    return Finding(
        kind="credit",
        starts_s=dry[0][1].starts_s,
        ends_s=dry[-1][1].ends_s,
        confidence=confidence,
        trials=sum(own.trials for _, own in dry),
        ratio=ratio,
        sessions=len(dry),
        signs=_signs(course, _within(course, slowest), slowest.usual),
        bucket=_fullest(buckets),
    )


def _within(course: Course, one: _Slow) -> Bools:
    places = np.arange(len(course))
    return np.asarray((places >= one.first) & (places < one.end))


def _bucket(course: Course, one: _Slow, finding: Finding, ratio: Interval) -> Bucket | None:
    """Estimate what a bucket held: what was used until it ran dry, less what came in meanwhile.

    Once dry, a server that could use more gets as much as comes in: the refill is the CPU time it
    used before, times the ratio of the speeds. Between two loads nobody counts the CPU time; it
    lies between nothing and the refill.
    """
    fast = course.trials[one.session.start : one.first]
    used = [(t, t.cpu.busy_s / t.load.duration_s) for t in fast if t.cpu and t.cpu.busy_s]
    if not used or fast[0].cpu is None:
        return None
    rates = [rate for _, rate in used]
    cores = fast[0].cpu.cores
    at_full = median(rates)
    begin_s = float(course.start_s[one.session.start])
    dry_s = finding.starts_s
    loaded_s = 0.0
    for place in range(one.session.start, min(one.first + 1, one.session.stop)):
        load = course.trials[place].load
        load_begin_s = float(course.end_s[place]) - load.duration_s - load.warmup_s
        loaded_s += max(0.0, min(float(course.end_s[place]), dry_s) - load_begin_s)
    idle_s = max(0.0, dry_s - begin_s - loaded_s)
    refills = [at_full * share for share in (ratio.low, ratio.ratio, ratio.high)]
    # When it ran dry is known to a moment inside a trial, or to half a trial.
    blur_s = max(1.0, float(np.median(course.end_s - course.start_s)) / 4)

    def size(refill: float, idle_cores: float, shift_s: float) -> float:
        spent = at_full * (loaded_s + shift_s) + idle_cores * idle_s
        return max(0.0, spent - refill * (dry_s - begin_s + shift_s))

    return Bucket(
        size_core_s=Estimate(
            size(refills[1], refills[1] / 2, 0.0),
            size(refills[2], 0.0, -blur_s),
            size(refills[0], min(refills[2], cores), blur_s),
        ),
        refill_cores=Estimate(refills[1], refills[0], refills[2]),
        cores=cores,
    )


def _fullest(buckets: Sequence[Bucket]) -> Bucket | None:
    """Return the bucket as it was before the session that found most in it: that one was full."""
    return max(buckets, key=lambda bucket: bucket.size_core_s.value, default=None)
