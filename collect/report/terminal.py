"""The report for a terminal: tables that fit its width, with or without colour."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from collect.lang import N_, _, sentences
from collect.report import ladder, rates, steadiness, text, together, words
from collect.report.lines import fold
from collect.report.proxies import proxy_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from collect.model import Variant
    from collect.report.build import HostReport, Report, TrialLine
    from collect.report.ranking import EndpointReport, Row
    from collect.report.ranking import Table as Ranked

MIN_WIDTH = 60
_NAMES_APART_WIDTH = 100
"""From here on proxy and profile get columns of their own beside server and interface."""
_GAP = 2
"""Between two columns."""
_ITEM_INDENT = 1
_BEHIND = N_("behind best\n[95 % interval]")
_TOGETHER_NAMES_WIDTH, _TOGETHER_HOST_WIDTH = 32, 16
"""What the variant's name with `holds`, and a host, take of a table with several hosts."""
_MOST_TRIALS = 1_000
"""In the table of trials: nobody reads more in a terminal, and each row takes a millisecond."""
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
            _print_host(console, host, names_host=len(report.hosts) > 1, raw=raw)
        if report.together:
            _print_together(console, report)
    lines = capture.get().splitlines()
    # Tables pad their cells; a log is easier to read and to compare without.
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _print_host(console: Console, host: HostReport, *, names_host: bool, raw: bool) -> None:
    first, second = words.head(host)
    console.print()
    answer = words.titled(text.one_line(host.name), host.answer) if names_host else host.answer
    _print_prose(console, answer, style="bold")
    console.print()
    _print_prose(console, first)
    _print_prose(console, second)
    _print_course(console, host)
    for warning in host.warnings:
        _print_prose(console, f"! {warning}", style="yellow")
    # A terminal shows the end: from the details to the rankings, and the answer once more.
    _print_settings(console, host)
    _print_trials(console, host, raw=raw)
    if host.notes:
        _print_title(console, _(words.MARKS_TITLE))
        for item in host.notes:
            _print_item(console, item.mark, words.note(item))
    if host.left_out:
        _print_left_out(console, host)
    for endpoint in host.endpoints:
        _print_endpoint(console, host, endpoint)
    if host.rates:
        _print_rates(console, host)
    if host.ladders:
        _print_ladders(console, host)
    _print_proxies(console, host)
    _print_title(console, _(steadiness.TITLE))
    for said in steadiness.said(host.steady):
        _print_prose(console, said)
    console.print()
    for legend in (words.legend(host), words.memory_legend(host), words.cost_legend(host)):
        _print_prose(console, legend, style="dim")
    _print_title(console, _(words.NEXT_TITLE))
    for step in host.next_steps:
        _print_item(console, ">", step)
    console.print()
    _print_prose(console, answer, style="bold")


def _print_trials(console: Console, host: HostReport, *, raw: bool) -> None:
    _print_title(console, _(words.TRIALS_TITLE))
    if raw:
        _print_raw(console, host)
    elif not host.trials:
        _print_prose(console, _("No trial is here yet."))
    elif len(host.trials) <= _MOST_TRIALS:
        console.print(_trials_table(host.trials))
    else:
        telling = [line for line in host.trials if line.verdict.status != "valid"]
        if telling:
            console.print(_trials_table(telling[:_MOST_TRIALS]))
        _print_prose(
            console,
            _(
                "{valid} of {trials} trials are valid and not shown here; of the other {others}, "
                "{shown} are. Every one: serverbench report {run_id} --format html"
            ).format(
                valid=len(host.trials) - len(telling),
                trials=len(host.trials),
                others=len(telling),
                shown=min(len(telling), _MOST_TRIALS),
                run_id=text.one_line(host.plan.run_id),
            ),
        )


def _print_prose(console: Console, said: str, *, style: str = "") -> None:
    console.print(Text(fold(said, console.width), style=style))


