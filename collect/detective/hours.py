"""Times of day: was the host faster at one than at another, and do the servers keep their order?"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import combinations, pairwise
from statistics import fmean, variance
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from collect.decide import ALPHA
from collect.decide.student import t_quantile
from collect.detective.stretches import mean_steal
from collect.stats import Interval, decide_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.checks import Verdict
    from collect.detective.course import Course
    from collect.detective.noise import Bools, Floats, Ints
    from collect.model import Plan, Trial

_DAY_S = 86_400
_SAME_TIME_S = 5400
"""Sessions that begin within an hour and a half of each other's time of day are the same window."""
_LONG_S = 6 * 3600.0
"""A session that lasts longer is cut into parts of the day."""
_PART_S = 3 * 3600
_TWO = 2
_MOST_FREEDOM = 1000


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time of day at which trials ran, on one day or several."""

    name: str
    """`04:00`: when it begins, in the zone of the comparison."""
    starts_min: int
    """Minutes after midnight, as `ends_min`, which may be past the next one."""
    ends_min: int
    sessions: int
    blocks: int
    speed: float
    """Over that of all trials, each variant against its own level."""
    steal: float | None


@dataclass(frozen=True, slots=True)
class OrderPair:
    """Two variants that change places between two windows; both are told apart in both."""

    endpoint: str
    first: str
    second: str
    ahead_at: str
    """The window in which the first is ahead."""
    behind_at: str


@dataclass(frozen=True, slots=True)
class Hours:
    """The windows of a run, compared."""

    zone: str
    windows: tuple[TimeOfDay, ...]
    """By time of day."""
    fastest: str
    slowest: str
    ratio: Interval | None
    """Speed in the fastest window over the slowest; None where one of them has a single day."""
    days: int
    """What the interval rests on."""
    is_told: bool
    """Whether the two are told apart."""
    reversed: tuple[OrderPair, ...]
    same: int
    """Pairs told apart in every window, the same way round."""
    undecided: int
    """Pairs that some window does not tell apart, and none reverses."""


@dataclass(frozen=True, slots=True)
class _Labels:
    """Which window each trial lies in, and on which day."""

    window: Ints
    session: Ints
    spans: tuple[tuple[int, int], ...]
    """From when to when each window lasts, in minutes after midnight."""


def slots_of(plan: Plan, course: Course, zone: tzinfo) -> list[int]:
    """Return the time of day of each session, as a number from 0."""
    begins = [_begin(plan, course, part, zone) for part in course.sessions]
    order = sorted(range(len(begins)), key=begins.__getitem__)
    slots = [0] * len(begins)
    # A schedule says what is the same time; by hand nobody begins at the same second twice.
    same_s = 0 if plan.windows else _SAME_TIME_S
    for before, after in pairwise(order):
        apart = begins[after] - begins[before] > same_s
        slots[after] = slots[before] + apart
    last = order[-1] if order else 0
    # Shortly before and shortly after midnight are the same time.
    if order and slots[last] and begins[order[0]] + _DAY_S - begins[last] <= same_s:
        final = slots[last]
        slots = [0 if slot == final else slot for slot in slots]
    return slots


def _begin(plan: Plan, course: Course, part: slice, zone: tzinfo) -> int:
    """Return the time of day of a session's begin, in seconds: as it was scheduled, if it was."""
    block = course.trials[part.start].block
    for window in plan.windows:
        if window.first_block <= block <= window.last_block:
            planned = datetime.fromisoformat(window.starts_at)
            return planned.hour * 3600 + planned.minute * 60 + planned.second
    return _of_day(float(course.start_s[part.start]), zone)


def zone_of(name: str | None) -> tuple[tzinfo, str]:
    """Return the zone of that name with it; UTC where it is unknown."""
    try:
        return (ZoneInfo(name), name) if name else (timezone.utc, "UTC")
    except (OSError, KeyError, ValueError):
        return timezone.utc, "UTC"


