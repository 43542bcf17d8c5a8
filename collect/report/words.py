"""Sentences that every format has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.report import text

if TYPE_CHECKING:
    from collect.report.build import HostReport, Note, TrialLine

RPS_TITLE = "Requests per second"
MEMORY_TITLE = "Peak memory (PSS)"
LEFT_OUT_TITLE = "Left out of every figure"
MARKS_TITLE = "Marks: used, but read this"
TRIALS_TITLE = "Every trial"
NEXT_TITLE = "What to do next"
NO_VALID_TRIAL = "no valid trial"
NOT_MEASURED = "not measured"

MEMORY_LEGEND = (
    "PSS of the whole process tree at its peak under load: a page that n processes share counts "
    "1/n in each. idle: before any load."
)


def head(host: HostReport) -> tuple[str, str]:
    """Say on two lines where, with what and how it was measured."""
    facts, plan = host.facts, host.plan
    memory = text.mebibytes(facts.memory_bytes)
    where = [
        f"kernel {text.one_line(facts.kernel)}" if facts.kernel else None,
        # Two lines fit 80 columns without it, and it tells nobody anything.
        text.one_line(facts.distribution).replace(" GNU/Linux", "") if facts.distribution else None,
        f"{facts.cores} cores" if facts.cores else None,
        f"{text.figure(memory / 1024)} GiB" if memory else None,
        f"Python {text.one_line(facts.python)}" if facts.python else None,
    ]
    known = ", ".join(part for part in where if part) or "host.json says nothing of it"
    blocks = "1 block" if plan.blocks == 1 else f"{plan.blocks} blocks"
    return (
        f"{text.one_line(host.name)}: {known}",
        (
            f"run {text.one_line(plan.run_id)}: {blocks}, {plan.order}, seed {plan.seed}, "
            f"{text.load(plan.load)}"
        ),
    )


def legend(host: HostReport) -> str:
    """Explain the columns, and how long each trial was."""
    load = host.plan.load
    return (
        f"Each trial: {load.duration_s:g} s after a warm-up of {load.warmup_s:g} s, time-out "
        f"{load.timeout_s:g} s. Figures are medians over blocks, "
        "min–max their range. "  # noqa: RUF001 - a range
        "≈1–3: any of these places may be the true one, because ranges overlap. "  # noqa: RUF001
        "used: trials in the figure, of those planned. "
        "errors: socket errors, time-outs and error answers."
    )


def note(item: Note) -> str:
    """Explain one mark: who, what was seen, what to do."""
    trials = "1 trial" if item.trials == 1 else f"{item.trials} trials"
    variants = ", ".join(map(text.one_line, item.variants))
    first = f", such as {text.one_line(item.trial_id)}" if item.trials > 1 else ""
    return (
        f"{item.reason.code}: {variants}, {trials}{first}. {text.one_line(item.reason.seen)} "
        f"{text.one_line(item.reason.remedy)}"
    )


def why_left_out(line: TrialLine) -> tuple[str, str]:
    """Say what was seen and what to do, of the gravest reason of a trial that is left out."""
    reason = next(reason for reason in line.verdict.reasons if reason.severity == "invalid")
    return text.one_line(reason.seen), text.one_line(reason.remedy)


def left_out_summary(host: HostReport) -> str:
    """Count the trials left out."""
    return f"{len(host.left_out)} of {len(host.trials)} trials"
