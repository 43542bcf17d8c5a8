"""The report as Markdown: tables for a page or an issue, with wrk's own words to unfold."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from collect.beside import beside, is_worth_it
from collect.lang import N_, _, sentences
from collect.report import ladder, rates, steadiness, text, together, words
from collect.report.charts import (
    endpoint_charts,
    image_name,
    is_shown,
    rate_charts,
    run_charts,
)
from collect.report.proxies import proxy_cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collect.model import Variant
    from collect.report.build import HostReport, Report, TrialLine
    from collect.report.charts import Chart
    from collect.report.ranking import EndpointReport, Row

_BEHIND = (N_("behind best"), N_("95 % interval"))


def render_markdown(report: Report, charts: str | None = None) -> str:
    """Return the report as GitHub-flavoured Markdown; nothing from a host can act as markup.

    Args:
        report: what to show.
        charts: folder of the images of `write_charts`, as the page names it; None shows none.
    """
    title = _("Benchmark {run_id}").format(run_id=text.markdown(report.run_id))
    lines = [f"# {title}", ""]
    if report.together:
        lines.extend(_together(report))
    for index, host in enumerate(report.hosts):
        lines.extend(_host(host, _Images(charts, index, host)))
    return "\n".join(lines).rstrip() + "\n"


def _together(report: Report) -> Iterator[str]:
    yield from (f"## {_(together.TITLE)}", "")
    for part in report.together:
        yield from (f"**{text.escape(sentences(*part.said))}**", "")
    if report.together_note:
        yield from _note(report.together_note)
    for part in report.together:
        yield from (f"### {words.titled(_(words.RPS_TITLE), text.markdown(part.endpoint))}", "")
        yield from _table(
            [_("variant"), *map(text.markdown, part.hosts), _("holds")],
            [
                [text.markdown(row.variant), *map(text.markdown, row.cells), row.holds]
                for row in part.rows
            ],
            numbers_from=1,
        )
    yield from (text.escape(_(together.LEGEND)), "")


def _note(said: str) -> Iterator[str]:
    mark = _("Note:")
    yield from (f"> **{mark}** {text.escape(said)}", "")


class _Images:
    """The images of one host, or none."""

    def __init__(self, folder: str | None, index: int, host: HostReport) -> None:
        self._folder = folder
        self._index = index
        self._host = host

    def of(self, part: EndpointReport) -> Iterator[str]:
        """Show those of an endpoint."""
        if self._folder is not None and is_shown(part):
            yield from self._show(endpoint_charts(self._host, part))

    def of_rates(self) -> Iterator[str]:
        """Show those of the legs at a fixed rate."""
        if self._folder is not None:
            yield from self._show(rate_charts(self._host))

    def of_the_run(self) -> Iterator[str]:
        """Show those of the whole run."""
        if self._folder is not None:
            yield from self._show(run_charts(self._host))

    def _show(self, charts: Sequence[Chart]) -> Iterator[str]:
        for chart in charts:
            path = f"{self._folder}/{image_name(self._index, chart)}"
            yield from (f"![{text.escape(chart.title)}]({path})", "", f"*{chart.caption}*", "")


def _host(host: HostReport, images: _Images) -> Iterator[str]:
    first, second = words.head(host)
    yield from (f"## {text.markdown(host.name)}", "")
    yield from (f"**{text.escape(host.answer)}**", "")
    yield from (f"{text.escape(first)}  ", text.escape(second), "")
    yield from (f"- {words.titled(line.label, text.escape(line.said))}" for line in host.course)
    yield ""
    for warning in host.warnings:
        yield from _note(warning)
    for endpoint in host.endpoints:
        yield from _endpoint(host, endpoint)
        yield from images.of(endpoint)
    if host.rates:
        yield from _rates(host)
        yield from images.of_rates()
    if host.ladders:
        yield from _ladders(host)
    if host.proxies:
        yield from (f"### {_(words.PROXIES_TITLE)}", "")
        yield from (f"- {text.escape(proxy_cost(found))}" for found in host.proxies)
        yield ""
    yield from (f"### {_(steadiness.TITLE)}", "")
    for said in steadiness.said(host.steady):
        yield from (text.escape(said), "")
    for legend in (words.legend(host), words.memory_legend(host), words.cost_legend(host)):
        yield from (text.escape(legend), "")
    yield from images.of_the_run()
    yield from _settings(host)
    if host.notes:
        yield from (f"### {_(words.MARKS_TITLE)}", "")
        yield from (f"- **{note.mark}** {text.escape(words.note(note))}" for note in host.notes)
        yield ""
    if host.left_out:
        yield from (
            f"### {words.titled(_(words.LEFT_OUT_TITLE), words.left_out_summary(host))}",
            "",
        )
        yield from _table(
            [_("trial"), _("what was seen"), _("what to do")],
            [
                [text.markdown(line.trial.trial_id), *map(text.markdown, words.why_left_out(line))]
                for line in host.left_out
            ],
            numbers_from=3,
        )
    yield from (f"### {_(words.NEXT_TITLE)}", "")
    yield from (f"- {text.escape(step)}" for step in host.next_steps)
    yield from ("", f"### {_(words.TRIALS_TITLE)}", "")
    half = len(host.trials) // 2
    rest = beside(lambda: [[*map(_trial, host.trials[half:])]], apart=is_worth_it(len(host.trials)))
    yield from map(_trial, host.trials[:half])
    yield from next(rest)


def _endpoint(host: HostReport, endpoint: EndpointReport) -> Iterator[str]:
    request = endpoint.endpoint
    name = text.markdown(f"{request.name} ({request.method} {request.path})")
    names = _name_columns(host)
    behind = [*map(_, _BEHIND)]
    more = [*([_("workers")] if host.shows_workers else [])]
    yield from (f"### {words.titled(_(words.RPS_TITLE), name)}", "")
    yield from _table(
        [_("tier"), *names, *more, "req/s", *behind, _("trials used"), _("errors"), _("marks")],
        [
            [
                *_start(host, row),
                *_figure(row, text.figure(row.median)),
                words.used(row),
                "" if row.median is None else text.count(row.errors),
                "".join(row.marks),
            ]
            for row in endpoint.rps.rows
        ],
        numbers_from=len(names) + 1,
    )
    yield from (f"### {words.titled(_(words.MEMORY_TITLE), name)}", "")
    yield from _table(
        [_("tier"), *names, *more, "MiB", *behind, _("idle (MiB)"), _("trials used"), _("marks")],
        [
            [
                *_start(host, row),
                *_figure(row, text.figure(text.mebibytes(row.median))),
                "" if row.median is None else text.figure(text.mebibytes(row.idle_bytes)),
                words.used(row),
                "".join(row.marks),
            ]
            for row in endpoint.memory.rows
        ],
        numbers_from=len(names) + 1,
    )
    yield from _costs(host, endpoint, name)


def _costs(host: HostReport, endpoint: EndpointReport, name: str) -> Iterator[str]:
    names = _name_columns(host)
    p99, cpu = (
        {row.variant.id: row for row in ranked.rows} for ranked in (endpoint.p99, endpoint.cpu)
    )
    rows = []
    for first in endpoint.rps.rows:
        cells = _names(host, first.variant)
        for row, unit in ((p99[first.variant.id], 1), (cpu[first.variant.id], 1000)):
            figure = text.figure(None if row.median is None else row.median * unit)
            cells += [text.tier(row, host.plan.order), *_figure(row, figure), words.used(row)]
        rows.append(cells)
    heads = (
        [_("tier"), figure, *map(_, _BEHIND), _("trials used")]
        for figure in ("p99 (ms)", _("CPU (ms/request)"))
    )
    yield from (f"### {words.titled(_(words.COST_TITLE), name)}", "")
    yield from _table(
        [*names, *(head for part in heads for head in part)], rows, numbers_from=len(names)
    )


def _rates(host: HostReport) -> Iterator[str]:
    yield from (f"### {_(rates.TITLE)}", "")
    for part in host.rates:
        yield from (f"- **{text.escape(said)}**" for said in part.said)
        yield ""
        for table in rates.tables(part):
            yield from (f"#### {text.markdown(table.title)}", "")
            yield from _table(
                list(map(text.markdown, table.heads)),
                [list(map(text.markdown, row)) for row in table.rows],
                numbers_from=1,
            )
    yield from (text.escape(_(rates.LEGEND)), "")


def _ladders(host: HostReport) -> Iterator[str]:
    yield from (f"### {_(ladder.TITLE)}", "")
    for own in host.ladders:
        yield from (text.escape(ladder.sentence(own)), "")
        yield from _table(
            [*map(_, ladder.HEADS)],
            [list(map(text.markdown, ladder.cells(step))) for step in own.steps],
            numbers_from=1,
        )
    yield from (text.escape(_(ladder.LEGEND)), "")


def _settings(host: HostReport) -> Iterator[str]:
    names = _name_columns(host)
    yield from (f"### {_(words.SETTINGS_TITLE)}", "")
    yield from _table(
        [*names, *(text.markdown(words.knob(knob)) for knob in host.settings.knobs)],
        [
            [*_names(host, variant), *map(text.markdown, cells)]
            for variant, cells in host.settings.rows
        ],
        numbers_from=len(names),
    )
    if legend := words.settings_legend(host):
        yield from (text.escape(legend), "")


def _name_columns(host: HostReport) -> list[str]:
    return [
        _("server"),
        _("interface"),
        *([_("variation")] if host.shows_label else []),
        *([_("proxy")] if host.shows_proxy else []),
        *([_("profile")] if host.shows_profile else []),
    ]


def _names(host: HostReport, variant: Variant) -> list[str]:
    return [
        text.markdown(variant.server),
        variant.interface,
        *([text.markdown(variant.label or "")] if host.shows_label else []),
        *([variant.proxy] if host.shows_proxy else []),
        *([text.markdown(variant.profile)] if host.shows_profile else []),
    ]


def _start(host: HostReport, row: Row) -> list[str]:
    return [
        text.tier(row, host.plan.order),
        *_names(host, row.variant),
        *([str(row.variant.workers)] if host.shows_workers else []),
    ]


def _figure(row: Row, figure: str) -> list[str]:
    """Return the cells from the figure to its interval."""
    if row.median is None:
        return [row.missing, "", ""]
    if row.is_first:
        return [figure, "1", ""]
    if row.behind is None:
        return [figure, text.UNKNOWN, text.UNKNOWN]
    low, high = text.times(row.behind.low), text.times(row.behind.high)
    return [
        figure,
        f"{text.times(row.behind.ratio)}x",
        text.markdown(_("{low} to {high}").format(low=low, high=high)),
    ]


def _trial(line: TrialLine) -> str:
    """Return all lines of a trial in one: a long run has a hundred thousand."""
    wrk = line.trial.wrk
    rate = f"{text.figure(wrk.rps)} req/s" if wrk else _("no figures")
    verdict = words.status(line)
    if line.verdict.reasons:
        verdict = words.titled(verdict, text.comma([one.code for one in line.verdict.reasons]))
    # Inside HTML tags Markdown's own escapes would be shown as they stand.
    said = words.titled(line.trial.trial_id, text.clauses([rate, verdict]))
    title = html.escape(text.one_line(said))
    output = line.stored.wrk_text()
    shown = text.fence(output) if output else _(words.NO_OUTPUT)
    return f"<details><summary>{title}</summary>\n\n{shown}\n\n</details>\n"


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int
) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    marks = (
        ":---" if index < numbers_from or name == _("marks") else "---:"
        for index, name in enumerate(head)
    )
    yield f"| {' | '.join(marks)} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
