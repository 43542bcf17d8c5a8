"""Find what changed: stretches of common speed, a fast start in every session, servers that decay.

1. *Where.* The cheapest of all ways to cut the series into pieces (see `pieces`) proposes moments,
   far too many of them: it takes each value for a fresh draw.
2. *Whether.* Of all stretches between two such moments, all fast starts and all decays the one that
   explains most is taken, if it explains more than `cost` asks under correlated noise (see
   `noise`); then the next, until none is left. What later ones made needless is dropped again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from collect.detective.noise import TRIAL_NOISE, NoiseModel
from collect.detective.pieces import ends_of_pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.detective.course import Course
    from collect.detective.noise import Fit, Floats, Ints

MOST_POINTS = 400
"""More trials are averaged: fitting takes the cube of the number."""
_MOST_MOMENTS = 24
"""Moments proposed: their pairs are what is tried."""
_MOST_FEATURES = 12
_TRIED = 3
"""Of the best at the present noise, so many are fitted in full."""
_STARTS = 48
"""Lengths of a fast start that are tried."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that may have changed the speed, with its size."""

    kind: Literal["stretch", "start", "decay"]
    """`stretch`: all variants, from one trial to another; `start`: all variants, as long as a
    session is young; `decay`: one variant, evenly through the run."""
    first: int = 0
    """Place of a stretch's first trial."""
    end: int = 0
    """Place after its last."""
    start_s: float = 0.0
    """How long a session is young."""
    variant: int = 0
    effect: float = 0.0
    """On the log scale; a decay's from the first trial of the run to its last."""
    error: float = 0.0
    gain: float = 0.0
    """By how much it raises the log likelihood."""

    def column(self, course: Course) -> Floats:
        """Return its share of each trial's log speed, for an effect of 1."""
        column = np.zeros(len(course))
        if self.kind == "stretch":
            column[self.first : self.end] = 1.0
        elif self.kind == "start":
            column[_elapsed_s(course) >= self.start_s] = 1.0
        else:
            moments = course.middle_s
            span_s = float(moments[-1] - moments[0]) or 1.0
            ageing = (moments - moments[0]) / span_s - 0.5
            column = np.where(course.variant == self.variant, ageing, 0.0)
        return column


@dataclass(frozen=True, slots=True)
class Found:
    """What the search came to."""

    features: tuple[Feature, ...]
    covariance: Floats
    """Of the effects of the stretches and starts among them, in their order."""
    residual: Floats
    """Each trial's log speed against the level of its variant on its endpoint, decays removed."""
    trial_noise: float
    wandering: float
    smallest: float
    """The common fall over a third of the longest session that would have been found 19 times of
    20, on the log scale; infinite where none would have been."""
    smallest_decay: float
    """The same of one server alone, from its first trial to its last."""

    @property
    def common(self) -> tuple[Feature, ...]:
        """What all variants shared."""
        return tuple(feature for feature in self.features if feature.kind != "decay")


@dataclass(frozen=True, slots=True)
class _Points:
    """The trials, or averages over some of them."""

    order: Ints
    """Trials, sorted by point."""
    starts: Ints
    sizes: Ints
    model: NoiseModel
    moments_s: Floats
    flat: Floats
    """The values without the levels."""

    def columns(self, features: Sequence[Feature], course: Course) -> Floats:
        """Return the features' columns, averaged one by one: all trials of all are too many."""
        columns = np.empty((len(self.sizes), len(features)))
        for place, feature in enumerate(features):
            own = feature.column(course)[self.order]
            columns[:, place] = np.add.reduceat(own, self.starts) / self.sizes
        return columns


def cost(kind: str, points: int, variants: int) -> float:
    """Return by how much a feature has to raise the log likelihood.

    The more could be tried, the more; the cautions are calibrated on synthetic runs in which
    nothing happens.
    """
    if kind == "decay":
        return math.log(max(variants, 1)) + _CAUTION_DECAY
    if kind == "start":
        return math.log(max(points, 1)) + _CAUTION
    return math.log(max(points * (points - 1) / 2, 1)) + _CAUTION


_CAUTION = 3.0
_CAUTION_DECAY = 4.5


