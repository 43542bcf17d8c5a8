"""Compare two runs that were read from disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.changes.differences import Difference, find_differences
from collect.changes.figures import Table, compare_figures
from collect.changes.pairing import pair_hosts
from collect.checks import verdict
from collect.errors import DataError
from collect.lang import _
from collect.stats import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from collect.changes.figures import Blocks
    from collect.changes.pairing import HostPair
    from collect.model import Order, PlannedTrial, Trial
    from collect.store import HostRun, Run


@dataclass(frozen=True, slots=True)
class Used:
    """What of one run on one host the figures come from."""

    host: str
    blocks: int
    order: Order
    trials: int
    """Cells of the plan that have a trial, for the variants and endpoints of both runs."""
    invalid: int
    """Of those, left out of every figure."""
    suspect: int
    """Of those, used all the same."""
    missing: int
    """Planned, and not here."""
    missed: int
    """Planned for windows that are past, and never measured."""


@dataclass(frozen=True, slots=True)
class HostChanges:
    """The changes on one pair of hosts."""

    name: str
    a: Used
    b: Used
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed from run A to run B."""

    run_a: str
    run_b: str
    differences: tuple[Difference, ...]
    """What must be the same and is not. If there is any, the changes may come from there."""
    hosts: tuple[HostChanges, ...]
    notes: tuple[str, ...]


def compare_runs(a: Run, b: Run) -> Changes:
    """Pair two runs and compare what was paired; it is for the caller to mind the differences.

    Raises:
        DataError: nothing can be paired, or no pair has a valid trial in both runs.
    """
    pairs, notes = pair_hosts(a, b)
    differences: list[Difference] = []
    hosts = []
    for pair in pairs:
        found, unknown = find_differences(pair)
        differences += found
        hosts.append(_compare_hosts(pair, unknown))
    if not any(row.change for host in hosts for table in host.tables for row in table.rows):
        raise DataError(
            f"nothing to compare: no variant has a valid trial in both runs; `serverbench report "
            f"{a.run_id}` and `serverbench report {b.run_id}` say why"
        )
    return Changes(a.run_id, b.run_id, tuple(differences), tuple(hosts), notes)


def _compare_hosts(pair: HostPair, unknown: Iterable[str]) -> HostChanges:
    used_a, trials_a = _use(pair, pair.a)
    used_b, trials_b = _use(pair, pair.b)
    is_interleaved = used_a.order == used_b.order == "interleaved"
    tables = []
    for endpoint in pair.endpoints:
        for measure in METRICS:
            figures_a, figures_b = (
                _figures(pair.variants, endpoint, trials, measure.value)
                for trials in (trials_a, trials_b)
            )
            tables.append(
                compare_figures(
                    (endpoint, measure.name),
                    figures_a,
                    figures_b,
                    higher_is_better=measure.higher_is_better,
                    same_blocks=is_interleaved,
                )
            )
    notes = list(pair.notes)
    if said := _(", ").join(unknown):
        notes.append(_("Not known, so not compared: {facts}.").format(facts=said))
    if not is_interleaved:
        notes.append(
            _(
                "In sequential order each variant ran in its own hours, so the host may have been "
                "another one for each of them: none is compared with the others."
            )
        )
    for name, used in (("A", used_a), ("B", used_b)):
        notes += _left_out(name, used)
    return HostChanges(pair.name, used_a, used_b, tuple(tables), tuple(notes))


def _use(pair: HostPair, host: HostRun) -> tuple[Used, list[Trial]]:
    def count(planned: Iterable[PlannedTrial]) -> int:
        return sum(
            trial.leg == "capacity"
            and trial.variant in pair.variants
            and trial.endpoint in pair.endpoints
            for trial in planned
        )

    cells = [
        (stored.trial, verdict(stored.trial).status)
        for stored in host.counted(lambda trial: verdict(trial).status != "invalid")
        if stored.trial.variant in pair.variants and stored.trial.endpoint in pair.endpoints
    ]
    usable = [trial for trial, status in cells if status != "invalid"]
    return Used(
        host=host.name,
        blocks=host.measured_blocks,
        order=host.plan.order,
        trials=len(cells),
        invalid=len(cells) - len(usable),
        suspect=sum(status == "suspect" for _trial, status in cells),
        missing=count(host.missing),
        missed=count(host.missed),
    ), usable


def _figures(
    variants: Iterable[str],
    endpoint: str,
    trials: Iterable[Trial],
    value: Callable[[Trial], float | None],
) -> dict[str, Blocks]:
    figures: dict[str, Blocks] = {name: {} for name in variants}
    for trial in trials:
        if trial.endpoint == endpoint and (figure := value(trial)) is not None:
            figures[trial.variant][trial.block] = figure
    return figures


def _left_out(run: str, used: Used) -> list[str]:
    notes = []
    if used.invalid:
        said = _("{run}: {count} of {trials} trials are invalid and left out.")
        notes.append(said.format(run=run, count=used.invalid, trials=used.trials))
    if used.suspect:
        said = _("{run}: {count} of {trials} trials are suspect, and used.")
        notes.append(said.format(run=run, count=used.suspect, trials=used.trials))
    if used.missing:
        said = _("{run}: {count} planned trials are not here (yet).")
        notes.append(said.format(run=run, count=used.missing))
    if used.missed:
        said = _("{run}: {count} planned trials belong to windows that were missed or cut off.")
        notes.append(said.format(run=run, count=used.missed))
    return notes
