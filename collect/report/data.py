"""The report as data: JSON with a published schema, and CSV with a row for each trial."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import collect
from collect.checks import Reason, VerdictStatus  # noqa: TC001 - the schema looks them up
from collect.decode import encode
from collect.foreign import clean, json_text
from collect.model import Interface, Load, Order, Proxy, Trial  # noqa: TC001 - likewise
from collect.report.rates import EndpointRates  # noqa: TC001 - likewise
from collect.report.steadiness import SteadinessData, steadiness_data
from collect.schema import Schema, json_schema
from collect.stats import Interval  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collect.report.build import HostReport, Report, TrialLine
    from collect.report.ranking import Table

DATA_VERSION = 1
"""Of the JSON report; a change that a reader would stumble over makes it one more."""


@dataclass(frozen=True, slots=True)
class RowData:
    """One variant in one ranking, the best first."""

    variant: str
    server: str
    interface: Interface
    proxy: Proxy
    profile: str
    workers: int
    tier: int | None
    shares_tier: bool
    median: float | None
    behind_best: Interval | None
    trials_used: int
    trials_planned: int
    blocks_failed: int
    """In which it failed by itself, whatever a re-run gave."""
    missing: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankingData:
    """One metric on one endpoint; figures in the metric's own unit."""

    endpoint: str
    metric: str
    unit: str
    higher_is_better: bool
    smallest_gap: float | None
    note: str | None
    """Why nothing can be told apart, if so."""
    rows: tuple[RowData, ...]


@dataclass(frozen=True, slots=True)
class TrialData:
    """One trial with its verdict; every attempt is here, also those that enter no figure."""

    verdict: VerdictStatus
    reasons: tuple[Reason, ...]
    used: bool
    trial: Trial


@dataclass(frozen=True, slots=True)
class ProxyData:
    """What a proxy leaves of the req/s of its direct partner."""

    variant: str
    direct: str | None
    endpoint: str
    rps: Interval | None
    told_from_nothing: bool
    proxy_pss_bytes: float | None
    proxy_cpu_s_per_request: float | None


