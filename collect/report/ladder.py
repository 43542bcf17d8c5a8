"""Where the processor time of a request goes, from the rungs of the ladder: a variant a section.

Each rung holds everything below it, so a step is the difference between two neighbours. It is
taken inside blocks, as a share of the top rung's time in the same block: a host that runs at half
its speed for an hour makes every rung dearer, and the shares stay. Milliseconds are the mean share
of the top rung's median. Processor time rather than latency, because it holds at any load, and
because what wrk takes does not count.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.decide.student import t_quantile
from collect.ladder import RUNGS
from collect.lang import N_, _, sentences
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collect.model import Endpoint, Plan, Trial, Variant

TITLE = N_("Where the processor time of a request goes")
LEGEND = N_(
    "Processor time of the server's own processes for one request, without wrk, proxies and "
    "databases of their own. Each step is what one rung costs more than the one below it, block by "
    "block, with the 95 % interval of the mean over blocks, for this step alone. A step whose "
    "interval reaches 0 is not told apart from noise."
)
HEADS = (N_("step"), N_("CPU ms"), N_("95 % interval"), N_("share"), N_("up to here"))

_ALPHA = 0.05
_FEWEST_BLOCKS = 2
_STEPS = {
    "bare": N_("the server"),
    "view": N_("Django's handler"),
    "middleware": N_("middleware"),
    "django-ninja": "django-ninja",
    "database": N_("the database and the view"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What a rung adds to the one below it; times are CPU milliseconds a request."""

    name: str
    endpoint: str
    """The rung's own."""
    share: float
    """Of the top rung's time; below 0 where this rung is the cheaper one."""
    cpu_ms: float
    low_ms: float | None
    """Lower end of the 95 % interval; None with one block."""
    high_ms: float | None
    rung_ms: float
    """This rung with everything below it: the median over blocks."""

    @property
    def is_told_apart(self) -> bool:
        """Whether the step is more than noise, in either direction."""
        if self.low_ms is None or self.high_ms is None:
            return False
        return self.low_ms > 0 or self.high_ms < 0


@dataclass(frozen=True, slots=True)
class Ladder:
    """One variant's steps, from the server up."""

    variant: str
    top: str
    """The endpoint of the highest rung."""
    total_ms: float
    """Its median over blocks."""
    blocks: int
    """Blocks that hold every rung shown."""
    steps: tuple[Step, ...]
    missing: tuple[str, ...]
    """Endpoints of rungs without a figure; their steps are part of the next one."""


def is_below_the_app(endpoint: Endpoint) -> bool:
    """Tell whether the kit added the endpoint for the ladder: nobody's site consists of it."""
    return endpoint.rung in RUNGS[:3]


def ladders(plan: Plan, used: Iterable[Trial]) -> tuple[Ladder, ...]:
    """Return a ladder for each variant that has one; none for a run without rungs.

    Args:
        plan: the host's plan.
        used: its trials that are not invalid, one a cell.
    """
    rungs = _in_order(plan)
    if not any(is_below_the_app(endpoint) for endpoint in rungs):
        return ()
    costs = _costs(used)
    found = (_ladder(variant, rungs, costs) for variant in plan.variants if variant.twin_of is None)
    return tuple(ladder for ladder in found if ladder)


def sentence(ladder: Ladder) -> str:
    """Say where the time goes in one sentence, a step each."""
    words = [
        _("{variant}: of {total} ms of processor time a request on {top}, {steps}.").format(
            variant=text.one_line(ladder.variant),
            total=text.figure(ladder.total_ms),
            top=text.one_line(ladder.top),
            steps=text.both([_said(step) for step in ladder.steps]),
        )
    ]
    if ladder.blocks < _FEWEST_BLOCKS:
        words.append(_("From one block, so nobody can say how sure that is."))
    if ladder.missing:
        names = text.comma([text.one_line(name) for name in ladder.missing])
        words.append(
            _("Without a figure, and so part of the step above: {names}.").format(names=names)
        )
    return sentences(*words)


