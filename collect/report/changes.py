"""What `serverbench compare` shows: what changed from run A to run B."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from collect.changes.differences import Difference
from collect.changes.figures import MIN_SHARED
from collect.lang import N_, _, ngettext, sentences
from collect.report import text
from collect.report.lines import wrap
from collect.report.words import titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collect.changes import Change, Changes, HostChanges, Row, Table, Used

WIDTH = 80

_METRICS = {
    "rps": (N_("requests per second"), "req/s", 1.0),
    "p99_ms": (N_("latency, 99th percentile"), "ms", 1.0),
    "pss_peak_bytes": (N_("peak memory (PSS)"), "MiB", 2.0**20),
    "cpu_s_per_request": (N_("CPU per request"), "ms", 1e-3),
}
_DRIFT = N_("host's own drift")
_COMMON = N_("common to all")
_SHORT = N_("A and B: geometric means over blocks. B/A: below 1, B has less; 95 %: its interval.")
_CAVEAT = N_(
    "The intervals cover the noise inside each run. A host that was faster or slower all through "
    "one of the two runs cannot be told from a change of a server, unless it shows in all "
    "variants: “{drift}” is the median change of all."
)
_OTHERS = N_(
    "“Against the others” is a variant's change over that median, with an interval from inside the "
    "blocks; it holds while fewer than half of them changed. What all variants share (the app, its "
    "data, system settings) moves the drift, too."
)
_TOO_FEW = N_(
    "With fewer than {fewest} variants in both runs nobody can say whether the host or a server "
    "changed."
)
_REMEDY = N_("To be sure, measure both settings as two variants of one run.")
_HOLM = N_(
    "Intervals hold for all variants of a table at once (Welch's t test of logarithms, Holm's "
    "method): a table without any true change shows one in at most 1 case of 20. One that ends at "
    "1.00 does not hold it if its variant is named as changed."
)
_ONE_BLOCK = N_(
    "One block gives no interval, and so no verdict; three blocks in each run are the least that "
    "say something: -e bench_blocks=3."
)
_NOT_TOLD = N_("no change can be told")
_STATES = {
    "lower": N_("lower"),
    "higher": N_("higher"),
    "not_told": _NOT_TOLD,
}
_MAX_RATIO, _MIN_RATIO = 1000, 0.001


def render_refusal(changes: Changes) -> str:
    """Name each difference on one line."""
    count = len(changes.differences)
    head = ngettext(
        "the runs differ in {count} thing; --allow-different compares them all the same",
        "the runs differ in {count} things; --allow-different compares them all the same",
        count,
    )
    lines = [head.format(count=count)]
    lines += [f"  {_difference(difference)}" for difference in changes.differences]
    return "\n".join(lines) + "\n"


def render_changes_terminal(changes: Changes) -> str:
    """Write the tables in 80 columns."""
    lines = []
    for line in _preamble(changes):
        lines += _wrap(line)
    for host in changes.hosts:
        for line in _host_head(host):
            lines += _wrap(line)
        for table in host.tables:
            lines += ["", *_wrap(_title(table)), *_columns(table)]
            for sentence in _sentences(table):
                lines += _wrap(f"  {sentence}")
    lines.append("")
    for line in _legend(changes):
        lines += _wrap(line)
    return "\n".join(lines).strip("\n") + "\n"


def render_changes_markdown(changes: Changes) -> str:
    """Write the tables as GitHub-flavoured Markdown; nothing from a host can act as markup."""
    first, *rest = _preamble(changes)
    lines = [f"# {_markdown(first)}", ""]
    lines += [f"- {_markdown(line)}" for line in rest]
    for host in changes.hosts:
        name, *notes = _host_head(host)[1:]
        lines += ["", f"## {_markdown(name)}", ""]
        lines += [f"- {_markdown(note)}" for note in notes]
        for table in host.tables:
            lines += ["", f"### {_markdown(_title(table))}", ""]
            lines += _markdown_table(table)
            lines += ["", *(f"- {_markdown(sentence)}" for sentence in _sentences(table))]
    lines += ["", *(f"{_markdown(line)}\n" for line in _legend(changes))]
    return "\n".join(lines).rstrip() + "\n"


def _preamble(changes: Changes) -> Iterator[str]:
    yield _("From run A, {run_a}, to run B, {run_b}").format(
        run_a=text.one_line(changes.run_a), run_b=text.one_line(changes.run_b)
    )
    for difference in changes.differences:
        yield f"! {_difference(difference)}"
    if changes.differences:
        warning = ngettext(
            "A change may come from that as well as from a server.",
            "A change may come from those as well as from a server.",
            len(changes.differences),
        )
        yield f"! {warning}"
    for note in changes.notes:
        yield f"! {_whole(note)}"


def _host_head(host: HostChanges) -> list[str]:
    used = [titled(run, _used(one)) for run, one in (("A", host.a), ("B", host.b))]
    notes = [f"! {_whole(note)}" for note in host.notes]
    return ["", text.one_line(host.name), *used, *notes]


def _used(used: Used) -> str:
    valid = used.trials - used.invalid
    return _("{host}, {blocks}, {order}, {trials} trials used").format(
        host=text.one_line(used.host),
        blocks=text.number(used.blocks, "block"),
        order=_(text.ORDERS[used.order]),
        trials=text.count(valid),
    )


def _title(table: Table) -> str:
    words, unit, _scale = _METRICS[table.metric]
    if table.higher_is_better:
        title = _("{endpoint}: {metric}, {unit}; higher is better")
    else:
        title = _("{endpoint}: {metric}, {unit}; lower is better")
    return title.format(endpoint=text.one_line(table.endpoint), metric=_(words), unit=unit)


def _columns(table: Table) -> list[str]:
    has_relative = any(row.relative for row in table.rows)
    room = 20 if has_relative else 42
    rows = [_cells(table, row, has_relative=has_relative) for row in table.rows]
    head = ["", "A", "B", "B/A", "95 %", *([_("others"), "95 %"] if has_relative else [])]
    head[0] = _("variant")
    if table.drift is not None:
        drift = [_drift_name(table), "", "", _ratio(table.drift), ""]
        rows.append([*drift, *(["", ""] if has_relative else [])])
    name_width = min(room, max(cell_len(row[0]) for row in [head, *rows]))
    lines = []
    for row in [head, *rows]:
        name, cells = row[0], row[1:]
        if cell_len(name) > name_width:
            # Cut short, two variants might look like one.
            lines.append(name)
            name = ""
        widths = (8, 8, 7, 14, 8, 14)
        line = name + " " * (name_width - cell_len(name))
        line += "".join(
            " " * (width - cell_len(cell)) + cell
            for cell, width in zip(cells, widths, strict=False)
        )
        lines.append(line.rstrip())
    return lines


def _cells(table: Table, row: Row, *, has_relative: bool) -> list[str]:
    unit = _METRICS[table.metric][2]
    cells = [
        text.one_line(row.variant),
        *(text.figure(None if x is None else x / unit) for x in (row.a, row.b)),
        *_change(row.change),
    ]
    return [*cells, *_change(row.relative)] if has_relative else cells


def _change(change: Change | None) -> tuple[str, str]:
    if change is None:
        return text.UNKNOWN, ""
    if change.low is None or change.high is None:
        return _ratio(change.ratio), text.UNKNOWN
    return _ratio(change.ratio), f"{_ratio(change.low)}–{_ratio(change.high)}"  # noqa: RUF001


def _ratio(value: float) -> str:
    """Write a ratio in at most six characters: two blocks may leave it wide open."""
    if value >= _MAX_RATIO:
        return f">{_MAX_RATIO - 1}"
    return f"<{_MIN_RATIO}" if value < _MIN_RATIO else text.figure(value)


def _drift_name(table: Table) -> str:
    # Memory has no speed.
    is_memory = table.metric == "pss_peak_bytes"
    return _(_COMMON) if is_memory else _(_DRIFT)


def _markdown_table(table: Table) -> Iterator[str]:
    has_relative = any(row.relative for row in table.rows)
    head = [_("variant"), "A", "B", "B/A", "95 %", _("change")]
    if has_relative:
        head += [_("against the others"), "95 %", _("change")]
    yield f"| {' | '.join(head)} |"
    yield f"| :--- |{' ---: |' * (len(head) - 1)}"
    for row in table.rows:
        name, *cells = _cells(table, row, has_relative=has_relative)
        cells.insert(4, _state(row.change))
        if has_relative:
            cells.append(_state(row.relative))
        yield f"| {_markdown(name)} | {' | '.join(map(_markdown, cells))} |"
    if table.drift is not None:
        blanks = " |" * (len(head) - 4)
        yield f"| {_drift_name(table)} | | | {_markdown(_ratio(table.drift))} |{blanks}"


def _state(change: Change | None) -> str:
    if change is None or change.state == "unknown":
        return text.UNKNOWN
    return _(_STATES[change.state])


def _sentences(table: Table) -> Iterator[str]:
    changes = [(row.variant, row.change) for row in table.rows]
    if said := _verdicts(table, changes):
        yield _("{verdicts}.").format(verdicts=said[0].upper() + said[1:])
    if unknown := [name for name, change in changes if change and change.state == "unknown"]:
        yield _("No interval, as a run has only one block of it: {names}.").format(
            names=_names(unknown)
        )
    if nothing := [row.variant for row in table.rows if row.change is None]:
        yield _("No figure in one of the runs: {names}.").format(names=_names(nothing))
    if said := _verdicts(table, [(row.variant, row.relative) for row in table.rows]):
        yield _("Against the others: {verdicts}.").format(verdicts=said)


def _verdicts(table: Table, changes: Sequence[tuple[str, Change | None]]) -> str:
    """Say who changed and of whom nobody can tell, in clauses; empty where nobody can tell."""
    by_state: dict[str, list[str]] = {}
    for variant, change in changes:
        if change is not None:
            by_state.setdefault(change.state, []).append(variant)
    parts = []
    for state in ("lower", "higher"):
        if state in by_state:
            is_better = (state == "higher") == table.higher_is_better
            parts.append(_effect(state, is_better=is_better).format(names=_names(by_state[state])))
    if untold := by_state.get("not_told"):
        if parts and "unknown" not in by_state and len(untold) > 1:
            parts.append(_("no change can be told: the other {count}").format(count=len(untold)))
        elif len(by_state) > 1:
            parts.append(_("no change can be told: {names}").format(names=_names(untold)))
        else:
            parts.append(_(_NOT_TOLD))
    return text.semicolon(parts)


def _effect(state: str, *, is_better: bool) -> str:
    if state == "lower":
        return _("lower, so better: {names}") if is_better else _("lower, so worse: {names}")
    return _("higher, so better: {names}") if is_better else _("higher, so worse: {names}")


def _names(variants: Sequence[str]) -> str:
    return text.comma([text.one_line(variant) for variant in variants])


def _legend(changes: Changes) -> Iterator[str]:
    tables = [table for host in changes.hosts for table in host.tables]
    rows = [row for table in tables for row in table.rows]
    yield _(_SHORT)
    more = ""
    if any(row.relative for row in rows):
        more = _(_OTHERS)
    elif _is_small(tables):
        more = _(_TOO_FEW).format(fewest=MIN_SHARED)
    yield sentences(_(_CAVEAT).format(drift=_(_DRIFT)), more, _(_REMEDY))
    if any(row.change and row.change.low is not None for row in rows):
        yield _(_HOLM)
    if any(row.change and row.change.low is None for row in rows):
        yield _(_ONE_BLOCK)


def _is_small(tables: Sequence[Table]) -> bool:
    return all(sum(row.change is not None for row in table.rows) < MIN_SHARED for table in tables)


def _difference(difference: Difference) -> str:
    """Write it on one line, each part of it bounded, so that neither value hides the other."""
    parts = (difference.host, difference.what, difference.a, difference.b)
    return str(Difference(*map(text.one_line, parts)))


def _whole(line: str) -> str:
    """Clean a line that the kit wrote around foreign names; however long, none is cut off."""
    return " ".join(text.clean(line).split())


def _markdown(line: str) -> str:
    """Escape a line of any length: a word at a time, as a long one would be cut off."""
    return " ".join(map(text.markdown, line.split()))


def _wrap(line: str) -> list[str]:
    """Wrap at 80 columns; what follows a mark or an indent stays under it."""
    indent = "    " if line.startswith("  ") else "  " if line.startswith("! ") else ""
    # Names hold hyphens; half a name is none.
    return wrap(line, WIDTH, later=indent, break_on_hyphens=False) or [""]
