"""What a report says, before any format: rankings, marks, what was left out, what to do next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collect.checks import Reason, Verdict, verdict
from collect.plan import estimate_s
from collect.report import text
from collect.stats import MIN_BLOCKS, Rank, Summary, rank, summarise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collect.model import Endpoint, Plan, Trial, Variant
    from collect.store import HostFacts, HostRun, Run, StoredTrial


@dataclass(frozen=True, slots=True)
class Row:
    """One variant in one ranking."""

    variant: Variant
    position: int
    """Counted from 1, by the median; rows without a figure come last."""
    rank: Rank | None
    """None where there are too few blocks to tell anything apart, or no figure."""
    figure: Summary | None
    """req/s, or the peak of PSS in bytes; None where no trial gave one."""
    p99_ms: Summary | None
    idle_bytes: Summary | None
    errors: int | None
    """Socket errors, time-outs and error answers of the trials used; None without one."""
    used: int
    planned: int
    marks: tuple[str, ...]
    """Letters of the notes that the trials used gave rise to."""


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """The rankings of one endpoint."""

    endpoint: Endpoint
    rps: tuple[Row, ...]
    memory: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A reason that trials in the rankings share, behind a letter."""

    mark: str
    reason: Reason
    """As the first of the trials gives it."""
    trial_id: str
    variants: tuple[str, ...]
    trials: int


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One trial with its verdict."""

    stored: StoredTrial
    verdict: Verdict
    marks: tuple[str, ...]

    @property
    def trial(self) -> Trial:
        """The trial's figures."""
        return self.stored.trial


