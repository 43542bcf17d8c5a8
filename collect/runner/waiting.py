"""What a run touches, and how it waits for a right answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from collect.model import Outcome
from collect.runner.answers import mismatch
from collect.runner.seams import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from collect.model import Endpoint
    from collect.runner.seams import (
        Asker,
        Clock,
        LoadGenerator,
        RateGenerator,
        Services,
        UnitState,
        Watch,
    )
    from collect.runner.trial_folder import TrialFolders

POLL_S = 0.02
LOOK_S = 0.5
FIRST_TIMEOUT_S = 1.0
SETTLE_S = 5.0
"""How long a server that has shown it works may take to its right answer: queues drain."""
STEADY_S = 5.0
"""A server that answers, and wrongly all this time, has made up its mind: another expectation, a
missing table, a debug page. Waiting on would cost its whole time-out in every block."""
PORT_FREE_S = 2.0
"""How long what was just stopped may take to give its port back."""
_NOT_YET = (502, 503, 504)
"""What a proxy says while its server starts, and a server while its app loads: nothing definite."""


class Surroundings(Protocol):
    """What waiting for an answer touches."""

    @property
    def clock(self) -> Clock:
        """Time."""

    @property
    def asker(self) -> Asker:
        """Makes one request."""


@dataclass(frozen=True, slots=True)
class Bench:
    """All that a run touches."""

    clock: Clock
    services: Services
    asker: Asker
    watch: Watch
    load: LoadGenerator
    paced: RateGenerator
    folders: TrialFolders
    cores: int
    log: Callable[[str], None]

    def at(self, port: int) -> Bench:
        """Return the same with questions and load going to that port."""
        return replace(
            self,
            asker=self.asker.at(port),
            load=self.load.at(port),
            paced=self.paced.at(port),
        )


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a variant. Seconds; `ready_s` belongs to the first trial after it only."""

    since_s: float
    ready_s: float | None


def foreign_listener(clock: Clock, asker: Asker, own: UnitState | None = None) -> str | None:
    """Say who holds the asker's port and does not give it back; None: nobody, or that very unit."""
    deadline_s = clock.monotonic() + PORT_FREE_S
    while owner := asker.port_owner(own):
        if clock.monotonic() >= deadline_s:
            return owner
        clock.sleep(0.1)
    return None


def ask_until_right(
    bench: Surroundings,
    endpoint: Endpoint,
    limit_s: float,
    give_up: Callable[[], Outcome | None],
    *,
    wrong_is_final: bool = False,
) -> Outcome | None:
    """Ask until the right answer comes; None is success.

    It ends early when wrong answers come for `STEADY_S` without a pause: silence, or an answer that
    says "not yet", begins the count anew.

    Args:
        bench: what asks, and the time.
        endpoint: what to ask, with the answer it must get.
        limit_s: how long to go on, in seconds.
        give_up: looked at between tries; ends the waiting when it returns an outcome.
        wrong_is_final: ask again only for silence, not for a wrong answer.
    """
    clock = bench.clock
    begun_s = looked_s = clock.monotonic()
    timeout_s = FIRST_TIMEOUT_S
    wrong_since_s: float | None = None
    while True:
        left_s = max(begun_s + limit_s - clock.monotonic(), POLL_S)
        try:
            answer = bench.asker.ask(endpoint, min(timeout_s, left_s))
            wrong = mismatch(endpoint.expect, answer)
            if wrong is None:
                return None
            if answer.status in _NOT_YET:
                wrong_since_s = None
            elif wrong_since_s is None:
                wrong_since_s = clock.monotonic()
            outcome = Outcome("wrong_answer_before", f"{endpoint.path}: {wrong}")
            if wrong_is_final:
                return outcome
        except NoAnswerError as error:
            outcome = Outcome("not_ready", f"{endpoint.path}: {error}")
            wrong_since_s = None
            # Short at first, to notice a failed unit soon; longer for a page that takes its time.
            timeout_s *= 2
        now_s = clock.monotonic()
        steady = wrong_since_s is not None and now_s >= wrong_since_s + STEADY_S
        over = steady or now_s >= begun_s + limit_s
        # systemd is asked by a command of some 10 ms of CPU, which the starting server needs.
        if over or now_s >= looked_s + LOOK_S:
            looked_s = now_s
            if found := give_up():
                return found
        if over:
            waited_s = min(limit_s, STEADY_S) if steady else limit_s
            return Outcome(outcome.status, f"{outcome.reason} (for {waited_s:g} s)")
        clock.sleep(POLL_S)
