"""Decide after every block which pairs of variants are told apart, so that a run may end early.

Standard library only, Python 3.10: the runner uses this on the host, and reports and simulation use
the same code. It compares logarithms of figures inside a block, and never looks across blocks.

The rule, from one pair of variants to the whole endpoint:

1. *Centre.* A block gives one log-ratio. Their centre is Huber's M-estimate; log-ratios more than
   `CLIP` robust standard deviations away are pulled in, because the host may have been throttled
   between the two trials (Huber, Robust Estimation of a Location Parameter, 1964).
2. *Error.* Its standard error comes from the pulled-in deviations (Huber and Ronchetti, Robust
   Statistics, 2009, chapter 6). Three blocks say little about noise, so a pair borrows from what
   the other pairs make expect, with a weight of at most `PRIOR_WEIGHT` degrees of freedom (the
   moderated t of Smyth, Linear Models and Empirical Bayes Methods, 2004, with a fixed weight).
3. *Looks.* Each look after a block has the same share of the error rate, found so that all looks up
   to the last planned one err no more often than promised (Pocock, Group Sequential Methods, 1977);
   the smallest p / share is then a p-value whenever the run ends. Looking at fixed-n p-values after
   every one of 20 blocks would find a winner among twins four times as often as it says.
4. *Pairs.* Holm's step-down method over all pairs of an endpoint (Holm, A Simple Sequentially
   Rejective Multiple Test Procedure, 1979): `ALPHA` is the chance of even one false winner.
   "Within the gap" is two one-sided tests (Schuirmann, 1987), by Bonferroni over all pairs. The
   intervals hold for all pairs at once: Bonferroni's where a pair is told apart, cut off at a ratio
   of 1, and Holm's last step for the others (Strassburger and Bretz, Compatible Simultaneous Lower
   Confidence Bounds for the Holm Procedure, 2008).

That a log-ratio scatters symmetrically around the true one needs no model of the host: the plan
drew the order inside each block at random, so either of the two was as likely to come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.decide.look import Look, look_at
from collect.decide.sequential import (
    ALPHA,
    FIRST_LOOK,
    Sequential,
    decide_pairs,
    gap_log,
    largest_gap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from collect.model import PairDecision, Plan, Trial

__all__ = [
    "ALPHA",
    "FIRST_LOOK",
    "Look",
    "Sequential",
    "decide",
    "decide_pairs",
    "decide_run",
    "figures_of",
    "gap_log",
    "largest_gap",
    "look_at",
    "twins_of",
]


def decide_run(plan: Plan, usable: Iterable[Trial], blocks_done: int) -> tuple[PairDecision, ...]:
    """Say of every pair what is known of its req/s after so many blocks of a run.

    Without a gap in the plan nothing ends it early: then this is its one look, for when it is over.

    Args:
        plan: the plan, with its rule for stopping.
        usable: trials that are not invalid, in any order. Of two attempts the earlier one counts.
        blocks_done: blocks that are whole; later ones are left out.
    """
    gap = plan.stopping.gap
    return decide(
        figures_of(
            plan,
            usable,
            range(1, blocks_done + 1),
            lambda trial: trial.wrk.rps if trial.wrk else None,
        ),
        gap=gap,
        min_blocks=plan.stopping.min_blocks,
        max_blocks=plan.blocks if gap is not None else blocks_done,
        twins=twins_of(plan),
    )


def figures_of(
    plan: Plan,
    usable: Iterable[Trial],
    blocks: Iterable[int],
    value: Callable[[Trial], float | None],
) -> dict[str, dict[int, dict[str, float | None]]]:
    """Return `{endpoint: {block: {variant: figure}}}`, with None where no trial gave one.

    Args:
        plan: the plan.
        usable: trials that are not invalid; those of other blocks are left out.
        blocks: which, in rising order.
        value: the figure of a trial.
    """
    nothing: dict[str, float | None] = dict.fromkeys(variant.id for variant in plan.variants)
    known = [*blocks]
    figures = {
        endpoint.name: {block: nothing.copy() for block in known} for endpoint in plan.endpoints
    }
    # A leg at a fixed rate says nothing of how fast a variant can go, nor what it takes then.
    full_load = (trial for trial in usable if trial.leg == "capacity")
    for trial in sorted(full_load, key=lambda trial: trial.attempt):
        cells = figures[trial.endpoint].get(trial.block)
        if cells is not None and cells[trial.variant] is None:
            cells[trial.variant] = value(trial)
    return figures


def twins_of(plan: Plan) -> dict[str, str]:
    """Return the original of each twin."""
    return {v.id: v.twin_of for v in plan.variants if v.twin_of is not None}


def decide(
    figures: Mapping[str, Mapping[int, Mapping[str, float | None]]],
    *,
    gap: float | None,
    min_blocks: int,
    max_blocks: int,
    twins: Mapping[str, str] | None = None,
) -> tuple[PairDecision, ...]:
    """Say of every pair of variants on every endpoint what is known after the blocks so far.

    The same figures give the same answer, so nothing has to be kept from call to call.

    Args:
        figures: `{endpoint: {block: {variant: req/s}}}`, invalid trials left out. Blocks count in
            the order of their numbers; one that holds nothing usable is an empty mapping.
        gap: smallest relative difference worth knowing; None: the run looks once, at its end.
        min_blocks: the first look comes after this many blocks.
        max_blocks: as planned; must stay the same through a run.
        twins: the original of each twin. A twin is in no pair: it sets the smallest difference to
            believe, and no pair closer than that counts as separated.
    """
    decisions: list[PairDecision] = []
    for endpoint, blocks in figures.items():
        variants = dict.fromkeys(name for number in sorted(blocks) for name in blocks[number])
        looks = Sequential(
            variants,
            min_blocks=min_blocks if gap is not None else max_blocks,
            max_blocks=max_blocks,
            twins=twins,
        )
        for number in sorted(blocks):
            looks.add_block(blocks[number])
        decisions += looks.decide(endpoint, gap)
    return tuple(decisions)
