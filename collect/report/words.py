"""Sentences and cells that every format has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.report import text
from collect.report.settings import OWN

if TYPE_CHECKING:
    from collect.report.build import HostReport, Note, TrialLine
    from collect.report.ranking import Row

RPS_TITLE = "Requests per second"
MEMORY_TITLE = "Peak memory (PSS)"
COST_TITLE = "p99 latency and CPU per request"
SETTINGS_TITLE = "Settings"
LEFT_OUT_TITLE = "Left out of every figure"
MARKS_TITLE = "Marks: used, but read this"
TRIALS_TITLE = "Every trial"
NEXT_TITLE = "What to do next"
LEFT_OUT_MARK = "x"

PROXIES_TITLE = "What a proxy costs"


def head(host: HostReport) -> tuple[str, str]:
    """Say on two lines where, with what and how it was measured."""
    facts, plan = host.facts, host.plan
    memory = text.mebibytes(facts.memory_bytes)
    where = [
        f"kernel {text.one_line(facts.kernel)}" if facts.kernel else None,
        # It fits 80 columns without, and it tells nobody anything.
        text.one_line(facts.distribution).replace(" GNU/Linux", "") if facts.distribution else None,
        f"{facts.cores} cores" if facts.cores else None,
        f"{text.figure(memory / 1024)} GiB" if memory else None,
    ]
    known = ", ".join(part for part in where if part) or "host.json says nothing of it"
    how = [
        f"Python {text.one_line(facts.python)}" if facts.python else None,
        None if host.shows_workers else f"{text.number(plan.variants[0].workers, 'worker')} each",
        text.load(plan.load),
        f"seed {plan.seed}",
    ]
    return (
        f"{text.one_line(host.name)}: {known}",
        f"run {text.one_line(plan.run_id)}: {', '.join(part for part in how if part)}",
    )


def legend(host: HostReport) -> str:
    """Explain the columns, and how long each trial was."""
    load = host.plan.load
    return (
        f"Each trial: {load.duration_s:g} s after a warm-up of {load.warmup_s:g} s, time-out "
        f"{load.timeout_s:g} s. req/s, MiB and ms are medians over blocks. They have no interval "
        "of their own, because the host's speed changes from hour to hour; ratios inside a block "
        "hold. behind best: how many times better the figure of the row with 1 is, block by block, "
        "with its 95 % interval, which allows for all pairs; rows are in that order, and medians "
        "may differ. tier: those that share one (=) are not all told apart, and their order means "
        "nothing. used: trials in the figure, of those planned. errors: socket errors, time-outs "
        "and error answers."
    )


def memory_legend(host: HostReport) -> str:
    """Explain what the memory figures hold."""
    return (
        "memory: PSS of the server's whole process tree at its peak under load; a page that n "
        f"processes share counts 1/n in each. idle: before any load.{_proxied(host)}"
    )


def cost_legend(host: HostReport) -> str:
    """Explain p99 and what the CPU figures hold."""
    proxy = "" if host.proxies else "proxy and "
    return (
        "p99: 99 of 100 answers came sooner. CPU: time of the server's own processes for one "
        f"request, without {proxy}databases.{_proxied(host)}"
    )


def _proxied(host: HostReport) -> str:
    return " Behind a proxy, the proxy's share is in it." if host.proxies else ""


def settings_legend(host: HostReport) -> str:
    """Explain the words and letters in the table of settings; empty where there are none."""
    words = {
        text.UNKNOWN: "n/a: the server has no setting for it, so it was not asked.",
        OWN: "own: left at the server's own default.",
    }
    lines = [line for word, line in words.items() if word in host.settings.shows]
    lines += [f"{letter} {value}." for letter, value in host.settings.long_values]
    return " ".join(lines)


def knob(name: str) -> str:
    """Return a knob's name with its unit set apart: `keepalive s`."""
    return name.replace("_", " ")


def used(row: Row) -> str:
    """Say how many trials a figure rests on."""
    return f"{row.used}/{row.planned}"


def behind(row: Row) -> str:
    """Say how far behind the best a row is."""
    if row.median is None:
        return ""
    return "1" if row.is_first else text.interval(row.behind)


def note(item: Note) -> str:
    """Explain one mark: who, what was seen, what to do."""
    variants = ", ".join(map(text.one_line, item.variants))
    first = f", such as {text.one_line(item.trial_id)}" if item.trials > 1 else ""
    return (
        f"{item.reason.code}: {variants}, {text.number(item.trials, 'trial')}{first}. "
        f"{text.one_line(item.reason.seen)} {text.one_line(item.reason.remedy)}"
    )


def why_left_out(line: TrialLine) -> tuple[str, str]:
    """Say what was seen and what to do, of the gravest reason of a trial that is left out."""
    reason = next(reason for reason in line.verdict.reasons if reason.severity == "invalid")
    return text.one_line(reason.seen), text.one_line(reason.remedy)


def left_out_summary(host: HostReport) -> str:
    """Count the trials left out."""
    good = f"; a re-run stands in for {host.made_good}" if host.made_good else ""
    return f"{len(host.left_out)} of {len(host.trials)} trials{good}"
