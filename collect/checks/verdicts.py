"""From rules to verdicts."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, TypeVar

from collect.checks import host, load, rate
from collect.checks import thresholds as at
from collect.checks.figures import trial_figures
from collect.checks.reasons import Reason, Verdict, conclude, number
from collect.lang import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collect.checks.figures import Figures
    from collect.model import Trial


T = TypeVar("T")


def verdict(trial: Trial) -> Verdict:
    """Judge one trial by itself; the worst reason decides."""
    return conclude(_reasons(trial))


def verdict_of_figures(figures: Figures) -> Verdict:
    """Judge an output of wrk of which nothing else is known."""
    return conclude(tuple(_load_reasons(figures)))


def verdicts(
    trials: Sequence[Trial], usual_s: Mapping[str, float] | None = None
) -> tuple[Verdict, ...]:
    """Judge trials, in their order: each by itself, and its canary by the others.

    Args:
        trials: of a whole run, or of a part of it.
        usual_s: what `usual_canaries` returns of the whole run; None: these are all of it.
    """
    flags = flag_canaries(trials, usual_s)
    return tuple(
        conclude((*_reasons(trial), *(() if flag is None else (flag,))))
        for trial, flag in zip(trials, flags)  # noqa: B905 - one flag a trial
    )


def flag_canaries(
    trials: Sequence[Trial], usual_s: Mapping[str, float] | None = None
) -> tuple[Reason | None, ...]:
    """Flag each trial whose canary is far from the usual of its host; one entry a trial.

    It never makes a trial invalid and never corrects a figure: the machine was another one then,
    and a comparison inside the block is still fair.
    """
    usual = usual_canaries(trials) if usual_s is None else usual_s
    return tuple(_flag(_canary_s(trial), usual.get(trial.host)) for trial in trials)


def usual_canaries(trials: Iterable[Trial]) -> dict[str, float]:
    """Return the median canary of each host that has enough of them, in seconds."""
    by_host: dict[str, list[float]] = {}
    for trial in trials:
        if (canary_s := _canary_s(trial)) is not None:
            by_host.setdefault(trial.host, []).append(canary_s)
    return {
        name: median(found) for name, found in by_host.items() if len(found) >= at.CANARY_MIN_TRIALS
    }


def _flag(canary_s: float | None, usual_s: float | None) -> Reason | None:
    if canary_s is None or usual_s is None:
        return None
    ratio = canary_s / usual_s
    if 1 / at.CANARY_RATIO_SUSPECT <= ratio <= at.CANARY_RATIO_SUSPECT:
        return None
    return Reason(
        "canary",
        "suspect",
        _(
            "A fixed piece of work just before the load took {ratio} times as long as it usually "
            "does in this run."
        ).format(ratio=number(ratio)),
        _("Compare this trial with those of its own block only: the host was throttled or shared."),
    )


def _canary_s(trial: Trial) -> float | None:
    canary_s = None if trial.host_state is None else trial.host_state.canary_s
    return canary_s if canary_s is not None and canary_s > 0 else None


def _reasons(trial: Trial) -> tuple[Reason, ...]:
    if trial.rate is not None:
        own = _given(rate.CHECKS, trial.rate)
    elif (figures := trial_figures(trial)) is not None:
        own = _load_reasons(figures)
    else:
        own = []
    return (*_given(host.BEFORE_LOAD, trial), *own, *_given(host.AFTER_LOAD, trial))


def _load_reasons(figures: Figures) -> list[Reason]:
    return _given(load.CHECKS, figures)


def _given(checks: Iterable[Callable[[T], Reason | None]], seen: T) -> list[Reason]:
    return [reason for check in checks if (reason := check(seen)) is not None]