def _print_together(console: Console, report: Report) -> None:
    """Show the hosts side by side, as many to a table as fit."""
    _print_title(console, _(together.TITLE))
    for part in report.together:
        _print_title(console, words.titled(_(words.RPS_TITLE), text.one_line(part.endpoint)))
        at_once = max(1, (console.width - _TOGETHER_NAMES_WIDTH) // _TOGETHER_HOST_WIDTH)
        for start in range(0, len(part.hosts), at_once):
            table = _new_table()
            table.add_column(_("variant"), overflow="fold")
            for name in part.hosts[start : start + at_once]:
                table.add_column(text.one_line(name), justify="right", overflow="fold")
            table.add_column(_("holds"), no_wrap=True)
            for row in part.rows:
                cells = row.cells[start : start + at_once]
                _add_row(table, [text.one_line(row.variant), *cells, row.holds])
            console.print(table)
    console.print()
    _print_prose(console, _(together.LEGEND), style="dim")
    console.print()
    if report.together_note:
        _print_prose(console, f"! {report.together_note}", style="yellow")
    for part in report.together:
        _print_prose(console, sentences(*part.said), style="bold")


def _print_course(console: Console, host: HostReport) -> None:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    labels = [_("{label}:").format(label=line.label) for line in host.course]
    room = console.width - max(map(cell_len, labels)) - 1
    for index, (label, line) in enumerate(zip(labels, host.course, strict=True)):
        is_new = labels.index(label) == index
        grid.add_row(Text(label if is_new else ""), Text(fold(line.said, room)))
    console.print(grid)


def _print_left_out(console: Console, host: HostReport) -> None:
    _print_title(console, words.titled(_(words.LEFT_OUT_TITLE), words.left_out_summary(host)))
    by_reason: dict[tuple[str, str], list[str]] = {}
    for line in host.left_out:
        trial_id = text.one_line(line.trial.trial_id)
        by_reason.setdefault(words.why_left_out(line), []).append(trial_id)
    for (seen, remedy), trial_ids in by_reason.items():
        said = words.titled(text.comma(trial_ids), sentences(seen, remedy))
        _print_item(console, words.LEFT_OUT_MARK, said)


def _print_proxies(console: Console, host: HostReport) -> None:
    if not host.proxies:
        return
    _print_title(console, _(words.PROXIES_TITLE))
    for found in host.proxies:
        _print_item(console, "-", proxy_cost(found))


def _print_title(console: Console, title: str) -> None:
    console.print()
    _print_prose(console, title, style="bold")


def _print_item(console: Console, mark: str, words_: str) -> None:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark), Text(fold(words_, console.width - cell_len(mark) - _ITEM_INDENT - 1)))
    console.print(Padding(grid, (0, 0, 0, _ITEM_INDENT), expand=False))


def _print_endpoint(console: Console, host: HostReport, endpoint: EndpointReport) -> None:
    request = endpoint.endpoint
    name = text.one_line(request.name)
    path = text.one_line(f"{request.method} {request.path}")
    _print_title(console, words.titled(_(words.RPS_TITLE), f"{name}  {path}"))
    _print_ranking(console, host, endpoint.rps, ("req/s", _("er-\nrors")), _rps_cells)
    _print_title(console, words.titled(_(words.MEMORY_TITLE), name))
    _print_ranking(console, host, endpoint.memory, ("MiB", _("idle\nMiB")), _memory_cells)
    _print_title(console, words.titled(_(words.COST_TITLE), name))
    _print_costs(console, host, endpoint)


def _print_ranking(
    console: Console,
    host: HostReport,
    ranked: Ranked,
    heads: tuple[str, str],
    cells: Callable[[Row], tuple[str, str]],
) -> None:
    own, beside = heads
    joined = console.width < _NAMES_APART_WIDTH and (
        host.shows_profile or host.shows_label or (host.shows_proxy and host.shows_workers)
    )
    table = _new_table()
    table.add_column(_("tier"), no_wrap=True)
    _add_name_columns(table, host, joined=joined)
    for head in (own, _(_BEHIND), beside, _("used")):
        table.add_column(head, justify="right", no_wrap=True)
    if host.notes:
        table.add_column(_("marks"), overflow="fold")
    for row in ranked.rows:
        figure, more = cells(row)
        _add_row(
            table,
            [
                text.tier(row, host.plan.order),
                *_names(host, row, joined=joined),
                figure,
                words.behind(row) or row.missing,
                more,
                words.used(row),
                *(["".join(row.marks)] if host.notes else []),
            ],
            is_dim=row.median is None,
        )
    console.print(table)