def cells(step: Step) -> tuple[str, ...]:
    """Return one step's cells, under `HEADS`."""
    if step.low_ms is None or step.high_ms is None:
        interval = text.UNKNOWN
    else:
        interval = f"[{_ms(step.low_ms)}, {_ms(step.high_ms)}]"
    known = step.low_ms is None or step.is_told_apart
    return (
        step.name,
        _ms(step.cpu_ms) if known else _("noise"),
        interval,
        text.percent(step.share) if known else "",
        _ms(step.rung_ms),
    )


def _said(step: Step) -> str:
    if step.low_ms is None or step.high_ms is None:
        return _("{step} is {cost} ms").format(step=step.name, cost=_ms(step.cpu_ms))
    if not step.is_told_apart:
        return _("{step} is not told apart from noise (at most {cost} ms)").format(
            step=step.name, cost=_ms(max(step.high_ms, 0))
        )
    if step.high_ms < 0:
        # Two rungs that do not run the same code: an async view above a synchronous one.
        return _("{step} saves {cost} ms against the rung below").format(
            step=step.name, cost=_ms(-step.cpu_ms)
        )
    return _("{step} is {cost} ms").format(step=step.name, cost=_ms(step.cpu_ms))


def _ms(value: float) -> str:
    # A microsecond is the least that means something here.
    return f"{value:.3f}" if abs(value) < 0.1 else text.figure(value)  # noqa: PLR2004


def _in_order(plan: Plan) -> list[Endpoint]:
    rungs = [endpoint for endpoint in plan.endpoints if endpoint.rung is not None]
    known = {name: rank for rank, name in enumerate(RUNGS)}
    return sorted(rungs, key=lambda endpoint: known.get(endpoint.rung or "", len(RUNGS)))


def _costs(used: Iterable[Trial]) -> dict[tuple[str, str], dict[int, float]]:
    """Return CPU milliseconds a request by variant and endpoint, then by block."""
    costs: dict[tuple[str, str], dict[int, float]] = {}
    for trial in used:
        spent_s = trial.cpu.server_s if trial.cpu else None
        requests = trial.wrk.requests if trial.wrk else 0
        if spent_s and requests:
            own = costs.setdefault((trial.variant, trial.endpoint), {})
            own[trial.block] = spent_s / requests * 1000
    return costs


def _ladder(
    variant: Variant,
    rungs: Sequence[Endpoint],
    costs: Mapping[tuple[str, str], Mapping[int, float]],
) -> Ladder | None:
    known = [rung for rung in rungs if costs.get((variant.id, rung.name))]
    if not known:
        return None
    own = [costs[variant.id, rung.name] for rung in known]
    blocks = sorted(set.intersection(*map(set, own)))
    if not blocks:
        return None
    top = own[-1]
    total_ms = statistics.median(top[block] for block in blocks)
    steps = []
    for index, rung in enumerate(known):
        below = own[index - 1] if index else dict.fromkeys(blocks, 0.0)
        shares = [(own[index][block] - below[block]) / top[block] for block in blocks]
        share = statistics.fmean(shares)
        half = None
        if len(blocks) >= _FEWEST_BLOCKS:
            error = statistics.stdev(shares) / math.sqrt(len(blocks))
            half = t_quantile(_ALPHA, len(blocks) - 1) * error
        steps.append(
            Step(
                name=_name(rungs, known, index),
                endpoint=rung.name,
                share=share,
                cpu_ms=share * total_ms,
                low_ms=None if half is None else (share - half) * total_ms,
                high_ms=None if half is None else (share + half) * total_ms,
                rung_ms=statistics.median(own[index][block] for block in blocks),
            )
        )
    return Ladder(
        variant=variant.id,
        top=known[-1].name,
        total_ms=total_ms,
        blocks=len(blocks),
        steps=tuple(steps),
        missing=tuple(rung.name for rung in rungs if rung not in known),
    )


def _name(rungs: Sequence[Endpoint], known: Sequence[Endpoint], index: int) -> str:
    """Name a step after its rung, and after those below it that have no figure of their own."""
    start = rungs.index(known[index - 1]) + 1 if index else 0
    own = [rung.rung or "" for rung in rungs[start : rungs.index(known[index]) + 1]]
    # What a project calls its own rungs is in no catalogue.
    return _(" with ").join(
        _(_STEPS[rung]) if rung in _STEPS else text.one_line(rung) for rung in own
    )
