"""The report for a terminal: tables that fit its width, with or without colour."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from collect.report import text, words

if TYPE_CHECKING:
    from collect.report.build import EndpointReport, HostReport, Report, Row, TrialLine

MIN_WIDTH = 60
_NAMES_APART_WIDTH = 100
"""From here on proxy and profile get columns of their own beside server and interface."""
_VERDICT_STYLES = {"valid": "green", "suspect": "yellow", "invalid": "red"}


def render_terminal(
    report: Report, *, width: int = 80, colour: bool = False, raw: bool = False
) -> str:
    """Return the report as text.

    Args:
        report: what to show.
        width: columns of the terminal; no line is longer, but for wrk's own words under `raw`.
        colour: whether to use ANSI colours.
        raw: show what wrk printed, verbatim, instead of a row a trial.
    """
    console = Console(
        file=io.StringIO(),
        width=max(width, MIN_WIDTH),
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        for host in report.hosts:
            _print_host(console, host, raw=raw)
    lines = capture.get().splitlines()
    # Tables pad their cells; a log is easier to read and to compare without.
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _print_host(console: Console, host: HostReport, *, raw: bool) -> None:
    first, second = words.head(host)
    console.print()
    console.print(Text(first, style="bold"))
    console.print(Text(second))
    for warning in host.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    for endpoint in host.endpoints:
        _print_endpoint(console, host, endpoint)
    console.print()
    console.print(Text(words.legend(host), style="dim"))
    console.print(Text(words.MEMORY_LEGEND, style="dim"))
    if host.notes:
        _print_title(console, words.MARKS_TITLE)
        for item in host.notes:
            _print_item(console, item.mark, words.note(item))
    if host.left_out:
        _print_title(console, f"{words.LEFT_OUT_TITLE}: {words.left_out_summary(host)}")
        by_reason: dict[tuple[str, str], list[str]] = {}
        for line in host.left_out:
            trial_id = text.one_line(line.trial.trial_id)
            by_reason.setdefault(words.why_left_out(line), []).append(trial_id)
        for (seen, remedy), trial_ids in by_reason.items():
            _print_item(console, "x", f"{', '.join(trial_ids)}: {seen} {remedy}")
    _print_title(console, words.TRIALS_TITLE)
    if raw:
        _print_raw(console, host)
    elif host.trials:
        console.print(_trials_table(host))
    else:
        console.print(Text("No trial is here yet."))
    _print_title(console, words.NEXT_TITLE)
    for step in host.next_steps:
        _print_item(console, ">", step)


def _print_title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _print_item(console: Console, mark: str, words_: str) -> None:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark), Text(words_))
    console.print(Padding(grid, (0, 0, 0, 1), expand=False))


def _print_endpoint(console: Console, host: HostReport, endpoint: EndpointReport) -> None:
    request = endpoint.endpoint
    joined = host.shows_proxy and host.shows_profile and console.width < _NAMES_APART_WIDTH
    name = f"{request.name}  {request.method} {text.one_line(request.path)}"
    _print_title(console, f"{words.RPS_TITLE}: {name}")
    table = _table(host, joined=joined)
    for head in ("req/s", "min–max", "used", "p99\nms", "er-\nrors"):  # noqa: RUF001 - a range
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("marks", overflow="fold")
    for row in endpoint.rps:
        _add_row(table, _names(host, row, joined=joined), row, _rps_cells(row))
    console.print(table)
    _print_title(console, f"{words.MEMORY_TITLE}: {name}")
    table = _table(host, joined=joined)
    for head in ("MiB", "min–max", "idle\nMiB", "used"):  # noqa: RUF001 - a range
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("marks", overflow="fold")
    for row in endpoint.memory:
        _add_row(table, _names(host, row, joined=joined), row, _memory_cells(row))
    console.print(table)


def _table(host: HostReport, *, joined: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("rank", no_wrap=True)
    if joined:
        table.add_column("variant", overflow="fold")
    else:
        table.add_column("server", overflow="fold")
        table.add_column("inter-\nface", no_wrap=True)
        if host.shows_proxy:
            table.add_column("proxy", no_wrap=True)
        if host.shows_profile:
            table.add_column("profile", overflow="fold")
    table.add_column("wor-\nkers", justify="right", no_wrap=True)
    return table


def _names(host: HostReport, row: Row, *, joined: bool) -> list[str]:
    variant = row.variant
    if joined:
        return [text.one_line(variant.id)]
    return [
        text.one_line(variant.server),
        variant.interface,
        *([variant.proxy] if host.shows_proxy else []),
        *([text.one_line(variant.profile)] if host.shows_profile else []),
    ]


def _add_row(table: Table, names: list[str], row: Row, cells: list[str]) -> None:
    place = text.place(row.rank, row.position) if row.figure else ""
    workers = str(row.variant.workers)
    table.add_row(*map(Text, [place, *names, workers, *cells]), style=None if row.figure else "dim")


def _rps_cells(row: Row) -> list[str]:
    used = f"{row.used}/{row.planned}"
    if row.figure is None:
        return ["", _without(row), used, "", "", ""]
    return [
        text.figure(row.figure.median),
        text.spread(row.figure),
        used,
        text.figure(row.p99_ms.median if row.p99_ms else None),
        text.compact(row.errors),
        "".join(row.marks),
    ]


def _memory_cells(row: Row) -> list[str]:
    used = f"{row.used}/{row.planned}"
    if row.figure is None:
        return ["", _without(row), "", used, ""]
    return [
        text.figure(text.mebibytes(row.figure.median)),
        text.spread(row.figure, 2**20),
        text.figure(text.mebibytes(row.idle_bytes.median if row.idle_bytes else None)),
        used,
        "".join(row.marks),
    ]


def _without(row: Row) -> str:
    return words.NOT_MEASURED if row.used else words.NO_VALID_TRIAL


def _trials_table(host: HostReport) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("trial", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for head in ("req/s", "mean\nms", "p99\nms", "PSS\nMiB", "errors"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("marks", overflow="fold")
    for line in host.trials:
        table.add_row(*_trial_cells(line))
    return table


def _trial_cells(line: TrialLine) -> list[Text]:
    trial = line.trial
    wrk, memory = trial.wrk, trial.memory
    errors = wrk.errors if wrk else None
    total = (
        errors.connect + errors.read + errors.write + errors.timeout + errors.status
        if errors
        else None
    )
    return [
        Text(text.one_line(trial.trial_id)),
        Text(line.verdict.status, style=_VERDICT_STYLES[line.verdict.status]),
        Text(text.figure(wrk.rps if wrk else None)),
        Text(text.figure(wrk.latency_ms.mean if wrk else None)),
        Text(text.figure(wrk.latency_ms.p99 if wrk else None)),
        Text(text.figure(text.mebibytes(memory.pss_peak_bytes if memory else None))),
        Text(text.compact(total)),
        Text("x" if line.verdict.status == "invalid" else "".join(line.marks)),
    ]


def _print_raw(console: Console, host: HostReport) -> None:
    for line in host.trials:
        console.print(Text(f"\n{text.one_line(line.trial.trial_id)}: {line.verdict.status}"))
        output = line.stored.wrk_text()
        # No wrapping: these are wrk's own words, to be copied as they stand.
        console.print(
            Text(text.clean(output).rstrip() if output else "wrk printed nothing."),
            soft_wrap=True,
        )
