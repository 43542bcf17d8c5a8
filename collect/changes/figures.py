"""How one metric on one endpoint changed from run A to run B, with intervals.

1. *Change.* The blocks of the two runs are two independent samples; Welch's t test of the
   logarithms (`collect.stats.unpaired`) gives the ratio B / A of geometric means and its interval.
2. *Drift.* The median of the variants' changes: what moved all of them alike, such as a host that
   was throttled through one run. Half of the variants must change before the median follows them.
3. *Against the others.* A variant's change over that median. Its error comes from inside the
   blocks: what a block is off its run's mean for this variant, less what it is off for the others,
   so whatever speeds up or slows down a whole block adds nothing. Simulated: at most 1 table of 20
   names an unchanged variant; of three variants where one changed and another is three times as
   noisy as the third, 2 of 20 may.
4. *Several variants.* Holm's method over the variants of one endpoint and metric, with simultaneous
   95 % intervals that agree with it (`collect.decide.decide_pairs`).
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from collect.decide import decide_pairs
from collect.stats.unpaired import welch_looks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collect.decide import Look
    from collect.stats import Metric

MIN_SHARED = 3
"""Of two variants that moved apart nobody can say which one moved."""

State = Literal["higher", "lower", "not_told", "unknown"]
Blocks = dict[int, float]
"""Figures of one variant by the number of the block."""

_A, _B = "A", "B"
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Change:
    """A ratio B / A."""

    ratio: float
    low: float | None
    """The 95 % interval, for all variants of the table at once; None with one block in a run."""
    high: float | None
    state: State
    """`not_told` where the interval holds 1, `unknown` where there is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One variant."""

    variant: str
    a: float | None
    """Geometric mean over the blocks of run A, in the metric's own unit; None without any."""
    b: float | None
    blocks_a: int
    """Blocks that gave a figure."""
    blocks_b: int
    change: Change | None
    """None where a run has no figure."""
    relative: Change | None
    """The change over the median change of all; None with fewer than `MIN_SHARED` variants."""


@dataclass(frozen=True, slots=True)
class Table:
    """One metric on one endpoint."""

    endpoint: str
    metric: Metric
    higher_is_better: bool
    rows: tuple[Row, ...]
    drift: float | None
    """The median ratio of all variants; None with fewer than two."""


def compare_figures(
    table: tuple[str, Metric],
    a: Mapping[str, Blocks],
    b: Mapping[str, Blocks],
    *,
    higher_is_better: bool,
    same_blocks: bool = True,
) -> Table:
    """Compare one metric on one endpoint.

    Args:
        table: the endpoint's name and the metric.
        a: figures of run A for each variant, of trials that are not invalid.
        b: the same variants in run B.
        higher_is_better: of the metric.
        same_blocks: whether the variants of a block ran close together in both runs; without that
            they do not share what the host did, and none is compared with the others.
    """
    known_a, known_b = ({name: _positive(blocks) for name, blocks in run.items()} for run in (a, b))
    logs = {
        name: statistics.fmean(_logs(known_b[name])) - statistics.fmean(_logs(known_a[name]))
        for name in a
        if known_a[name] and known_b[name]
    }
    drift = statistics.median(logs.values()) if len(logs) > 1 else None
    looks = {
        name: _look(known_a[name].values(), known_b[name].values(), log)
        for name, log in logs.items()
    }
    changes = _changes(table[0], logs, looks)
    relatives: dict[str, Change] = {}
    if same_blocks and drift is not None and len(logs) >= MIN_SHARED:
        off_a, off_b = (
            _off_others({name: run[name] for name in logs}) for run in (known_a, known_b)
        )
        against = {name: log - drift for name, log in logs.items()}
        looks = {name: _look(off_a[name], off_b[name], log) for name, log in against.items()}
        relatives = _changes(table[0], against, looks)
    rows = tuple(
        Row(
            variant=name,
            a=_geometric_mean(known_a[name]),
            b=_geometric_mean(known_b[name]),
            blocks_a=len(known_a[name]),
            blocks_b=len(known_b[name]),
            change=changes.get(name),
            relative=relatives.get(name),
        )
        for name in a
    )
    return Table(
        *table,
        higher_is_better=higher_is_better,
        rows=rows,
        drift=None if drift is None else math.exp(drift),
    )


def _positive(blocks: Blocks) -> Blocks:
    return {block: x for block, x in blocks.items() if 0 < x < math.inf}


def _logs(blocks: Blocks) -> list[float]:
    return [math.log(x) for x in blocks.values()]


def _geometric_mean(blocks: Blocks) -> float | None:
    return math.exp(statistics.fmean(_logs(blocks))) if blocks else None


def _look(a: Iterable[float], b: Iterable[float], estimate: float) -> Look | None:
    """Return Welch's look at B / A with this estimate of its logarithm; None with one block."""
    looks = welch_looks({_A: tuple(a), _B: tuple(b)}, [(_B, _A)])[_B, _A]
    return replace(looks[0], estimate=_round(estimate)) if looks else None


def _round(log: float) -> float:
    # Rounding is no change, however small the noise.
    return 0.0 if abs(log) < _CLOSE else log


def _off_others(run: Mapping[str, Blocks]) -> dict[str, list[float]]:
    """Return, for each variant, by what factor its blocks are off its mean, and the others not."""
    off: dict[str, dict[int, float]] = {}
    for name, blocks in run.items():
        mean = statistics.fmean(_logs(blocks))
        off[name] = {block: math.log(x) - mean for block, x in blocks.items()}
    apart: dict[str, list[float]] = {}
    for name, own in off.items():
        apart[name] = []
        for block, x in own.items():
            others = [off[other][block] for other in off if other != name and block in off[other]]
            apart[name].append(math.exp(x - (statistics.fmean(others) if others else 0.0)))
    return apart


def _changes(
    endpoint: str, logs: Mapping[str, float], looks: Mapping[str, Look | None]
) -> dict[str, Change]:
    known = {(name, _A): [look] for name, look in looks.items() if look is not None}
    decided = {
        pair.a: pair for pair in decide_pairs(endpoint, list(known), known, gap=None, floor=0.0)
    }
    changes = {}
    for name, log in logs.items():
        pair = decided.get(name)
        state: State = "unknown" if pair is None else "not_told"
        if pair is not None and pair.state == "separated":
            state = "higher" if log > 0 else "lower"
        low, high = (None, None) if pair is None else (pair.ratio_low, pair.ratio_high)
        changes[name] = Change(math.exp(_round(log)), low, high, state)
    return changes