def search(course: Course, slot: Sequence[int], *, decays: bool) -> Found:
    """Search the whole course.

    Args:
        course: the trials; at least two.
        slot: the time of day of each session, as a number; a level of its own each.
        decays: whether single variants are looked at; not in sequential order, where each variant
            has its own hours.
    """
    residual = course.log_rps
    aged: list[Feature] = []
    if len(course) > MOST_POINTS:
        if decays:
            points = _averages(course, residual, _by_variant(course), slot)
            aged = [f for f in _greedy(course, points, decays=True) if f.kind == "decay"]
        for feature in aged:
            residual = residual - feature.effect * feature.column(course)
        points = _averages(course, _off_level(course, residual), _in_a_row(course), slot)
        chosen = _greedy(course, points, decays=False)
    else:
        points = _averages(course, residual, np.arange(len(course)), slot)
        chosen = _greedy(course, points, decays=decays)
        aged = [feature for feature in chosen if feature.kind == "decay"]
        for feature in aged:
            residual = residual - feature.effect * feature.column(course)
        chosen = [*(f for f in chosen if f.kind != "decay"), *aged]
    common = [feature for feature in chosen if feature.kind != "decay"]
    fit = points.model.fit(points.model.turn(points.columns(chosen, course)))
    known = len(common)
    return Found(
        features=(*common, *aged),
        covariance=fit.covariance[:known, :known],
        residual=_off_level(course, residual, common),
        trial_noise=fit.trial_noise,
        wandering=fit.wandering,
        smallest=_smallest(course, points, fit),
        smallest_decay=_smallest_decay(course, points, fit) if decays else math.inf,
    )


def _averages(course: Course, values: Floats, groups: Ints, slot: Sequence[int]) -> _Points:
    """Make points of trials; `groups` holds the point of each trial."""
    order = np.lexsort((course.middle_s, groups))
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)

    point = np.repeat(np.arange(len(starts)), sizes)

    def shares(codes: Ints) -> Floats:
        """Return of how many of a point's trials each code is, as a share."""
        known, codes = np.unique(codes[order], return_inverse=True)
        counts = np.bincount(point * len(known) + codes, minlength=len(starts) * len(known))
        return np.asarray(counts.reshape(len(starts), len(known)) / sizes[:, None])

    trial_slot = np.array(slot)[course.session]
    # Cells add up to one already, so the first slot has no column of its own.
    averaged = _full_rank(np.hstack([shares(course.cell), shares(trial_slot)[:, 1:]]))
    moments = np.asarray(np.add.reduceat(course.middle_s[order], starts) / sizes)
    sort = np.argsort(moments, kind="stable")
    if not np.array_equal(sort, np.arange(len(sort))):
        # Groups of variants overlap in time; the model asks for no order, `pieces` does.
        averaged, moments = averaged[sort], moments[sort]
        pieces = np.split(order, starts[1:])
        order = np.concatenate([pieces[index] for index in sort])
        sizes = sizes[sort]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    means = np.add.reduceat(values[order], starts) / sizes
    solved, *_ = np.linalg.lstsq(averaged, means, rcond=None)
    return _Points(
        order=order,
        starts=starts,
        sizes=sizes,
        model=NoiseModel(moments, means, averaged, 1 / sizes),
        moments_s=moments,
        flat=means - averaged @ solved,
    )


