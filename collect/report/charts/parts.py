"""What every chart is made of: colours, shapes, the axis of names, hover values."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from collect.lang import N_, _, speaking, spoken
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collect.lang import Language
    from collect.report.build import HostReport
    from collect.report.ranking import EndpointReport, Row

Spec = dict[str, Any]

SERVER_COLOURS = {
    "uwsgi": "#E69F00",
    "gunicorn": "#56B4E9",
    "granian": "#009E73",
    "uvicorn": "#D55E00",
    "daphne": "#CC79A7",
    "hypercorn": "#0072B2",
}
MORE_COLOURS = ("#999999", "#F0E442", "#8C6BB1", "#A6761D")
VERDICT_COLOURS = {"valid": "#0072B2", "suspect": "#E69F00", "invalid": "#D55E00"}
ROW_HEIGHT_PX = 22
_FIELDS = {
    "block": N_("block"),
    "endpoint": N_("endpoint"),
    "kind": N_("kind"),
    "load": N_("load"),
    "percentile": N_("percentile"),
    "profile": N_("profile"),
    "step": N_("step"),
    "who": N_("who"),
}
"""What a field of a chart's data is called where a value is shown."""
_UNSAFE_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


# What specifications leave open, as Vega-Lite's `config`. `currentColor` makes one drawing suit
# light, dark and paper.
LOOK = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        # Or times of day run into each other.
        "labelSeparation": 8,
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.15,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": "currentColor",
        "orient": "top",
        "labelFontSize": 12,
        "labelLimit": 240,
        # As wide as a phone; the next legend goes below.
        "columns": 3,
        "layout": {"top": {"direction": "vertical", "anchor": "start"}},
        "symbolStrokeColor": "currentColor",
        "symbolBaseFillColor": "currentColor",
        "symbolBaseStrokeColor": "currentColor",
    },
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing with what stands around it."""

    name: str
    """Unique in a host's report; safe in a file's name."""
    title: str
    caption: str
    """How to read it."""
    drawn: Spec | Callable[[], Spec]
    """The specification, or what makes it: with all trials of a long run that takes a second, and a
    Markdown page shows only what stands around the drawing."""
    _language: Language = field(default_factory=spoken)

    @property
    def spec(self) -> Spec:
        """The specification, whenever it is made in the language of the title."""
        if not callable(self.drawn):
            return self.drawn
        with speaking(self._language):
            return self.drawn()

    def in_full(self, width_px: int) -> Spec:
        """Return the specification with what all have in common; its names are in the width."""
        spec = self.spec
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "description": self.title,
            "width": width_px,
            "autosize": {"type": "fit-x", "contains": "padding"},
            **spec,
            "height": _height_px(spec),
        }


def _height_px(spec: Spec) -> int:
    """Turn pixels a name into pixels; Vega-Lite does so too, and complains each time."""
    height = spec["height"]
    if not isinstance(height, dict):
        return int(height)
    name = spec["encoding"]["y"]["field"]
    parts = [spec, *spec.get("layer", [])]
    rows = [row for part in parts for row in part.get("data", {}).get("values", [])]
    return int(height["step"]) * len({row[name] for row in rows if name in row})


def name_of(kind: str, part: EndpointReport) -> str:
    """Name an endpoint's chart."""
    return f"{kind}-{_UNSAFE_IN_A_NAME.sub('_', part.endpoint.name)[:60]}"


def colours(host: HostReport) -> dict[str, str]:
    """Return a colour for each server of the plan; the same server has the same in every run."""
    more = iter(MORE_COLOURS * len(host.plan.variants))
    servers = dict.fromkeys(variant.server for variant in host.plan.variants)
    return {server: SERVER_COLOURS.get(server) or next(more) for server in servers}


def point(host: HostReport, row: Row, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - data of a chart
    """Return a value with what every chart needs to know of its variant."""
    return {
        "variant": text.one_line(row.variant.id),
        "label": label(host, row),
        "server": row.variant.server,
        "interface": row.variant.interface,
        **values,
    }


def label(host: HostReport, row: Row) -> str:
    """Return the variant's name behind its tier."""
    place = text.tier(row, host.plan.order)
    return f"{place} {text.one_line(row.variant.id)}".strip()


def names_axis(host: HostReport, rows: Sequence[Row]) -> Spec:
    """Put the names in the order of the rows, with their tiers."""
    return {
        "field": "label",
        "type": "nominal",
        "title": None,
        "sort": [label(host, row) for row in rows],
        "axis": {"labelLimit": 240, "grid": True},
    }


def colour(host: HostReport, *, legend: bool = False) -> Spec:
    """Return the channel that tells servers apart; without a legend where an axis names them."""
    known = colours(host)
    return {
        "field": "server",
        "type": "nominal",
        "title": None,
        **({} if legend else {"legend": None}),
        "scale": {"domain": list(known), "range": list(known.values())},
    }


def shape(*, legend: bool = False) -> Spec:
    """Return the channel that tells interfaces apart."""
    return {
        "field": "interface",
        "type": "nominal",
        "title": None,
        **({} if legend else {"legend": None}),
        "scale": {"domain": ["wsgi", "asgi"], "range": ["circle", "diamond"]},
    }


def tips(*fields: str, shown: str) -> list[Spec]:
    """Return the hover values: the variant, these fields, and the figure with its unit."""
    return [
        {"field": "variant", "title": _("variant")},
        *({"field": field, "title": _(_FIELDS[field])} for field in fields),
        {"field": "shown", "title": shown},
    ]


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of the known values; None if there is none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def percentiles(names: list[str]) -> Spec:
    """Return the axis of the percentiles of a latency."""
    return {
        "field": "percentile",
        "type": "ordinal",
        "sort": names,
        "title": _("percentile of the answers"),
        "axis": {"labelAngle": 0},
    }


def latency_lines(host: HostReport, points: list[Spec], x: Spec, field: str) -> Spec:
    """Draw latencies on a log scale over the axis `x` of that field, a line a variant."""
    return {
        "height": 260,
        "data": {"values": points},
        "encoding": {
            "x": x,
            "y": {
                "field": "ms",
                "type": "quantitative",
                "title": _("latency, ms"),
                "scale": {"type": "log"},
            },
            "color": colour(host, legend=True),
            "detail": {"field": "variant"},
            "tooltip": tips(field, shown=_("latency")),
        },
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {
                    "strokeDash": {
                        "field": "interface",
                        "type": "nominal",
                        "title": None,
                        "scale": {"domain": ["wsgi", "asgi"], "range": [[1, 0], [5, 3]]},
                    }
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
                "encoding": {"shape": shape(legend=True)},
            },
        ],
    }
