"""What `serverbench parse` shows: outputs of wrk from anywhere, each with its verdict."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from collect.checks import verdict_of_figures
from collect.decode import encode
from collect.errors import DataError
from collect.foreign import json_text
from collect.lang import _, ngettext, sentences
from collect.parse import parse_outputs, read_source
from collect.report import text
from collect.report.lines import wrap
from collect.report.words import STATUSES, titled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.checks import Verdict
    from collect.parse import WrkText

WIDTH = 80
_WIDTHS = (8, 10, 10, 8, 8)
_LABEL_WIDTH = WIDTH - sum(_WIDTHS) - 2
_INDENT = " " * 4


@dataclass(frozen=True, slots=True)
class ParsedOutput:
    """One output of wrk, judged."""

    source: str
    found: WrkText
    verdict: Verdict

    @property
    def label(self) -> str:
        """The command's URL, the nearest heading, or the file's name."""
        return text.one_line(self.found.url or self.found.heading or self.source)

    @property
    def errors(self) -> dict[str, int | None]:
        """What wrk counted, by kind; None where the text does not reach that far."""
        figures = self.found.figures
        return {
            "connect": figures.connect_errors,
            "read": figures.read_errors,
            "write": figures.write_errors,
            "timeout": figures.timeouts,
            "status": figures.status_errors,
        }


def parse_sources(names: Sequence[str]) -> tuple[list[ParsedOutput], list[str]]:
    """Read and judge every output in the files (`-`: stdin).

    Returns what was found, in order, and a sentence for each file in which there was nothing.
    """
    outputs: list[ParsedOutput] = []
    problems: list[str] = []
    for name in names:
        shown = "stdin" if name == "-" else name
        try:
            content = read_source(name)
        except DataError as error:
            problems.append(str(error))
            continue
        try:
            found = parse_outputs(content)
        except DataError as error:
            problems.append(f"{shown}: {error}")
            continue
        if not found:
            problems.append(
                f"{shown}: holds no output of wrk; accepted: text with what wrk printed"
            )
        outputs += [ParsedOutput(shown, one, verdict_of_figures(one.figures)) for one in found]
    return outputs, problems


def render_parsed_json(outputs: Sequence[ParsedOutput]) -> str:
    """Write the list as JSON; figures that a text does not give are null."""
    entries = [_entry(output) for output in outputs]
    return json_text(json.dumps(entries, indent=2, ensure_ascii=False)) + "\n"


def render_parsed_table(outputs: Sequence[ParsedOutput]) -> str:
    """Write a row an output, and under it why it is not simply valid; 80 columns."""
    heads = [_("verdict"), "req/s", _("mean ms"), "Little", _("errors"), _("what")]
    lines = [_row(heads)]
    labels = [output.label for output in outputs]
    uses = Counter(labels)
    for output, label in zip(outputs, labels, strict=True):
        figures = output.found.figures
        # A study asks one URL of many servers: then only the place in the text tells them apart.
        is_shared = uses[label] > 1
        lines.append(
            _row(
                [
                    _(STATUSES[output.verdict.status]),
                    text.figure(figures.rps),
                    text.figure(figures.latency_ms.mean),
                    text.figure(figures.little_ratio),
                    text.compact(_total(output)),
                    _place(output) if is_shared else _fit(label),
                ]
            )
        )
        for reason in output.verdict.reasons:
            lines += _wrap(titled(reason.code, sentences(reason.seen, reason.remedy)))
    lines += ["", *_legend(outputs)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    """Put cells into columns: the verdict to the left, figures to the right, and what it is."""
    verdict, *figures, what = cells
    gaps = [width - cell_len(cell) for width, cell in zip(_WIDTHS, cells, strict=False)]
    padded = [" " * gap + cell for gap, cell in zip(gaps[1:], figures, strict=True)]
    return f"{verdict}{' ' * gaps[0]}{''.join(padded)}  {what}"


def _entry(output: ParsedOutput) -> dict[str, Any]:
    figures = output.found.figures
    return {
        "label": output.label,
        "connections": figures.connections,
        "threads": figures.threads,
        "requests": figures.requests,
        "duration_s": figures.duration_s,
        "rps": figures.rps,
        "latency_mean_ms": figures.latency_ms.mean,
        "errors": output.errors,
        "little_ratio": figures.little_ratio,
        "verdict": output.verdict.status,
        "reasons": encode(output.verdict.reasons),
    }


def _total(output: ParsedOutput) -> int | None:
    known = [count for count in output.errors.values() if count is not None]
    return sum(known) if known else None


def _place(output: ParsedOutput) -> str:
    """Say where an output stands, in the width of a label: its heading and line."""
    line = f":{output.found.line}"
    if output.found.heading is None:
        return _fit(text.one_line(f"{output.source}{line}"))
    heading, room = text.one_line(output.found.heading), _LABEL_WIDTH - len(line)
    if cell_len(heading) > room:
        heading = set_cell_size(heading, room - 1).rstrip() + "…"
    return heading + line


def _legend(outputs: Sequence[ParsedOutput]) -> list[str]:
    counts = {
        status: sum(output.verdict.status == status for output in outputs)
        for status in ("valid", "suspect", "invalid")
    }
    counted = [
        _("{count} {verdict}").format(count=count, verdict=_(STATUSES[status]))
        for status, count in counts.items()
        if count
    ]
    found = ngettext(
        "{count} output of wrk: {verdicts}.", "{count} outputs of wrk: {verdicts}.", len(outputs)
    ).format(count=len(outputs), verdicts=text.comma(counted))
    legend = _(
        "Little: connections / (req/s) over mean latency; 1 when all connections are served alike. "
        "A text does not tell whether the answers were the right ones."
    )
    return wrap(sentences(found, legend), WIDTH)


def _wrap(sentence: str) -> list[str]:
    return wrap(text.one_line(sentence), WIDTH, first=_INDENT, later=_INDENT + "  ")


def _fit(label: str) -> str:
    if cell_len(label) <= _LABEL_WIDTH:
        return label
    # The end of a URL or a path tells more than its beginning.
    end = label
    while cell_len(end) > _LABEL_WIDTH - 1:
        end = end[1:]
    return set_cell_size(f"…{end}", _LABEL_WIDTH).rstrip()
