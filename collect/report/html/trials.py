"""The rows of the table of trials, and what unfolds below each."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collect.lang import N_, _, sentences
from collect.report import text, words
from collect.report.html.packing import Texts

if TYPE_CHECKING:
    from collect.report.build import HostReport, TrialLine

_MOST_RAW_CHARACTERS = 800_000
"""Of all that wrk printed; with more, the page would be too large to be mailed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what it shows, and for a figure what it is sorted by."""

    shown: str
    key: float | None
    """None for words; unknown figures are `-inf`: they stand together at one end."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial."""

    verdict: str
    cells: tuple[Cell, ...]
    """Under `HEADS`."""


HEADS = (
    N_("trial"), N_("block"), N_("verdict"), "req/s", N_("mean ms"), "p99 ms", "PSS MiB",
    N_("CPU ms/request"), N_("steal %"), N_("errors"),
)  # fmt: skip


def trial_rows(host: HostReport) -> list[TrialRow]:
    """Return every trial, in the order it ran."""
    return [_row(line) for line in host.trials]


def details(hosts: tuple[HostReport, ...]) -> dict[str, Any]:
    """Return what unfolds below each trial, for page.js: every text that repeats stands once.

    `trials` is, by host and trial: `[outcome, [[code, what was seen and what to do]], server's
    command, wrk's command, what wrk printed]`, the first four as places in `texts`.
    """
    raw = [[line.stored.wrk_text() or "" for line in host.trials] for host in hosts]
    has_raw = sum(len(one) for own in raw for one in own) <= _MOST_RAW_CHARACTERS
    texts = Texts()
    found = [
        [
            _details(line, text.clean(said) if has_raw else "", texts)
            for line, said in zip(host.trials, own, strict=True)
        ]
        for host, own in zip(hosts, raw, strict=True)
    ]
    return {
        "trials": found,
        "texts": texts.all,
        "names": [_("Server"), _("Load")],
        "has_raw": has_raw,
    }


def _details(line: TrialLine, raw: str, texts: Texts) -> list[Any]:
    used = line.stored.commands()
    return [
        texts.place(text.one_line(line.trial.outcome.reason or "")),
        [
            [
                texts.place(reason.code),
                texts.place(sentences(text.one_line(reason.seen), text.one_line(reason.remedy))),
            ]
            for reason in line.verdict.reasons
        ],
        texts.place(text.one_line(shlex.join(used.server))),
        texts.place(text.one_line(shlex.join(used.load))),
        raw,
    ]


def _row(line: TrialLine) -> TrialRow:
    trial = line.trial
    wrk, latency, cpu = trial.wrk, trial.whole_latency_ms, trial.cpu
    cpu_s = trial.whole_cpu_s
    errors = wrk.errors.total if wrk else None
    steal = cpu.steal_ratio if cpu else None
    return TrialRow(
        verdict=line.verdict.status,
        cells=(
            Cell(text.one_line(trial.trial_id), None),
            _figure(trial.block, text.count(trial.block)),
            Cell(words.status(line), None),
            _figure(wrk.rps if wrk else None),
            _figure(latency.mean if latency else None),
            _figure(latency.p99 if latency else None),
            _figure(text.mebibytes(trial.whole_pss_peak_bytes)),
            _figure(cpu_s / wrk.requests * 1000 if cpu_s and wrk and wrk.requests else None),
            _figure(None if steal is None else steal * 100),
            _figure(errors, text.count(errors)),
        ),
    )


def _figure(value: float | None, shown: str | None = None) -> Cell:
    key = float("-inf") if value is None else float(f"{value:.6g}")
    return Cell(text.figure(value) if shown is None else shown, key)
