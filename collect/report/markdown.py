"""The report as Markdown: tables for a page or an issue, with wrk's own words to unfold."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from collect.report import text, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collect.report.build import EndpointReport, HostReport, Report, Row, TrialLine


def render_markdown(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown; nothing from a host can act as markup."""
    lines = [f"# Benchmark {text.markdown(report.run_id)}", ""]
    for host in report.hosts:
        lines.extend(_host(host))
    return "\n".join(lines).rstrip() + "\n"


def _host(host: HostReport) -> Iterator[str]:
    first, second = words.head(host)
    yield from (f"## {text.markdown(host.name)}", "")
    yield from (f"{text.markdown(first)}  ", text.markdown(second), "")
    for warning in host.warnings:
        yield from (f"> **Note:** {text.markdown(warning)}", "")
    for endpoint in host.endpoints:
        yield from _endpoint(host, endpoint)
    yield from (text.markdown(words.legend(host)), "", text.markdown(words.MEMORY_LEGEND), "")
    if host.notes:
        yield from (f"### {words.MARKS_TITLE}", "")
        yield from (f"- **{note.mark}** {text.markdown(words.note(note))}" for note in host.notes)
        yield ""
    if host.left_out:
        yield from (f"### {words.LEFT_OUT_TITLE}: {words.left_out_summary(host)}", "")
        yield from _table(
            ["trial", "what was seen", "what to do"],
            [
                [text.markdown(line.trial.trial_id), *map(text.markdown, words.why_left_out(line))]
                for line in host.left_out
            ],
            numbers_from=3,
        )
    yield from (f"### {words.NEXT_TITLE}", "")
    yield from (f"- {text.markdown(step)}" for step in host.next_steps)
    yield from ("", f"### {words.TRIALS_TITLE}", "")
    for line in host.trials:
        yield from _trial(line)


def _endpoint(host: HostReport, endpoint: EndpointReport) -> Iterator[str]:
    request = endpoint.endpoint
    name = text.markdown(f"{request.name} ({request.method} {request.path})")
    names = [
        "rank",
        "server",
        "interface",
        *(["proxy"] if host.shows_proxy else []),
        *(["profile"] if host.shows_profile else []),
    ]
    yield from (f"### {words.RPS_TITLE}: {name}", "")
    yield from _table(
        [
            *names,
            *("workers", "req/s", "min–max", "±", "trials used", "p99 (ms)", "errors", "marks"),  # noqa: RUF001
        ],
        [[*_names(host, row), *_rps_cells(row)] for row in endpoint.rps],
        numbers_from=len(names),
    )
    yield from (f"### {words.MEMORY_TITLE}: {name}", "")
    yield from _table(
        [
            *names,
            *("workers", "MiB", "min–max", "±", "idle (MiB)", "trials used", "marks"),  # noqa: RUF001
        ],
        [[*_names(host, row), *_memory_cells(row)] for row in endpoint.memory],
        numbers_from=len(names),
    )


def _names(host: HostReport, row: Row) -> list[str]:
    variant = row.variant
    return [
        text.place(row.rank, row.position) if row.figure else "",
        text.markdown(variant.server),
        variant.interface,
        *([variant.proxy] if host.shows_proxy else []),
        *([text.markdown(variant.profile)] if host.shows_profile else []),
    ]


def _rps_cells(row: Row) -> list[str]:
    used = f"{row.used}/{row.planned}"
    if row.figure is None:
        return [str(row.variant.workers), _without(row), "", "", used, "", "", ""]
    return [
        str(row.variant.workers),
        text.figure(row.figure.median),
        text.spread(row.figure),
        text.half_range(row.figure),
        used,
        text.figure(row.p99_ms.median if row.p99_ms else None),
        text.count(row.errors),
        "".join(row.marks),
    ]


def _memory_cells(row: Row) -> list[str]:
    used = f"{row.used}/{row.planned}"
    if row.figure is None:
        return [str(row.variant.workers), _without(row), "", "", "", used, ""]
    return [
        str(row.variant.workers),
        text.figure(text.mebibytes(row.figure.median)),
        text.spread(row.figure, 2**20),
        text.half_range(row.figure),
        text.figure(text.mebibytes(row.idle_bytes.median if row.idle_bytes else None)),
        used,
        "".join(row.marks),
    ]


def _without(row: Row) -> str:
    return words.NOT_MEASURED if row.used else words.NO_VALID_TRIAL


def _trial(line: TrialLine) -> Iterator[str]:
    wrk = line.trial.wrk
    rate = f"{text.figure(wrk.rps)} req/s" if wrk else "no figures"
    codes = ", ".join(reason.code for reason in line.verdict.reasons)
    verdict = f"{line.verdict.status}: {codes}" if codes else line.verdict.status
    # Inside HTML tags Markdown's own escapes would be shown as they stand.
    title = html.escape(text.one_line(f"{line.trial.trial_id}: {rate}, {verdict}"))
    output = line.stored.wrk_text()
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield text.fence(output) if output else "wrk printed nothing."
    yield ""
    yield from ("</details>", "")


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int
) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    marks = (
        ":---" if index < numbers_from or name == "marks" else "---:"
        for index, name in enumerate(head)
    )
    yield f"| {' | '.join(marks)} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
