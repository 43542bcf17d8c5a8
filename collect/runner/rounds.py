"""Which trials belong to a block that can be closed, and which of them are worth a second try."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collect.attempts import rerun_id, split_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from collect.model import Plan, PlannedTrial, Trial

SECOND = 2
"""Of a block nothing is run a third time in one go: what fails twice within it is no chance."""
# These seldom come from chance, and each may cost its whole time-out: last in the queue.
_SELDOM_CHANCE = ("start_failed", "not_ready", "wrong_answer_before")


def split_rounds(trials: Sequence[PlannedTrial]) -> list[list[PlannedTrial]]:
    """Cut the plan wherever every block begun is whole.

    Interleaved that is after each block; in sequential order only at the end, since the last
    variant is part of every block.
    """
    last = {trial.block: index for index, trial in enumerate(trials)}
    rounds: list[list[PlannedTrial]] = [[]]
    until = 0
    for index, trial in enumerate(trials):
        until = max(until, last[trial.block])
        rounds[-1].append(trial)
        if index == until:
            rounds.append([])
    return rounds[:-1]


def count_blocks(trials: Sequence[PlannedTrial]) -> int:
    """Return how many blocks the trials belong to."""
    return len({trial.block for trial in trials})


def pick_reruns(
    plan: Plan,
    trials: Sequence[PlannedTrial],
    found: Mapping[str, Trial],
    spoiled: Callable[[Trial], Collection[str]],
) -> list[PlannedTrial]:
    """Return the second attempts to make at the end of a round, in the plan's order.

    A trial is run again when it is invalid, unless the same variant and endpoint came out of the
    block before, second attempt included, invalid for one of the same reasons: a server that never
    starts, starves its clients each time or gives a wrong answer will do so again. Where there are
    more than `reruns_per_block`, those that chance may have spoiled come first.

    Args:
        plan: the plan.
        trials: one round of it.
        found: trials that have been run, by id.
        spoiled: codes of the reasons that make a trial invalid; empty for one that counts.
    """
    allowed = plan.stopping.reruns_per_block * count_blocks(trials)
    allowed -= sum(rerun_id(planned.id, SECOND) in found for planned in trials)
    if allowed <= 0:
        return []
    cells = {(t.block, t.variant, t.endpoint, t.leg, t.share): t.id for t in plan.trials}

    def codes_before(planned: PlannedTrial) -> Collection[str]:
        before = cells.get(
            (planned.block - 1, planned.variant, planned.endpoint, planned.leg, planned.share)
        )
        last = None if before is None else _last(before, found)
        return () if last is None else spoiled(last)

    wanted = []
    for planned in trials:
        first = found.get(planned.id)
        if first is None or rerun_id(planned.id, SECOND) in found:
            continue
        codes = spoiled(first)
        if codes and not set(codes) & set(codes_before(planned)):
            wanted.append((first.outcome.status in _SELDOM_CHANCE, planned))
    wanted.sort(key=lambda pair: pair[0])
    chosen = sorted((planned for _, planned in wanted[:allowed]), key=lambda p: p.position)
    return [replace(planned, id=rerun_id(planned.id, SECOND)) for planned in chosen]


def pick_anew(
    trials: Sequence[PlannedTrial],
    found: Mapping[str, Trial],
    spoiled: Callable[[Trial], Collection[str]],
) -> list[PlannedTrial]:
    """Return all trials of a round as further attempts, if it was measured in vain.

    That is a round which is whole and brought not one trial that counts: Redis was down, wrk was
    missing, another program had the port. Whoever has mended that and gives the command again
    wants its figures. As all of it runs again, what is compared still stands side by side; that is
    why a round with a single trial that counts is left as it is.
    """
    planned = {trial.id for trial in trials}
    tried = [trial for name, trial in found.items() if split_attempt(name)[0] in planned]
    if not planned <= found.keys() or not all(map(spoiled, tried)):
        return []
    return [replace(one, id=_next_id(one.id, found)) for one in trials]


def _attempts(planned_id: str, found: Mapping[str, Trial]) -> list[int]:
    return [n for name, n in map(split_attempt, found) if name == planned_id]


def _next_id(planned_id: str, found: Mapping[str, Trial]) -> str:
    return rerun_id(planned_id, max(_attempts(planned_id, found)) + 1)


def _last(planned_id: str, found: Mapping[str, Trial]) -> Trial | None:
    """Return the last attempt of a planned trial."""
    attempts = _attempts(planned_id, found)
    return found[rerun_id(planned_id, max(attempts))] if attempts else None
