"""The charts of the host's speed: along the run, and by time of day."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from collect.lang import _
from collect.report import steadiness, text
from collect.report.charts.parts import Chart, Spec, colour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.detective import Finding, Hours, Moment
    from collect.report.build import HostReport

_DAY_MS = 24 * 3600 * 1000.0
_COMMON = "#0072B2"
_WIDER_H = 0.4
"""A window of some minutes would be a dot."""
_SHADES = {
    "host_slow": "#D55E00",
    "credit": "#E69F00",
    "burst": "#CC79A7",
    "decay": "#009E73",
    "loadgen": "#56B4E9",
}


def speed_charts(host: HostReport) -> list[Chart]:
    """Return both, or none where the trials tell nothing of when."""
    if not host.steady.moments:
        return []
    made = [
        Chart(
            "speed",
            _("The host's speed along the run"),
            _(
                "A dot is one trial against the usual speed of its variant on its endpoint, the "
                "line what all variants have in common. What was found is shaded. Times are UTC."
            ),
            partial(_along, host),
        )
    ]
    if host.steady.hours is not None:
        made.append(
            Chart(
                "hours",
                _("The host's speed by hour of the day"),
                _("A dot is one trial, a line the mean of a time of day over all its days."),
                partial(_by_hour, host, host.steady.hours),
            )
        )
    return made


def _along(host: HostReport) -> Spec:
    """Draw each trial against its variant's own level, the common level, and what was found."""
    moments = host.steady.moments
    points = [_point(host, moment) for moment in moments]
    steps: list[dict[str, Any]] = []
    for moment in moments:
        steps += [
            {"start_ms": at_s * 1000, "common": moment.common}
            for at_s in (moment.starts_s, moment.ends_s)
        ]
    found = [_shade(finding) for finding in host.steady.findings if finding.kind != "decay"]
    is_short = points[-1]["start_ms"] - points[0]["start_ms"] < _DAY_MS
    when = {
        "field": "start_ms",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc"},
        "axis": {"format": "%H:%M:%S" if is_short else "%d %b %H:%M"},
    }
    speed = _speed(points)
    layers: list[Spec] = []
    if found:
        kinds = list(dict.fromkeys(one["kind"] for one in found))
        names = {_(name): kind for kind, name in steadiness.KINDS.items()}
        layers.append(
            {
                "data": {"values": found},
                "mark": {"type": "rect", "opacity": 0.25},
                "encoding": {
                    "x": when,
                    "x2": {"field": "end_ms"},
                    "color": {
                        "field": "kind",
                        "type": "nominal",
                        "title": None,
                        "scale": {
                            "domain": kinds,
                            "range": [_SHADES[names[kind]] for kind in kinds],
                        },
                    },
                    "tooltip": [
                        {"field": "kind", "title": _("kind")},
                        {"field": "shown", "title": _("speed")},
                    ],
                },
            }
        )
    layers += [
        _dots(host, points, when, speed),
        {
            "data": {"values": steps},
            "mark": {"type": "line", "strokeWidth": 2, "color": _COMMON},
            "encoding": {"x": when, "y": {"field": "common", **speed}},
        },
    ]
    return {"height": 200, "layer": layers, "resolve": {"scale": {"color": "independent"}}}


def _dots(host: HostReport, points: list[Spec], x: Spec, speed: Spec) -> Spec:
    """Draw a dot a trial, its speed over the axis `x`."""
    return {
        "data": {"values": points},
        "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.6},
        "encoding": {
            "x": x,
            "y": {"field": "speed", **speed},
            "color": colour(host, legend=True),
            "tooltip": [
                {"field": "trial", "title": _("trial")},
                {"field": "shown", "title": _("speed")},
            ],
        },
    }


def _by_hour(host: HostReport, hours: Hours) -> Spec:
    """Draw the same trials by their time of day."""
    steady = host.steady
    zone = timezone.utc if steady.zone == "UTC" else ZoneInfo(steady.zone)
    points = []
    for moment in steady.moments:
        at = datetime.fromtimestamp(moment.starts_s, zone)
        points.append({**_point(host, moment), "hour": at.hour + at.minute / 60})
    windows = [
        {
            "hour": max(0.0, window.starts_min / 60 - _WIDER_H),
            "end": min(24.0, window.ends_min / 60 + _WIDER_H),
            "level": window.speed,
        }
        for window in hours.windows
    ]
    hour = {
        "type": "quantitative",
        "title": _("hour of the day ({zone})").format(zone=text.one_line(steady.zone)),
        "scale": {"domain": [0, 24]},
        "axis": {"values": list(range(0, 25, 3))},
    }
    speed = _speed(points)
    return {
        "height": 200,
        "layer": [
            _dots(host, points, {"field": "hour", **hour}, speed),
            {
                "data": {"values": windows},
                "mark": {"type": "rule", "strokeWidth": 3, "color": _COMMON},
                "encoding": {
                    "x": {"field": "hour", **hour},
                    "x2": {"field": "end"},
                    "y": {"field": "level", **speed},
                },
            },
        ],
    }


def _speed(points: Sequence[Mapping[str, Any]]) -> Spec:
    """Return the axis: halves and doubles lie equally far, and no decade stands empty."""
    speeds = [1.0, *(float(point["speed"]) for point in points)]
    return {
        "type": "quantitative",
        "title": _("times the usual speed"),
        "scale": {"type": "log", "domain": [min(speeds) * 0.9, max(speeds) * 1.1], "nice": False},
    }


def _point(host: HostReport, moment: Moment) -> dict[str, Any]:
    return {
        "trial": text.one_line(moment.trial_id),
        "server": host.plan.variant(moment.variant).server,
        "start_ms": moment.starts_s * 1000,
        "speed": moment.speed,
        "shown": f"{text.figure(moment.speed)}x",
    }


def _shade(finding: Finding) -> dict[str, Any]:
    return {
        "kind": _(steadiness.KINDS[finding.kind]),
        "start_ms": finding.starts_s * 1000,
        "end_ms": finding.ends_s * 1000,
        "shown": text.interval(finding.ratio),
    }