def compare_hours(
    plan: Plan,
    judged: Sequence[tuple[Trial, Verdict]],
    course: Course,
    residual: Floats,
    zone: tuple[tzinfo, str],
) -> Hours | None:
    """Compare the windows; None where there is only one.

    Args:
        plan: the host's plan.
        judged: its trials with their verdicts.
        course: the same in the order of time.
        residual: each trial's log speed against the level of its variant on its endpoint.
        zone: of the host, with its name.
    """
    labels = _labels(plan, course, zone[0])
    count = len(labels.spans)
    if count < _TWO:
        return None
    means = [float(residual[labels.window == at].mean()) for at in range(count)]
    fastest, slowest = int(np.argmax(means)), int(np.argmin(means))
    names = _names(labels.spans)
    ratio, days = _ratio(course, residual, labels, fastest, slowest)
    own: list[list[Trial]] = [[] for _at in range(count)]
    for trial, at in zip(course.trials, labels.window.tolist(), strict=True):
        own[at].append(trial)
    windows = tuple(
        TimeOfDay(
            name=names[at],
            starts_min=labels.spans[at][0],
            ends_min=labels.spans[at][1],
            sessions=len(set(labels.session[labels.window == at].tolist())),
            blocks=len({trial.block for trial in own[at]}),
            speed=math.exp(means[at]),
            steal=mean_steal(own[at]),
        )
        for at in range(count)
    )
    reversed_, same, undecided = _order(plan, judged, own, names)
    return Hours(
        zone=zone[1],
        windows=windows,
        fastest=names[fastest],
        slowest=names[slowest],
        ratio=ratio,
        days=days,
        is_told=ratio is not None and ratio.low > 1,
        reversed=reversed_,
        same=same,
        undecided=undecided,
    )


def _names(spans: Sequence[tuple[int, int]]) -> list[str]:
    return [f"{start // 60 % 24:02d}:{start % 60:02d}" for start, _ in spans]