def _full_rank(columns: Floats) -> Floats:
    """Leave out columns that are sums of others."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > sizes[0] * 1e-9])


def _by_variant(course: Course) -> Ints:
    """Average each variant over stretches of blocks."""
    groups = max(1, MOST_POINTS // len(course.names))
    part = np.arange(len(course)) * groups // len(course)
    return part * len(course.names) + course.variant


def _in_a_row(course: Course) -> Ints:
    """Average trials that follow each other, of one session."""
    part = np.arange(len(course)) * MOST_POINTS // len(course)
    return part + course.session * MOST_POINTS


def _off_level(course: Course, values: Floats, common: Sequence[Feature] = ()) -> Floats:
    """Return the values without the level of their cell, in which no common change counts."""
    changes = sum((f.effect * f.column(course) for f in common), np.zeros(len(course)))
    rest = values - changes
    sums = np.bincount(course.cell, weights=rest)
    return np.asarray(values - (sums / np.bincount(course.cell))[course.cell])


def _greedy(course: Course, points: _Points, *, decays: bool) -> list[Feature]:
    model = points.model
    pool = _pool(course, points, decays=decays)
    if not pool:
        return []
    turned = model.turn(points.columns(pool, course))
    least = np.array([cost(f.kind, len(points.sizes), len(course.names)) for f in pool])
    kept: list[int] = []
    fit = model.fit(turned[:, []])
    while len(kept) < _MOST_FEATURES:
        gains, effects = model.gains(turned[:, kept], fit, turned)
        worth = gains - least
        # Nobody's code gets faster by itself: what rises is the other variants falling.
        worth[np.array([f.kind == "decay" for f in pool]) & (effects >= 0)] = -np.inf
        # At noise that a change of speed has raised, even what is real may look like little.
        tried = [int(i) for i in np.argsort(-worth)[:_TRIED] if np.isfinite(worth[i])]
        fits = [(model.fit(turned[:, [*kept, index]]), index) for index in tried]
        rises = [(one.score - fit.score - least[index], one, index) for one, index in fits]
        rise, best, index = max(rises, key=lambda found: found[0], default=(-1.0, fit, -1))
        if rise <= 0:
            break
        kept.append(index)
        fit = best
    return _pruned(course, points, [pool[index] for index in kept])


def _pruned(course: Course, points: _Points, chosen: list[Feature]) -> list[Feature]:
    """Drop what later ones made needless, and size the rest."""
    model = points.model

    def fit(features: list[Feature]) -> Fit:
        return model.fit(model.turn(points.columns(features, course)))

    best = fit(chosen)
    while chosen:
        least = [cost(f.kind, len(points.sizes), len(course.names)) for f in chosen]
        gains = [best.score - fit([*chosen[:k], *chosen[k + 1 :]]).score for k in range(len(least))]
        spare = [gain - needed for gain, needed in zip(gains, least, strict=True)]
        weakest = min(range(len(spare)), key=spare.__getitem__)
        if spare[weakest] > 0:
            return [
                replace(
                    feature,
                    effect=float(best.effects[k]),
                    error=math.sqrt(max(0.0, float(best.covariance[k, k]))),
                    gain=float(gains[k]),
                )
                for k, feature in enumerate(chosen)
            ]
        del chosen[weakest]
        best = fit(chosen)
    return []


def _pool(course: Course, points: _Points, *, decays: bool) -> list[Feature]:
    """Return everything that is tried."""
    firsts = [int(points.order[at : at + size].min()) for at, size in _pieces(points)]
    edges = {0, len(course), *(session.start for session in course.sessions)}
    edges |= {firsts[at] for at in _moments(points) if 0 < at < len(firsts)}
    ordered = sorted(edges)
    pool = [
        Feature("stretch", first=a, end=b)
        for place, a in enumerate(ordered)
        for b in ordered[place + 1 :]
        if (a, b) != (0, len(course))
    ]
    sessions = course.sessions
    if len(sessions) > 1:
        elapsed = np.unique(_elapsed_s(course))
        chosen = elapsed[np.linspace(1, len(elapsed) - 1, _STARTS).astype(int)]
        pool += [Feature("start", start_s=float(after)) for after in np.unique(chosen)]
    if decays and len(set(course.variant.tolist())) > 1:
        blocks = {one.block for one in course.trials}
        if len(blocks) > 2:  # noqa: PLR2004 - a slope through two blocks is their difference
            pool += [Feature("decay", variant=v) for v in sorted(set(course.variant.tolist()))]
    return pool


def _pieces(points: _Points) -> list[tuple[int, int]]:
    return list(zip(points.starts.tolist(), points.sizes.tolist(), strict=True))


def _moments(points: _Points) -> list[int]:
    """Propose places where the speed may have changed."""
    if len(points.flat) < 3:  # noqa: PLR2004 - no place between two
        return []
    penalty = TRIAL_NOISE**2 * math.log(len(points.flat))
    while len(found := ends_of_pieces(points.flat, penalty)) > _MOST_MOMENTS:
        penalty *= 1.3
    return found


def _elapsed_s(course: Course) -> Floats:
    begins = np.array([float(course.start_s[part.start]) for part in course.sessions])
    elapsed: Floats = course.start_s - begins[course.session]
    return elapsed


def _smallest(course: Course, points: _Points, fit: Fit) -> float:
    longest = max(course.sessions, key=lambda part: part.stop - part.start)
    third = (longest.stop - longest.start) // 3
    if not third:
        return math.inf
    middle = Feature("stretch", first=longest.start + third, end=longest.start + 2 * third)
    return _found_by(course, points, fit, [middle])


def _smallest_decay(course: Course, points: _Points, fit: Fit) -> float:
    decays = [Feature("decay", variant=v) for v in sorted(set(course.variant.tolist()))]
    return _found_by(course, points, fit, decays)


def _found_by(course: Course, points: _Points, fit: Fit, features: list[Feature]) -> float:
    errors = points.model.errors(fit, points.model.turn(points.columns(features, course)))
    needed = math.sqrt(2 * cost(features[0].kind, len(points.sizes), len(course.names)))
    return float(errors.max()) * (needed + _POWER_95)


_POWER_95 = 1.645
"""Nineteen of twenty estimates lie above the truth less so many standard errors."""