@dataclass(frozen=True, slots=True)
class HostReport:
    """Everything about one host."""

    name: str
    facts: HostFacts
    plan: Plan
    endpoints: tuple[EndpointReport, ...]
    notes: tuple[Note, ...]
    trials: tuple[TrialLine, ...]
    left_out: tuple[TrialLine, ...]
    missing: tuple[str, ...]
    shows_proxy: bool
    shows_profile: bool
    warnings: tuple[str, ...]
    next_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a run, a section for each host."""

    run_id: str
    folder: Path
    hosts: tuple[HostReport, ...]


def build_report(run: Run) -> Report:
    """Judge every trial and rank the variants; invalid trials enter no figure."""
    return Report(run.run_id, run.folder, tuple(_host(run, host) for host in run.hosts))


def _host(run: Run, host: HostRun) -> HostReport:
    judged = [(stored, verdict(stored.trial)) for stored in host.trials]
    counted = host.counted(lambda trial: verdict(trial).status != "invalid")
    notes = _notes(judged)
    letters = {note.reason.code: note.mark for note in notes}
    lines = tuple(
        TrialLine(stored, judgement, _marks(judgement, letters)) for stored, judgement in judged
    )
    # A run that ended early has fewer blocks than were planned, and is none the worse for it.
    plan = replace(host.plan, blocks=host.blocks)
    # Of two attempts one counts; both are shown, and an invalid one among what was left out.
    ranked = tuple(line for line in lines if line.stored in counted)
    endpoints = tuple(_endpoint(plan, endpoint, ranked) for endpoint in plan.endpoints)
    left_out = tuple(line for line in lines if line.verdict.status == "invalid")
    missing = tuple(trial.id for trial in host.missing)
    return HostReport(
        name=host.name,
        facts=host.facts,
        plan=plan,
        endpoints=endpoints,
        notes=notes,
        trials=lines,
        left_out=left_out,
        missing=missing,
        shows_proxy=len({variant.proxy for variant in plan.variants}) > 1,
        shows_profile=len({variant.profile for variant in plan.variants}) > 1,
        warnings=_warnings(host, endpoints),
        next_steps=_next_steps(run, host, (missing, left_out, endpoints)),
    )


def _notes(judged: list[tuple[StoredTrial, Verdict]]) -> tuple[Note, ...]:
    """Give a letter to each reason of a trial that is used all the same, the commonest first."""
    by_code: dict[str, list[tuple[Trial, Reason]]] = {}
    for stored, judgement in judged:
        if judgement.status == "suspect":
            for reason in judgement.reasons:
                by_code.setdefault(reason.code, []).append((stored.trial, reason))
    notes = []
    for index, code in enumerate(sorted(by_code, key=lambda code: (-len(by_code[code]), code))):
        found = by_code[code]
        notes.append(
            Note(
                mark=chr(ord("a") + index),
                reason=found[0][1],
                trial_id=found[0][0].trial_id,
                variants=tuple(dict.fromkeys(trial.variant for trial, _ in found)),
                trials=len(found),
            )
        )
    return tuple(notes)


def _marks(judgement: Verdict, letters: dict[str, str]) -> tuple[str, ...]:
    if judgement.status != "suspect":
        return ()
    return tuple(letters[reason.code] for reason in judgement.reasons)


def _endpoint(plan: Plan, endpoint: Endpoint, lines: tuple[TrialLine, ...]) -> EndpointReport:
    own = [line for line in lines if line.trial.endpoint == endpoint.name]

    def rps(trial: Trial) -> float | None:
        return None if trial.wrk is None else trial.wrk.rps

    def memory(trial: Trial) -> float | None:
        return None if trial.memory is None else trial.memory.pss_peak_bytes

    return EndpointReport(
        endpoint,
        rps=_ranking(plan, own, rps, largest_first=True),
        memory=_ranking(plan, own, memory, largest_first=False),
    )


def _ranking(
    plan: Plan,
    lines: list[TrialLine],
    value: Callable[[Trial], float | None],
    *,
    largest_first: bool,
) -> tuple[Row, ...]:
    used = {
        variant.id: [
            line
            for line in lines
            if line.trial.variant == variant.id and line.verdict.status != "invalid"
        ]
        for variant in plan.variants
    }
    found: list[tuple[Variant, Summary]] = []
    without: list[Variant] = []
    for variant in plan.variants:
        summary = summarise(value(line.trial) for line in used[variant.id])
        if summary is None:
            without.append(variant)
        else:
            found.append((variant, summary))
    found.sort(key=lambda pair: pair[1].median, reverse=largest_first)
    ranks = rank([summary for _, summary in found], largest_first=largest_first)
    rows = [
        (variant, place, summary) for (variant, summary), place in zip(found, ranks, strict=True)
    ]
    return tuple(
        _row(plan, (variant, place, summary), used[variant.id], position)
        for position, (variant, place, summary) in enumerate(
            [*rows, *((variant, None, None) for variant in without)], start=1
        )
    )


def _row(
    plan: Plan,
    ranked: tuple[Variant, Rank | None, Summary | None],
    lines: list[TrialLine],
    position: int,
) -> Row:
    variant, place, summary = ranked
    figures = [line.trial.wrk for line in lines if line.trial.wrk is not None]
    memories = [line.trial.memory for line in lines if line.trial.memory is not None]
    errors = [
        wrk.errors.connect
        + wrk.errors.read
        + wrk.errors.write
        + wrk.errors.timeout
        + wrk.errors.status
        for wrk in figures
    ]
    return Row(
        variant=variant,
        position=position,
        rank=place,
        figure=summary,
        p99_ms=summarise(wrk.latency_ms.p99 for wrk in figures),
        idle_bytes=summarise(memory.pss_idle_bytes for memory in memories),
        errors=sum(errors) if errors else None,
        used=len(lines),
        planned=plan.blocks,
        marks=tuple(sorted({mark for line in lines for mark in line.marks})),
    )


def _warnings(host: HostRun, endpoints: tuple[EndpointReport, ...]) -> tuple[str, ...]:
    plan = host.plan
    warnings = []
    if host.changed_facts:
        warnings.append(
            f"The host changed during the run: compare host.json with "
            f"{', '.join(map(text.one_line, host.changed_facts))}, and take a new run id."
        )
    if plan.blocks < MIN_BLOCKS:
        warnings.append(
            f"{_blocks(plan.blocks)} of {plan.load.duration_s:g} s trials: too few to give a spread"
            " or to tell servers apart. The order below may be chance."
        )
    elif any(0 < row.used < MIN_BLOCKS for endpoint in endpoints for row in endpoint.rps):
        warnings.append(
            "Ranks with a question mark rest on fewer than three trials: too few to give a spread."
        )
    if plan.order == "sequential":
        warnings.append(
            "Sequential order: a slow half hour of the host falls on one server alone. "
            "Do not conclude from these ranks; bench_order: interleaved can."
        )
    workers = {variant.workers for variant in plan.variants}
    if len(workers) > 1:
        warnings.append(
            f"The worker budgets differ ({min(workers)} to {max(workers)} workers): "
            "this compares configurations, not servers."
        )
    return tuple(warnings)


def _next_steps(
    run: Run,
    host: HostRun,
    findings: tuple[tuple[str, ...], tuple[TrialLine, ...], tuple[EndpointReport, ...]],
) -> tuple[str, ...]:
    missing, left_out, endpoints = findings
    steps = []
    if missing:
        steps.append(
            f"{len(missing)} of {len(host.plan.trials)} trials are not here yet. Go on with: "
            f"ansible-playbook bench.yml -i INVENTORY -e bench_run_id={text.one_line(run.run_id)}"
        )
    if left_out:
        steps.append("Mend what is listed under “Left out” and run again.")
    rows = [row for endpoint in endpoints for row in endpoint.rps if row.figure is not None]
    is_open = any(row.rank is None or row.rank.best != row.rank.worst for row in rows)
    if is_open and len(host.plan.variants) > 1:
        blocks = max(5, host.plan.blocks * 2)
        per_block_s = estimate_s(host.plan).total_s / host.plan.blocks
        steps.append(
            "Some servers are not told apart; more blocks may. Run: ansible-playbook bench.yml "
            f"-i INVENTORY -e bench_blocks={blocks} (about {text.seconds(per_block_s * blocks)})"
        )
    if not steps:
        run_id = text.one_line(run.run_id)
        steps.append(
            f"Keep results/{run_id}: every table is rebuilt from it. To share this page: "
            f"serverbench report {run_id} --format markdown --output report.md"
        )
    return tuple(steps)


def _blocks(number: int) -> str:
    return "1 block" if number == 1 else f"{number} blocks"