def _print_costs(console: Console, host: HostReport, endpoint: EndpointReport) -> None:
    """Show two rankings side by side, in the order of the first table."""
    joined = console.width < _NAMES_APART_WIDTH and _tells_apart(host)
    # One space instead of two between columns: only so do both intervals fit 80.
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    _add_name_columns(table, host, joined=joined, with_workers=False)
    for head in ("p99\nms", "CPU\nms"):
        table.add_column(_("ti-\ner"), no_wrap=True)
        for name in (head, _(_BEHIND)):
            table.add_column(name, justify="right", no_wrap=True)
    p99, cpu = (
        {row.variant.id: row for row in ranked.rows} for ranked in (endpoint.p99, endpoint.cpu)
    )
    for first in endpoint.rps.rows:
        cells = _names(host, first, joined=joined, with_workers=False)
        for row, unit in ((p99[first.variant.id], 1), (cpu[first.variant.id], 1000)):
            figure = "" if row.median is None else text.figure(row.median * unit)
            cells += [text.tier(row, host.plan.order), figure, words.behind(row) or row.missing]
        _add_row(table, cells, is_dim=first.median is None)
    console.print(table)


def _print_rates(console: Console, host: HostReport) -> None:
    _print_title(console, _(rates.TITLE))
    for part in host.rates:
        for table in rates.tables(part):
            _print_title(console, table.title)
            # One space between columns: ten of them are to fit 80.
            shown = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
            first, *others = table.heads
            shown.add_column(first, overflow="fold")
            for head in others:
                shown.add_column(head, justify="right", overflow="fold")
            for row in table.rows:
                _add_row(shown, list(row))
            console.print(shown)
        for said in part.said:
            _print_prose(console, said, style="bold")
    console.print()
    _print_prose(console, _(rates.LEGEND), style="dim")


def _print_ladders(console: Console, host: HostReport) -> None:
    _print_title(console, _(ladder.TITLE))
    for own in host.ladders:
        console.print()
        _print_prose(console, ladder.sentence(own))
        table = _new_table()
        first, *others = map(_, ladder.HEADS)
        table.add_column(first, overflow="fold")
        for head in others:
            table.add_column(head, justify="right", no_wrap=True)
        for step in own.steps:
            _add_row(table, list(ladder.cells(step)))
        console.print(table)
    _print_prose(console, _(ladder.LEGEND), style="dim")


def _print_settings(console: Console, host: HostReport) -> None:
    joined = console.width < _NAMES_APART_WIDTH or not _tells_apart(host)
    _print_title(console, _(words.SETTINGS_TITLE))
    rows = [
        (_variant_names(host, variant, joined=joined, with_workers=False), cells)
        for variant, cells in host.settings.rows
    ]
    widths = [
        max(len(words.knob(knob)), *(cell_len(cells[index]) for _names, cells in rows)) + _GAP
        for index, knob in enumerate(host.settings.knobs)
    ]
    room = console.width - max(sum(len(name) + _GAP for name in names) for names, _cells in rows)
    for part in _parts(widths, room):
        table = _new_table()
        _add_name_columns(table, host, joined=joined, with_workers=False)
        for knob in host.settings.knobs[part]:
            table.add_column(words.knob(knob), justify="right", overflow="fold")
        for names, cells in rows:
            _add_row(table, [*names, *cells[part]])
        console.print(table)
    if legend := words.settings_legend(host):
        _print_prose(console, legend, style="dim")