@dataclass(frozen=True, slots=True)
class HostData:
    """One host's share of the run."""

    host: str
    answer: str
    warnings: tuple[str, ...]
    next_steps: tuple[str, ...]
    kernel: str | None
    distribution: str | None
    cpu_model: str | None
    virtualisation: str | None
    python: str | None
    cores: int | None
    memory_bytes: int | None
    versions: dict[str, str]
    created_at: str
    order: Order
    seed: int
    blocks: int
    """That the run has; those that windows of a scheduled run missed are among them."""
    measured_blocks: int
    """Those of them that are here as a whole."""
    load: Load
    rankings: tuple[RankingData, ...]
    proxies: tuple[ProxyData, ...]
    steadiness: SteadinessData
    rates: tuple[EndpointRates, ...]
    """Latency at fixed rates, in milliseconds, and the highest rates within a limit."""
    legs: tuple[TrialData, ...]
    """Trials at a fixed rate, and searches; no ranking holds them."""
    trials: tuple[TrialData, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """A whole report."""

    schema_version: int
    serverbench: str
    run_id: str
    hosts: tuple[HostData, ...]


_UNITS = {
    "rps": "requests/s",
    "p99_ms": "ms",
    "pss_peak_bytes": "bytes",
    "cpu_s_per_request": "CPU s/request",
}


def report_schema() -> Schema:
    """Return the JSON Schema of `render_json`."""
    return json_schema(ReportData, "serverbench report")


def render_json(report: Report) -> str:
    """Return the report as JSON, after `report_schema`; unknown figures are null."""
    data = ReportData(
        DATA_VERSION, collect.__version__, report.run_id, tuple(map(_host, report.hosts))
    )
    return json_text(json.dumps(encode(data), ensure_ascii=False, indent=1)) + "\n"


def render_csv(report: Report) -> str:
    """Return a row for each trial of each host, every attempt; unknown figures are empty."""
    out = io.StringIO()
    rows = []
    for host in report.hosts:
        used = _used(host)
        rows += [_csv_row(line, line.trial.trial_id in used) for line in host.trials]
        rows += [_csv_row(line, line.verdict.status != "invalid") for line in host.legs]
    heads = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, heads or ["trial_id"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _host(host: HostReport) -> HostData:
    facts, plan, used = host.facts, host.plan, _used(host)
    tables = (
        table for part in host.endpoints for table in (part.rps, part.p99, part.memory, part.cpu)
    )
    return HostData(
        host=host.name,
        answer=host.answer,
        warnings=host.warnings,
        next_steps=host.next_steps,
        kernel=facts.kernel,
        distribution=facts.distribution,
        cpu_model=facts.cpu_model,
        virtualisation=facts.virtualisation,
        python=facts.python,
        cores=facts.cores,
        memory_bytes=facts.memory_bytes,
        versions=dict(facts.versions),
        created_at=plan.created_at,
        order=plan.order,
        seed=plan.seed,
        blocks=plan.blocks,
        measured_blocks=host.measured_blocks,
        load=plan.load,
        rankings=tuple(map(_ranking, tables)),
        proxies=tuple(_proxies(host)),
        steadiness=steadiness_data(host.steady),
        rates=host.rates,
        legs=tuple(_trial(line, line.verdict.status != "invalid") for line in host.legs),
        trials=tuple(_trial(line, line.trial.trial_id in used) for line in host.trials),
    )


def _trial(line: TrialLine, used: bool) -> TrialData:  # noqa: FBT001 - one field of it
    return TrialData(line.verdict.status, line.verdict.reasons, used, line.trial)


def _used(host: HostReport) -> frozenset[str]:
    return frozenset(trial.trial_id for trials in host.used.values() for trial in trials)


def _finite(value: Interval | None) -> Interval | None:
    """Return the interval if it can be written as JSON, which knows no infinity."""
    if value is None or not all(map(math.isfinite, (value.ratio, value.low, value.high))):
        return None
    return value


def _ranking(table: Table) -> RankingData:
    ranking = table.ranking
    return RankingData(
        endpoint=ranking.endpoint,
        metric=ranking.metric,
        unit=_UNITS[ranking.metric],
        higher_is_better=ranking.higher_is_better,
        smallest_gap=ranking.smallest_gap,
        note=ranking.note,
        rows=tuple(
            RowData(
                variant=row.variant.id,
                server=row.variant.server,
                interface=row.variant.interface,
                proxy=row.variant.proxy,
                profile=row.variant.profile,
                workers=row.variant.workers,
                tier=row.tier,
                shares_tier=row.is_shared,
                median=row.median,
                behind_best=_finite(row.behind),
                trials_used=row.used,
                trials_planned=row.planned,
                blocks_failed=row.failed,
                missing=row.missing,
                marks=row.marks,
            )
            for row in table.rows
        ),
    )


def _proxies(host: HostReport) -> Iterator[ProxyData]:
    for found in host.proxies:
        for cost in found.endpoints:
            yield ProxyData(
                variant=found.variant.id,
                direct=None if found.direct is None else found.direct.id,
                endpoint=cost.endpoint,
                rps=_finite(cost.rps),
                told_from_nothing=cost.is_told,
                proxy_pss_bytes=cost.pss_bytes,
                proxy_cpu_s_per_request=cost.cpu_s_per_request,
            )


def _csv_row(line: TrialLine, used: bool) -> dict[str, object]:  # noqa: FBT001 - one cell of a row
    row: dict[str, object] = {
        **_flat("", encode(line.trial)),
        "verdict": line.verdict.status,
        "used": "yes" if used else "no",
        "reasons": " ".join(reason.code for reason in line.verdict.reasons),
    }
    row.pop("schema_version")
    row.pop("search.steps", None)  # A table in a cell; the JSON report has it.
    return {_cell(name): "" if value is None else _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:  # noqa: ANN401 - text is returned as text
    """Return a cell that a spreadsheet shows and does not work out, whatever a host wrote in it.

    Source: OWASP, CSV Injection: an apostrophe before text that begins as a formula does.
    """
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def _flat(prefix: str, value: object) -> dict[str, object]:
    """Turn nested mappings into columns: `wrk.latency_ms.p99`."""
    if not isinstance(value, dict):
        return {prefix: value}
    columns: dict[str, object] = {}
    for name, inner in value.items():
        columns |= _flat(f"{prefix}.{name}" if prefix else name, inner)
    return columns
