"""Sentences and cells that every format has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.lang import N_, _, sentences
from collect.report import text
from collect.report.settings import OWN

if TYPE_CHECKING:
    from collect.report.build import HostReport, Note, TrialLine
    from collect.report.ranking import Row

RPS_TITLE = N_("Requests per second")
MEMORY_TITLE = N_("Peak memory (PSS)")
COST_TITLE = N_("p99 latency and CPU per request")
SETTINGS_TITLE = N_("Settings")
LEFT_OUT_TITLE = N_("Left out of every figure")
MARKS_TITLE = N_("Marks: used, but read this")
TRIALS_TITLE = N_("Every trial")
NEXT_TITLE = N_("What to do next")
PROXIES_TITLE = N_("What a proxy costs")
LEFT_OUT_MARK = "x"

STATUSES = {"valid": N_("valid"), "suspect": N_("suspect"), "invalid": N_("invalid")}
NO_OUTPUT = N_("wrk printed nothing.")


def titled(title: str, name: str) -> str:
    """Name what a title is about; the title is in its language already."""
    return _("{title}: {name}").format(title=title, name=name)


def status(line: TrialLine) -> str:
    """Write a trial's verdict."""
    return _(STATUSES[line.verdict.status])


def head(host: HostReport) -> tuple[str, str]:
    """Say on two lines where, with what and how it was measured."""
    facts, plan = host.facts, host.plan
    memory = text.mebibytes(facts.memory_bytes)
    where = [
        _("kernel {version}").format(version=text.one_line(facts.kernel)) if facts.kernel else None,
        # It fits 80 columns without, and it tells nobody anything.
        text.one_line(facts.distribution).replace(" GNU/Linux", "") if facts.distribution else None,
        _("{count} cores").format(count=facts.cores) if facts.cores else None,
        f"{text.figure(memory / 1024)} GiB" if memory else None,
    ]
    known = text.clauses([part for part in where if part]) or _("host.json says nothing of it")
    workers = text.number(plan.variants[0].workers, "worker")
    how = [
        f"Python {text.one_line(facts.python)}" if facts.python else None,
        None if host.shows_workers else _("{workers} each").format(workers=workers),
        text.load(plan.load),
        _("seed {seed}").format(seed=plan.seed),
    ]
    return (
        titled(text.one_line(host.name), known),
        _("run {run_id}: {how}").format(
            run_id=text.one_line(plan.run_id), how=text.clauses([part for part in how if part])
        ),
    )


def legend(host: HostReport) -> str:
    """Explain the columns, and how long each trial was."""
    load = host.plan.load
    said = _(
        "Each trial: {duration_s} s after a warm-up of {warmup_s} s, time-out {timeout_s} s. "
        "req/s, MiB and ms are medians over blocks. They have no interval of their own, because "
        "the host's speed changes from hour to hour; ratios inside a block hold. behind best: how "
        "many times better the figure of the row with 1 is, block by block, with its 95 % "
        "interval, which allows for all pairs: one that ends at 1.00 does not hold it. Rows are "
        "ordered by all pairs together, so neighbours may stand the other way round. "
        "tier: those that share one (=) are not all told apart, and their order means nothing. "
        "used: trials in the figure, of those planned. errors: socket errors, time-outs and error "
        "answers."
    ).format(
        duration_s=f"{load.duration_s:g}",
        warmup_s=f"{load.warmup_s:g}",
        timeout_s=f"{load.timeout_s:g}",
    )
    if not any(row.failed for part in host.endpoints for row in part.rps.rows):
        return said
    return sentences(
        said,
        _(
            "{mark}3: in three blocks the server itself failed, also where a re-run went well; no "
            "figure holds that."
        ).format(mark=LEFT_OUT_MARK),
    )


def memory_legend(host: HostReport) -> str:
    """Explain what the memory figures hold."""
    return sentences(
        _(
            "memory: PSS of the server's whole process tree at its peak under load; a page that n "
            "processes share counts 1/n in each. idle: before any load."
        ),
        _proxied(host),
    )


def cost_legend(host: HostReport) -> str:
    """Explain p99 and what the CPU figures hold."""
    if host.proxies:
        cpu = _("CPU: time of the server's own processes for one request, without databases.")
    else:
        cpu = _(
            "CPU: time of the server's own processes for one request, without proxy and databases."
        )
    return sentences(_("p99: 99 of 100 answers came sooner."), cpu, _proxied(host))


def _proxied(host: HostReport) -> str:
    return _("Behind a proxy, the proxy's share is in it.") if host.proxies else ""


def settings_legend(host: HostReport) -> str:
    """Explain the words and letters in the table of settings; empty where there are none."""
    words = {
        text.UNKNOWN: _("n/a: the server has no setting for it, so it was not asked."),
        _(OWN): _("own: left at the server's own default."),
    }
    lines = [line for word, line in words.items() if word in host.settings.shows]
    lines += [
        _("{letter} {value}.").format(letter=letter, value=value)
        for letter, value in host.settings.long_values
    ]
    return sentences(*lines)


def knob(name: str) -> str:
    """Return a knob's name with its unit set apart: `keepalive s`."""
    return name.replace("_", " ")


def used(row: Row) -> str:
    """Say how many trials a figure rests on, and in how many blocks the server failed."""
    failed = f" {LEFT_OUT_MARK}{row.failed}" if row.failed else ""
    return f"{row.used}/{row.planned}{failed}"


def behind(row: Row) -> str:
    """Say how far behind the best a row is."""
    if row.median is None:
        return ""
    return "1" if row.is_first else text.interval(row.behind)


def note(item: Note) -> str:
    """Explain one mark: who, what was seen, what to do."""
    if item.trials > 1:
        who = _("{code}: {variants}, {trials}, such as {trial_id}.")
    else:
        who = _("{code}: {variants}, {trials}.")
    return sentences(
        who.format(
            code=item.reason.code,
            variants=text.comma([text.one_line(variant) for variant in item.variants]),
            trials=text.number(item.trials, "trial"),
            trial_id=text.one_line(item.trial_id),
        ),
        text.one_line(item.reason.seen),
        text.one_line(item.reason.remedy),
    )


def why_left_out(line: TrialLine) -> tuple[str, str]:
    """Say what was seen and what to do, of the gravest reason of a trial that is left out."""
    reason = next(reason for reason in line.verdict.reasons if reason.severity == "invalid")
    return text.one_line(reason.seen), text.one_line(reason.remedy)


def left_out_summary(host: HostReport) -> str:
    """Count the trials left out."""
    if host.made_good:
        said = _("{left_out} of {trials} trials; a re-run stands in for {made_good}")
    else:
        said = _("{left_out} of {trials} trials")
    return said.format(
        left_out=len(host.left_out),
        trials=len(host.trials) + len(host.legs),
        made_good=host.made_good,
    )
