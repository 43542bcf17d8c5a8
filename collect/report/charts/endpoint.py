"""The charts of one endpoint."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from collect.checks import is_database
from collect.lang import N_, _
from collect.report import text, words
from collect.report.charts.parts import (
    ROW_HEIGHT_PX,
    Chart,
    Spec,
    colour,
    latency_lines,
    median,
    name_of,
    names_axis,
    percentiles,
    point,
    shape,
    tips,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collect.model import Trial
    from collect.report.build import HostReport
    from collect.report.ranking import EndpointReport, Row, Table

_CPU_COLOURS = {
    "server": "#009E73",
    "proxy": "#CC79A7",
    "databases": "#0072B2",
    "wrk": "#E69F00",
    "kit": "#F0E442",
    "others": "#999999",
    "stolen": "#D55E00",
    "idle": "#DDDDDD",
}
_WHO = {
    "server": N_("server"),
    "proxy": N_("proxy"),
    "databases": N_("databases"),
    "wrk": N_("wrk"),
    "kit": N_("the kit"),
    "others": N_("others"),
    "stolen": N_("stolen"),
    "idle": N_("idle"),
}
_PERCENTILES = ("p50", "p75", "p90", "p99", "p999", "max")
_SHOWN_PERCENTILES = {"p50": "50", "p75": "75", "p90": "90", "p99": "99", "p999": "99.9"}
_SIZES = (N_("PSS idle"), N_("PSS peak"), N_("RSS peak"), N_("cgroup peak"))

_CROWDED = 5
"""Of a logarithmic axis the last over the first from which on 1, 2 and 5 are label enough."""


def endpoint_charts(host: HostReport, part: EndpointReport) -> list[Chart]:
    """Return the charts of one endpoint."""
    return [
        Chart(
            name_of("rps", part),
            _(words.RPS_TITLE),
            _(
                "A dot is the median over blocks, a line one trial. The host's speed changes from "
                "hour to hour, so compare inside blocks: that is what the chart beside this one "
                "does."
            ),
            partial(_figures, host, part.rps, "req/s", _rps),
        ),
        *_behind(host, part),
        *_memory(host, part),
        *_memory_and_rps(host, part),
        *_latency(host, part),
        *_cpu(host, part),
    ]


def _figures(
    host: HostReport, table: Table, unit: str, value: Callable[[Trial], float | None]
) -> Spec:
    """Draw each trial of each variant and the medians."""
    rows = [row for row in table.rows if row.median is not None]
    trials = [
        point(host, row, value=found, block=trial.block, shown=f"{text.figure(found)} {unit}")
        for row in rows
        for trial in host.used.get((row.variant.id, table.ranking.endpoint), ())
        if (found := value(trial)) is not None
    ]
    medians = [
        point(host, row, value=row.median, shown=f"{text.figure(row.median)} {unit}")
        for row in rows
    ]
    x = {"field": "value", "type": "quantitative", "title": unit, "scale": {"zero": True}}
    names = names_axis(host, rows)
    return {
        "height": {"step": ROW_HEIGHT_PX},
        "encoding": {"y": names, "color": colour(host), "tooltip": tips("block", shown=unit)},
        "layer": [
            {
                "data": {"values": trials},
                "mark": {"type": "tick", "thickness": 2, "opacity": 0.55},
                "encoding": {"x": x},
            },
            {
                "data": {"values": medians},
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {
                    "x": x,
                    "shape": shape(),
                    "tooltip": tips(shown=_("median {unit}").format(unit=unit)),
                },
            },
        ],
    }


def _behind(host: HostReport, part: EndpointReport) -> list[Chart]:
    """Draw how far each variant is behind the best, with its interval."""
    rows = [row for row in part.rps.rows if row.median is not None]
    points = []
    for row in rows:
        if row.is_first:
            points.append(point(host, row, ratio=1.0, low=1.0, high=1.0, shown=_("1 (the best)")))
        elif row.behind is not None:
            near = {name: getattr(row.behind, name) for name in ("ratio", "low", "high")}
            points.append(point(host, row, **near, shown=text.interval(row.behind)))
    if len(points) < 2:  # noqa: PLR2004 - the best alone is behind nobody
        return []
    names = names_axis(host, rows)
    # To the nearest powers of ten a third of the chart would often be empty.
    ends = [min(one["low"] for one in points) * 0.9, max(one["high"] for one in points) * 1.1]
    x = {
        "type": "quantitative",
        "scale": {"type": "log", "domain": ends, "nice": False},
        "title": _("times slower than the best"),
    }
    if ends[1] / ends[0] > _CROWDED:
        x["axis"] = {"labelExpr": "test(/^[0.,]*[125][0,]*$/, datum.label) ? datum.label : ''"}
    spec = {
        "height": {"step": ROW_HEIGHT_PX},
        "data": {"values": points},
        "encoding": {
            "y": names,
            "color": colour(host),
            "tooltip": tips(shown=_("behind the best")),
        },
        "layer": [
            {
                "data": {"values": [{"at": 1}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": "currentColor"},
                "encoding": {
                    "x": {"field": "at", "type": "quantitative"},
                    "y": {"value": 0},
                    "y2": {"value": "height"},
                    "color": {"value": "currentColor"},
                    "tooltip": {"value": None},
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"x": {"field": "ratio", **x}, "shape": shape()},
            },
        ],
    }
    return [
        Chart(
            name_of("behind", part),
            _("How many times slower than the best"),
            _(
                "Block by block, with the 95 % interval, which allows for all pairs. An interval "
                "that goes below 1 is a tie with the best, one that ends at 1 is not; variants of "
                "one tier (=) are not all told apart."
            ),
            spec,
        )
    ]


def _memory(host: HostReport, part: EndpointReport) -> list[Chart]:
    """Draw PSS from idle to peak, and beside it what RSS and the control group say."""
    points = []
    idle, peak, rss, cgroup = map(_, _SIZES)
    for row in part.memory.rows:
        trials = _used(host, part, row)
        kinds: dict[str, float | None] = {
            idle: row.idle_bytes,
            peak: median(trial.whole_pss_peak_bytes for trial in trials),
            rss: median(map(_whole_rss_peak_bytes, trials)),
            cgroup: median(map(_whole_cgroup_peak_bytes, trials)),
        }
        sizes = {kind: text.mebibytes(size) for kind, size in kinds.items()}
        points += [
            point(
                host,
                row,
                kind=kind,
                value=size,
                low=sizes[idle],
                high=sizes[peak],
                shown=f"{text.figure(size)} MiB",
            )
            for kind, size in sizes.items()
            if size is not None
        ]
    if not points:
        return []
    names = names_axis(host, part.memory.rows)
    x = {"type": "quantitative", "title": "MiB", "scale": {"zero": True}}
    kinds_seen = [
        kind for kind in (idle, peak, rss, cgroup) if any(point["kind"] == kind for point in points)
    ]
    shapes = {idle: "stroke", peak: "circle", rss: "square"}
    spec: Spec = {
        "height": {"step": ROW_HEIGHT_PX},
        "data": {"values": points},
        "encoding": {
            "y": names,
            "color": colour(host),
            "tooltip": tips("kind", shown=_("memory")),
        },
        "layer": [
            {
                "transform": [{"filter": f"datum.kind == {peak!r} && datum.low != null"}],
                "mark": {"type": "rule", "strokeWidth": 6, "opacity": 0.35},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "size": 80, "strokeWidth": 2, "opacity": 1},
                "encoding": {
                    "x": {"field": "value", **x},
                    "shape": {
                        "field": "kind",
                        "type": "nominal",
                        "title": None,
                        "scale": {
                            "domain": kinds_seen,
                            "range": [shapes.get(kind, "diamond") for kind in kinds_seen],
                        },
                    },
                },
            },
        ],
    }
    return [
        Chart(
            name_of("memory", part),
            _("Memory, idle to peak"),
            _(
                "The bar is PSS from idle to its peak under load: what one more such server "
                "needs. RSS counts a page that two processes share twice; the control group "
                "counts caches, too."
            ),
            spec,
        )
    ]


def _memory_and_rps(host: HostReport, part: EndpointReport) -> list[Chart]:
    """Draw throughput against memory."""
    memory = {row.variant.id: row.median for row in part.memory.rows}
    points = [
        point(
            host,
            row,
            rps=row.median,
            mib=size / 2**20,
            shown=f"{text.figure(row.median)} req/s, {text.figure(size / 2**20)} MiB",
        )
        for row in part.rps.rows
        if row.median is not None and (size := memory.get(row.variant.id)) is not None
    ]
    if len(points) < 2:  # noqa: PLR2004 - one point compares nothing
        return []
    at = {
        "x": {
            "field": "mib",
            "type": "quantitative",
            "title": _("peak memory (PSS), MiB"),
            "scale": {"zero": True},
        },
        "y": {
            "field": "rps",
            "type": "quantitative",
            "title": "req/s",
            "scale": {"zero": True},
        },
        "color": colour(host, legend=True),
        "tooltip": tips(shown=_("figures")),
    }
    # Names in the plot would hide each other wherever two variants lie close.
    layers: list[Spec] = [
        {
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {"shape": shape(legend=True)},
        }
    ]
    return [
        Chart(
            name_of("efficiency", part),
            _("Throughput against memory"),
            _("Up and to the left is better: more requests out of less memory."),
            {"height": 260, "data": {"values": points}, "encoding": at, "layer": layers},
        )
    ]


def _latency(host: HostReport, part: EndpointReport) -> list[Chart]:
    """Draw the percentiles of the latency, a line a variant."""
    points = []
    for row in part.rps.rows:
        trials = _used(host, part, row)
        found = [latency for trial in trials if (latency := trial.whole_latency_ms)]
        for name in _PERCENTILES:
            value = median(getattr(latency, name) for latency in found)
            if value:
                label = _SHOWN_PERCENTILES.get(name, name)
                shown = f"{text.figure(value)} ms"
                points.append(point(host, row, percentile=label, ms=value, shown=shown))
    if not points:
        return []
    x = percentiles([*_SHOWN_PERCENTILES.values(), "max"])
    return [
        Chart(
            name_of("latency", part),
            _("Latency under full load"),
            _(
                "Medians over blocks of each percentile. With the queue always full, latency "
                "follows throughput: it is no measure of what a visitor of a quiet site waits."
            ),
            latency_lines(host, points, x, "percentile"),
        )
    ]


def _cpu(host: HostReport, part: EndpointReport) -> list[Chart]:
    """Draw who used the host's cores while load ran; none where no trial tells."""
    if all(_shares(one) is None for row in part.rps.rows for one in _used(host, part, row)):
        return []
    return [
        Chart(
            name_of("cpu", part),
            _("Who used the cores"),
            _(
                "Means over the trials used. wrk runs on the same host and takes its share from "
                "the server; what others took was missing to both."
            ),
            partial(_users, host, part),
        )
    ]