def _labels(plan: Plan, course: Course, zone: tzinfo) -> _Labels:
    sessions = course.sessions
    is_long = not plan.windows and any(
        float(course.end_s[part.stop - 1] - course.start_s[part.start]) > _LONG_S
        for part in sessions
    )
    if is_long:
        # One run through the day: each block belongs to the part of the day it began in.
        begins: dict[int, float] = {}
        for trial, start_s in zip(course.trials, course.start_s.tolist(), strict=True):
            begins.setdefault(trial.block, start_s)
        parts = {block: _of_day(start_s, zone) // _PART_S for block, start_s in begins.items()}
        known = sorted(set(parts.values()))
        window = np.array([known.index(parts[trial.block]) for trial in course.trials])
        days = [_day(begins[trial.block], zone) for trial in course.trials]
        spans = tuple((part * _PART_S // 60, (part + 1) * _PART_S // 60) for part in known)
        return _Labels(window, np.array(days), spans)
    slots = slots_of(plan, course, zone)
    window = np.array(slots)[course.session]
    # A window through midnight has the number of the morning, and begins in the evening.
    found = []
    for slot in sorted(set(slots)):
        own = [part for part, at in zip(sessions, slots, strict=True) if at == slot]
        begins_s = [_begin(plan, course, part, zone) for part in own]
        lasts_s = max(float(course.end_s[p.stop - 1] - course.start_s[p.start]) for p in own)
        first_s = begins_s[0] if max(begins_s) - min(begins_s) > _DAY_S / 2 else min(begins_s)
        found.append((first_s // 60, math.ceil((first_s + lasts_s) / 60)))
    return _Labels(window, course.session, tuple(found))


def _of_day(moment_s: float, zone: tzinfo) -> int:
    at = datetime.fromtimestamp(moment_s, zone)
    return at.hour * 3600 + at.minute * 60 + at.second


def _day(moment_s: float, zone: tzinfo) -> int:
    return datetime.fromtimestamp(moment_s, zone).toordinal()


def _ratio(
    course: Course, residual: Floats, labels: _Labels, fast: int, slow: int
) -> tuple[Interval | None, int]:
    """Return the speed of one window over another's, with its interval and the days it rests on.

    A day gives one figure a window: trials of one session share what the host did then. Blocks of a
    single day would look like a difference nearly always, since a host wanders from hour to hour.
    """
    logs = [_means(residual, labels.session, labels.window == at) for at in (fast, slow)]
    values = [list(own.values()) for own in logs]
    fewest = min(map(len, values))
    if fewest < _TWO:
        return None, fewest
    windows = len(labels.spans)
    days = [_calendar(course, labels, at) for at in (fast, slow)]
    shared = sorted(set(days[0]) & set(days[1]))
    if len(shared) > _TWO and all(len(set(own.values())) == len(own) for own in days):
        # The same days on both sides: what a whole day did cancels.
        apart = [logs[0][days[0][day]] - logs[1][days[1][day]] for day in shared]
        error = math.sqrt(variance(apart) / len(apart))
        return _exp(fmean(apart), error, len(apart) - 1, windows), len(shared)
    parts = [variance(own) / len(own) for own in values]
    error = math.sqrt(sum(parts))
    # Welch and Satterthwaite, for two groups that need not vary alike.
    below = sum(part**2 / (len(own) - 1) for part, own in zip(parts, values, strict=True))
    freedom = max(1, min(_MOST_FREEDOM, int(sum(parts) ** 2 / below) if below > 0 else 1))
    return _exp(fmean(values[0]) - fmean(values[1]), error, freedom, windows), fewest


def _calendar(course: Course, labels: _Labels, at: int) -> dict[int, int]:
    """Return the session of each day (counted in 24 h from the first trial) in a window."""
    days: dict[int, int] = {}
    for place in np.flatnonzero(labels.window == at):
        day = int((course.start_s[place] - course.start_s[0]) // _DAY_S)
        days.setdefault(day, int(labels.session[place]))
    return days


def _means(values: Floats, groups: Ints, chosen: Bools) -> dict[int, float]:
    known, places = np.unique(groups[chosen], return_inverse=True)
    means = np.bincount(places, weights=values[chosen]) / np.bincount(places)
    return dict(zip(known.tolist(), means.tolist(), strict=True))


def _exp(log: float, error: float, freedom: int, windows: int) -> Interval:
    # The fastest and the slowest were picked out of them all: Bonferroni over the pairs there are.
    half = t_quantile(ALPHA / math.comb(windows, 2), freedom) * error
    low, ratio, high = (math.exp(max(-700.0, min(700.0, log + x))) for x in (-half, 0.0, half))
    return Interval(ratio, low, high)


def _order(
    plan: Plan,
    judged: Sequence[tuple[Trial, Verdict]],
    trials: Sequence[Sequence[Trial]],
    names: Sequence[str],
) -> tuple[tuple[OrderPair, ...], int, int]:
    """Compare the order of the servers in each window with that in the others."""
    if plan.order == "sequential":
        return (), 0, 0
    verdicts = {trial.trial_id: verdict for trial, verdict in judged}
    ahead: dict[tuple[str, str, str], dict[int, str]] = {}
    for at in range(len(names)):
        own = [(trial, verdicts[trial.trial_id]) for trial in trials[at]]
        blocks = sorted({trial.block for trial in trials[at]})
        for pair in decide_order(plan, own, blocks):
            first, second = sorted((pair.a, pair.b))
            told = ahead.setdefault((pair.endpoint, first, second), {})
            if pair.state == "separated" and pair.ratio is not None:
                told[at] = pair.a if pair.ratio > 1 else pair.b
    reversed_ = []
    count: Counter[str] = Counter()
    for (endpoint, first, second), told in ahead.items():
        opposed = [(a, b) for a, b in combinations(sorted(told), 2) if told[a] != told[b]]
        if opposed:
            here, there = opposed[0]
            best = told[here]
            other = second if best == first else first
            reversed_.append(OrderPair(endpoint, best, other, names[here], names[there]))
        elif len(told) == len(names):
            count["same"] += 1
        else:
            count["undecided"] += 1
    return tuple(reversed_), count["same"], count["undecided"]


def local_time(minutes: int) -> str:
    """Write minutes after midnight as `04:30`."""
    return f"{(timedelta(minutes=minutes).seconds // 60) // 60:02d}:{minutes % 60:02d}"
