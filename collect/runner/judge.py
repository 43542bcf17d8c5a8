"""What the runner takes from the judging side of the kit: verdicts, and when enough is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from collect.checks import verdict
from collect.decide import decide_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from collect.model import PairDecision, Plan, Stopping, Trial

Reason = Literal["decided", "time_budget", "all_blocks", "going_on"]


class Judge(Protocol):
    """Judges trials; a test brings its own."""

    def spoiled(self, trial: Trial) -> Collection[str]:
        """Return the codes of the reasons that make the trial invalid; empty if it counts."""

    def pairs(
        self, plan: Plan, usable: Sequence[Trial], blocks_done: int
    ) -> Sequence[PairDecision]:
        """Return what is known of each pair after so many blocks, from the trials that count."""


class HostJudge:
    """The same code that judges on the control side.

    A fault in it must not cost the hours measured so far: it is logged, and the run goes on as if
    nothing had been found.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        """Keep where faults are told."""
        self._log = log

    def spoiled(self, trial: Trial) -> Collection[str]:
        """Return the codes of the reasons that make the trial invalid; empty if it counts."""
        try:
            found = verdict(trial)
        except Exception as error:
            self._log(f"{trial.trial_id}: cannot be judged here ({error!r})")
            return ()
        if found.status != "invalid":
            return ()
        return [reason.code for reason in found.reasons if reason.severity == "invalid"]

    def pairs(
        self, plan: Plan, usable: Sequence[Trial], blocks_done: int
    ) -> Sequence[PairDecision]:
        """Return what is known of each pair after so many blocks, from the trials that count."""
        try:
            return decide_run(plan, usable, blocks_done)
        except Exception as error:
            self._log(f"cannot be decided here ({error!r})")
            return ()


def next_reason(
    stopping: Stopping,
    blocks_done: int,
    waited_for: Sequence[PairDecision],
    spent_s: float,
    *,
    is_last: bool,
) -> Reason:
    """Say whether the run ends after this block, and why.

    Where there is no pair at all, there is nothing to decide, and the run goes on to its end.

    Args:
        stopping: the plan's rule.
        blocks_done: whole blocks so far.
        waited_for: the pairs that have to be decided.
        spent_s: time that the run took so far, all its sessions together.
        is_last: no block is left.
    """
    is_decided = bool(waited_for) and all(pair.state != "open" for pair in waited_for)
    if stopping.gap is not None and is_decided and blocks_done >= stopping.min_blocks:
        return "decided"
    if is_last:
        return "all_blocks"
    if stopping.time_budget_s is not None and spent_s >= stopping.time_budget_s:
        return "time_budget"
    return "going_on"


def pairs_to_wait_for(pairs: Sequence[PairDecision], usable: Sequence[Trial]) -> list[PairDecision]:
    """Leave out pairs with a variant that has not had one usable trial on the endpoint.

    A server that never starts would otherwise keep the run going to its last block.
    """
    seen = {(trial.endpoint, trial.variant) for trial in usable}
    return [p for p in pairs if {(p.endpoint, p.a), (p.endpoint, p.b)} <= seen]
