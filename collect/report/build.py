"""What a report says, before any format: rankings, marks, what was left out, what to do next."""

from __future__ import annotations

import string
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collect.attempts import split_attempt
from collect.beside import beside, is_worth_it
from collect.checks import Reason, Verdict, usual_canaries, verdicts
from collect.detective import Steadiness, investigate, throughput_of
from collect.lang import sentences
from collect.model import IN_THE_WAY, NOT_STOPPED, Outcome
from collect.report.answer import answer
from collect.report.cautions import cautions
from collect.report.course import Line, course
from collect.report.ladder import Ladder, is_below_the_app, ladders
from collect.report.next_steps import Findings, next_steps
from collect.report.proxies import ProxyCost, lonely, proxy_costs
from collect.report.ranking import EndpointReport, idle_of, rank_endpoint
from collect.report.rates import EndpointRates, rates_of
from collect.report.settings import Settings, settings_of
from collect.report.steadiness import headline
from collect.report.together import TogetherTable, same_settings, together
from collect.report.words import LEFT_OUT_MARK
from collect.stats import compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from collect.model import Plan, Trial
    from collect.store import HostFacts, HostRun, Run, StoredTrial

# Reasons that are the server's own doing. Not load_failed: that may be the generator's.
_FAULTS_OF_THE_SERVER = frozenset({
    "start_failed", "not_ready", "wrong_answer_before", "wrong_answer_after", "server_died",
    "proxy_died", "out_of_memory", "restarted", "error_status", "no_requests",
    "connections_refused", "broken_connections", "little",
})  # fmt: skip
_FAULTS_OF_THE_HOST = frozenset({"other_processes", "clock_step", "loadgen_busy"})
"""Beside one of these nobody knows whose doing it was."""
_UNANSWERED = "unanswered"
_LETTERS = [letter for letter in string.ascii_letters if letter != LEFT_OUT_MARK]


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
    answer: str
    """What to take from this host's figures, in a few sentences."""
    facts: HostFacts
    plan: Plan
    """With the blocks that the run has."""
    course: tuple[Line, ...]
    """How the run went."""
    endpoints: tuple[EndpointReport, ...]
    legs: tuple[TrialLine, ...]
    """Those at a fixed rate; no ranking holds them."""
    rates: tuple[EndpointRates, ...]
    """Latency at fixed rates, by endpoint; empty in a run without such legs."""
    ladders: tuple[Ladder, ...]
    """Where the time of a request goes, by variant; empty in a run without the ladder."""
    steady: Steadiness
    """What happened to the host's speed along the run."""
    proxies: tuple[ProxyCost, ...]
    """One for each variant behind a proxy."""
    settings: Settings
    notes: tuple[Note, ...]
    trials: tuple[TrialLine, ...]
    left_out: tuple[TrialLine, ...]
    used: Mapping[tuple[str, str], Sequence[Trial]]
    """By variant and endpoint, the trials that figures rest on: not invalid, and one a cell."""
    measured_blocks: int
    """Of the blocks in the plan those that are here as a whole."""
    made_good: int
    """How many of those left out a re-run stands in for."""
    shows_proxy: bool
    shows_profile: bool
    shows_label: bool
    shows_workers: bool
    warnings: tuple[str, ...]
    next_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a run, a section for each host."""

    run_id: str
    folder: Path
    hosts: tuple[HostReport, ...]
    together: tuple[TogetherTable, ...]
    """The hosts side by side, a table an endpoint; none with a single host."""
    together_note: str
    """What was not the same on every host; may be empty."""


def build_report(run: Run) -> Report:
    """Judge every trial and compare the variants; invalid trials enter no figure."""
    hosts = tuple(_host(run, host) for host in run.hosts)
    return Report(run.run_id, run.folder, hosts, together(hosts), same_settings(hosts))


def _host(run: Run, host: HostRun) -> HostReport:
    trials = [stored.trial for stored in host.trials]
    every = [*trials, *(stored.trial for stored in host.legs)]
    judged = dict(zip((trial.trial_id for trial in every), _judge(every), strict=True))
    pairs = [(trial, judged[trial.trial_id]) for trial in trials]
    # Of all that a bootstrap tells a report shows what a proxy costs.
    has_proxies = any(variant.proxy != "none" for variant in host.plan.variants)
    compared = beside(
        lambda: [compare(host.plan, pairs, resampled=("rps",) if has_proxies else ())],
        apart=is_worth_it(len(pairs)),
    )
    notes = _notes(host, judged)
    letters = {note.reason.code: note.mark for note in notes}
    lines = tuple(
        TrialLine(stored, own := judged[stored.trial.trial_id], _marks(own, letters))
        for stored in host.trials
    )
    legs = tuple(
        TrialLine(stored, own := judged[stored.trial.trial_id], _marks(own, letters))
        for stored in host.legs
    )

    def is_valid(trial: Trial) -> bool:
        return judged[trial.trial_id].status != "invalid"

    # By their ids: to compare whole trials with each other would take the square of their number.
    counted = {
        stored.trial.trial_id
        for stored in (*host.counted(is_valid), *host.counted(is_valid, host.legs))
    }

    def is_used(line: TrialLine) -> bool:
        return is_valid(line.trial) and line.trial.trial_id in counted

    used_legs = [line for line in legs if is_used(line)]
    # A rate at which the server died was not kept: to leave it out would flatter.
    failed_legs = [
        _as_failed(line)
        for line in legs
        if line.trial.trial_id in counted and not is_valid(line.trial) and _failed_itself(line)
    ]
    used = [(line.trial, line.marks) for line in lines if is_used(line)]
    by_pair: dict[tuple[str, str], list[Trial]] = {}
    by_endpoint: dict[str, list[tuple[Trial, tuple[str, ...]]]] = {}
    for trial, marks in used:
        by_pair.setdefault((trial.variant, trial.endpoint), []).append(trial)
        by_endpoint.setdefault(trial.endpoint, []).append((trial, marks))
    # A run that ended early has fewer blocks than were planned, and is none the worse for it.
    plan = replace(host.plan, blocks=host.blocks)
    idle_bytes = idle_of(trial for trial, _ in used)
    steady = investigate(
        host.plan,
        pairs,
        zone=host.facts.timezone,
        rates=lambda trial: throughput_of(host.stored(trial)),
    )
    comparison = next(compared)
    failures = _failures(lines)
    endpoints = tuple(
        rank_endpoint(
            plan,
            endpoint,
            comparison,
            by_endpoint.get(endpoint.name, ()),
            idle_bytes,
            failures.get(endpoint.name, {}),
        )
        for endpoint in plan.endpoints
    )
    of_the_app = [part for part in endpoints if not is_below_the_app(part.endpoint)]
    proxies = proxy_costs(plan, endpoints, by_pair)
    unpaired = (lonely(found) for found in proxies if found.direct is None)
    left_out = tuple(line for line in (*lines, *legs) if line.verdict.status == "invalid")
    good = [*(trial for trial, _ in used), *(line.trial for line in used_legs)]
    cells = {split_attempt(trial.trial_id)[0] for trial in good}
    made_good = sum(split_attempt(line.trial.trial_id)[0] in cells for line in left_out)
    competitors = [variant for variant in plan.variants if variant.twin_of is None]
    counts = Counter(line.verdict.status for line in (*lines, *legs))
    return HostReport(
        name=host.name,
        answer=sentences(answer(plan, of_the_app, is_whole=not host.missing), headline(steady)),
        facts=host.facts,
        plan=plan,
        course=course(host, of_the_app, counts),
        endpoints=endpoints,
        legs=legs,
        rates=rates_of(plan, [*(line.trial for line in used_legs), *failed_legs]),
        ladders=ladders(plan, [trial for trial, _ in used]),
        steady=steady,
        proxies=proxies,
        settings=settings_of(plan),
        notes=notes,
        trials=lines,
        left_out=left_out,
        used=by_pair,
        measured_blocks=host.measured_blocks,
        made_good=made_good,
        shows_proxy=len({variant.proxy for variant in competitors}) > 1,
        shows_profile=len({variant.profile for variant in competitors}) > 1,
        shows_label=len({variant.label for variant in competitors}) > 1,
        shows_workers=len({variant.workers for variant in competitors}) > 1,
        warnings=(*cautions(host, endpoints), *unpaired),
        next_steps=next_steps(run, host, Findings(endpoints, len(left_out) - made_good)),
    )


def _judge(trials: Sequence[Trial]) -> Iterator[Verdict]:
    half = len(trials) // 2
    usual_s = usual_canaries(trials)
    rest = beside(lambda: [verdicts(trials[half:], usual_s)], apart=is_worth_it(len(trials)))
    yield from verdicts(trials[:half], usual_s)
    yield from next(rest)


def _failed_itself(line: TrialLine) -> bool:
    """Tell whether a trial is invalid by the server's own doing, and not the host's or ours."""
    codes, reason = _invalid_codes(line), line.trial.outcome.reason or ""
    if codes & _FAULTS_OF_THE_HOST or IN_THE_WAY in reason or NOT_STOPPED in reason:
        return False
    return bool(codes & _FAULTS_OF_THE_SERVER) or codes == {_UNANSWERED}


def _as_failed(line: TrialLine) -> Trial:
    """Return a leg at which the server failed, so that none of its figures counts.

    Of one that lost requests they do: the lost ones are later than all others in its percentiles.
    """
    trial = line.trial
    if trial.outcome.status != "ok" or _invalid_codes(line) == {_UNANSWERED}:
        return trial
    return replace(trial, outcome=Outcome("server_died", line.verdict.reasons[0].seen))


def _invalid_codes(line: TrialLine) -> set[str]:
    return {reason.code for reason in line.verdict.reasons if reason.severity == "invalid"}


def _failures(lines: Iterable[TrialLine]) -> dict[str, Counter[str]]:
    """Count the blocks in which each variant failed by itself: `{endpoint: {variant: blocks}}`.

    A re-run that went well mends the figure, and not the failure: who looks only at what could be
    measured would call a server fastest that dies in every other block.
    """
    cells = {
        (line.trial.endpoint, line.trial.variant, line.trial.block)
        for line in lines
        if line.verdict.status == "invalid" and _failed_itself(line)
    }
    found: dict[str, Counter[str]] = {}
    for endpoint, variant, _block in cells:
        found.setdefault(endpoint, Counter())[variant] += 1
    return found


def _notes(host: HostRun, judged: Mapping[str, Verdict]) -> tuple[Note, ...]:
    """Give a letter to each reason of a trial that is used all the same, the commonest first."""
    by_code: dict[str, list[tuple[Trial, Reason]]] = {}
    for stored in (*host.trials, *host.legs):
        verdict = judged[stored.trial.trial_id]
        if verdict.status == "suspect":
            for reason in verdict.reasons:
                if reason.code == "rate_missed":
                    continue  # The tables of the rates say it, in the place of the latency.
                by_code.setdefault(reason.code, []).append((stored.trial, reason))
    notes = []
    codes = sorted(by_code, key=lambda code: (-len(by_code[code]), code))
    for mark, code in zip(_LETTERS, codes, strict=False):
        found = by_code[code]
        notes.append(
            Note(
                mark=mark,
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
    return tuple(letters[reason.code] for reason in judgement.reasons if reason.code in letters)