def _users(host: HostReport, part: EndpointReport) -> Spec:
    bars = []
    for row in part.rps.rows:
        shares = [share for trial in _used(host, part, row) if (share := _shares(trial))]
        if not shares:
            continue
        for who in _CPU_COLOURS:
            mean = statistics.fmean(share[who] for share in shares)
            if mean > 0:
                shown = text.percent(mean)
                bars.append(point(host, row, who=_(_WHO[who]), share=mean, shown=shown))
    named = {_(_WHO[who]): colour for who, colour in _CPU_COLOURS.items()}
    seen = [who for who in named if any(bar["who"] == who for bar in bars)]
    return {
        "height": {"step": ROW_HEIGHT_PX},
        "data": {"values": bars},
        "transform": [
            {
                "calculate": f"indexof({seen!r}, datum.who)",
                "as": "place",
            }
        ],
        "mark": {"type": "bar"},
        "encoding": {
            "y": names_axis(host, part.rps.rows),
            "x": {
                "field": "share",
                "type": "quantitative",
                "title": _("share of {cores}").format(cores=text.number(_cores(host), "core")),
                "axis": {"format": "%"},
                "scale": {"domain": [0, 1], "clamp": True},
            },
            "color": {
                "field": "who",
                "type": "nominal",
                "title": None,
                "sort": seen,
                "scale": {"domain": seen, "range": [named[who] for who in seen]},
            },
            "order": {"field": "place"},
            "tooltip": tips("who", shown=_("share")),
        },
    }