def _parts(widths: Sequence[int], room: int) -> Iterator[slice]:
    """Cut columns into runs that fit into the room, a column that never fits standing alone."""
    start = taken = 0
    for index, width in enumerate(widths):
        if taken + width > room and index > start:
            yield slice(start, index)
            start, taken = index, 0
        taken += width
    yield slice(start, len(widths))


def _tells_apart(host: HostReport) -> bool:
    """Tell whether server and interface are not enough to name a variant."""
    return host.shows_proxy or host.shows_profile or host.shows_label


def _new_table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)


def _add_name_columns(
    table: Table, host: HostReport, *, joined: bool, with_workers: bool = True
) -> None:
    if joined:
        table.add_column(_("variant"), overflow="fold")
    else:
        table.add_column(_("server"), overflow="fold")
        table.add_column(_("inter-\nface"), no_wrap=True)
        if host.shows_label:
            table.add_column(_("variation"), overflow="fold")
        if host.shows_proxy:
            table.add_column(_("proxy"), no_wrap=True)
        if host.shows_profile:
            table.add_column(_("profile"), overflow="fold")
    if with_workers and host.shows_workers:
        table.add_column(_("wor-\nkers"), justify="right", no_wrap=True)


def _names(host: HostReport, row: Row, *, joined: bool, with_workers: bool = True) -> list[str]:
    return _variant_names(host, row.variant, joined=joined, with_workers=with_workers)


def _variant_names(
    host: HostReport, variant: Variant, *, joined: bool, with_workers: bool
) -> list[str]:
    workers = [str(variant.workers)] if with_workers and host.shows_workers else []
    if joined:
        return [text.one_line(variant.id), *workers]
    return [
        text.one_line(variant.server),
        variant.interface,
        *([text.one_line(variant.label or "")] if host.shows_label else []),
        *([variant.proxy] if host.shows_proxy else []),
        *([text.one_line(variant.profile)] if host.shows_profile else []),
        *workers,
    ]


def _add_row(table: Table, cells: list[str], *, is_dim: bool = False) -> None:
    table.add_row(*map(Text, cells), style="dim" if is_dim else None)


def _rps_cells(row: Row) -> tuple[str, str]:
    if row.median is None:
        return "", ""
    return text.figure(row.median), text.compact(row.errors)


def _memory_cells(row: Row) -> tuple[str, str]:
    if row.median is None:
        return "", ""
    return text.figure(text.mebibytes(row.median)), text.figure(text.mebibytes(row.idle_bytes))


def _trials_table(lines: Iterable[TrialLine]) -> Table:
    table = _new_table()
    table.add_column(_("trial"), overflow="fold")
    table.add_column(_("verdict"), no_wrap=True)
    for head in ("req/s", _("mean\nms"), "p99\nms", "PSS\nMiB", _("errors")):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column(_("marks"), overflow="fold")
    for line in lines:
        table.add_row(*_trial_cells(line))
    return table


def _trial_cells(line: TrialLine) -> list[Text]:
    trial = line.trial
    wrk, latency = trial.wrk, trial.whole_latency_ms
    total = wrk.errors.total if wrk else None
    return [
        Text(text.one_line(trial.trial_id)),
        Text(words.status(line), style=_VERDICT_STYLES[line.verdict.status]),
        Text(text.figure(wrk.rps if wrk else None)),
        Text(text.figure(latency.mean if latency else None)),
        Text(text.figure(latency.p99 if latency else None)),
        Text(text.figure(text.mebibytes(trial.whole_pss_peak_bytes))),
        Text(text.compact(total)),
        Text(words.LEFT_OUT_MARK if line.verdict.status == "invalid" else "".join(line.marks)),
    ]


def _print_raw(console: Console, host: HostReport) -> None:
    for line in host.trials:
        trial_id = text.one_line(line.trial.trial_id)
        console.print(Text(f"\n{words.titled(trial_id, words.status(line))}"))
        output = line.stored.wrk_text()
        # No wrapping: these are wrk's own words, to be copied as they stand.
        console.print(
            Text(text.clean(output).rstrip() if output else _(words.NO_OUTPUT)),
            soft_wrap=True,
        )