def _used(host: HostReport, part: EndpointReport, row: Row) -> Sequence[Trial]:
    return host.used.get((row.variant.id, part.endpoint.name), ())


def _whole_rss_peak_bytes(trial: Trial) -> int | None:
    """Return the RSS, the proxy's included as in the PSS; None where a part of it is unknown."""
    own = trial.memory.rss_peak_bytes if trial.memory else None
    if trial.proxy == "none":
        return own
    beside = trial.proxy_figures.rss_peak_bytes if trial.proxy_figures else None
    return None if own is None or beside is None else own + beside


def _whole_cgroup_peak_bytes(trial: Trial) -> int | None:
    """Return what the control group says; None behind a proxy, which has one of its own."""
    return trial.memory.cgroup_peak_bytes if trial.memory and trial.proxy == "none" else None


def _shares(trial: Trial) -> dict[str, float] | None:
    """Return who had which share of all cores; None where that is not known."""
    cpu, wrk = trial.cpu, trial.wrk
    if cpu is None or wrk is None or not wrk.duration_s:
        return None
    proxy_s = None if trial.proxy_figures is None else trial.proxy_figures.cpu_s
    if trial.proxy == "none":
        proxy_s = 0.0
    # What is not known was not nothing: the rest of the bar would be wrong by as much.
    if (
        cpu.server_s is None
        or proxy_s is None
        or cpu.loadgen_s is None
        or cpu.busy_s is None
        or cpu.steal_ratio is None
    ):
        return None
    whole_s = wrk.duration_s * cpu.cores
    others = cpu.others or {}
    spent = {
        "server": cpu.server_s,
        "proxy": proxy_s,
        "databases": sum(used_s for name, used_s in others.items() if is_database(name)),
        "wrk": cpu.loadgen_s,
        # Where this is not known, it is among the others.
        "kit": cpu.runner_s or 0.0,
    }
    shares = {who: used_s / whole_s for who, used_s in spent.items()}
    # The kernel's own work on the network is among it.
    shares["others"] = max(0.0, cpu.busy_s - sum(spent.values())) / whole_s
    shares["stolen"] = cpu.steal_ratio
    shares["idle"] = max(0.0, 1 - sum(shares.values()))
    return shares


def _cores(host: HostReport) -> int:
    known = [one.cpu.cores for trials in host.used.values() for one in trials if one.cpu]
    return max(known, default=host.facts.cores or 1)


def _rps(trial: Trial) -> float | None:
    return trial.wrk.rps if trial.wrk else None
