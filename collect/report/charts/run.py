"""The charts of a run as a whole."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from collect.lang import _
from collect.report import text, words
from collect.report.charts.parts import (
    MORE_COLOURS,
    ROW_HEIGHT_PX,
    SERVER_COLOURS,
    VERDICT_COLOURS,
    Chart,
    Spec,
    name_of,
    point,
    tips,
)
from collect.report.charts.speed import speed_charts
from collect.report.ladder import TITLE, is_below_the_app

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.model import Trial, Variant
    from collect.report.build import HostReport, TrialLine


_DAY_MS = 24 * 3600 * 1000.0


def run_charts(host: HostReport) -> list[Chart]:
    """Return the charts of the run as a whole."""
    return [
        *_profiles(host),
        *_proxies(host),
        *_ladders(host),
        *speed_charts(host),
        *_time_line(host),
    ]


def _profiles(host: HostReport) -> list[Chart]:
    """Draw the profiles of each pair side by side."""
    if not host.shows_profile:
        return []
    found = []
    profiles = list(dict.fromkeys(variant.profile for variant in host.plan.variants))
    for part in (p for p in host.endpoints if not is_below_the_app(p.endpoint)):
        points = [
            point(
                host,
                row,
                pair=_without_profile(row.variant),
                profile=row.variant.profile,
                value=row.median,
                shown=f"{text.figure(row.median)} req/s",
            )
            for row in part.rps.rows
            if row.median is not None
        ]
        if not points:
            continue
        name = text.one_line(part.endpoint.name)
        shapes = ["circle", "square", "diamond", "triangle-up", "cross"]
        scale = {
            "domain": profiles,
            "range": [shapes[index % len(shapes)] for index in range(len(profiles))],
        }
        palette = [*SERVER_COLOURS.values()]
        tones = [palette[(index * 2 + 5) % len(palette)] for index in range(len(profiles))]
        found.append(
            Chart(
                name_of("profiles", part),
                words.titled(_("Profiles side by side"), name),
                _("Medians over blocks. Whether two are told apart stands in the ranking."),
                {
                    "height": {"step": ROW_HEIGHT_PX},
                    "data": {"values": points},
                    "mark": {"type": "point", "filled": True, "size": 100, "opacity": 0.9},
                    "encoding": {
                        "y": {
                            "field": "pair",
                            "type": "nominal",
                            "title": None,
                            "sort": list(dict.fromkeys(point["pair"] for point in points)),
                            "axis": {"labelLimit": 240},
                        },
                        "x": {
                            "field": "value",
                            "type": "quantitative",
                            "title": "req/s",
                            "scale": {"zero": True},
                        },
                        "color": {
                            "field": "profile",
                            "type": "nominal",
                            "title": None,
                            "scale": {"domain": profiles, "range": tones},
                        },
                        "shape": {
                            "field": "profile",
                            "type": "nominal",
                            "title": None,
                            "scale": scale,
                        },
                        "tooltip": tips("profile", shown="req/s"),
                    },
                },
            )
        )
    return found


def _proxies(host: HostReport) -> list[Chart]:
    """Draw what each proxy leaves of the throughput of its direct partner."""
    points = [
        {
            "variant": text.one_line(found.variant.id),
            "endpoint": text.one_line(cost.endpoint),
            "ratio": cost.rps.ratio,
            "low": cost.rps.low,
            "high": cost.rps.high,
            "shown": text.interval(cost.rps),
        }
        for found in host.proxies
        for cost in found.endpoints
        if cost.rps is not None
    ]
    if not points:
        return []
    x = {
        "type": "quantitative",
        "scale": {"type": "log"},
        "title": _("req/s ÷ req/s without proxy"),
    }
    names = {"field": "variant", "type": "nominal", "title": None, "axis": {"labelLimit": 240}}
    return [
        Chart(
            "proxies",
            _(words.PROXIES_TITLE),
            _(
                "The same server behind its proxy over the server asked directly, block by block, "
                "with the 95 % interval of this pair alone. 1: it costs nothing."
            ),
            {
                "height": {"step": ROW_HEIGHT_PX + 8},
                "data": {"values": points},
                "encoding": {
                    "y": names,
                    "yOffset": {"field": "endpoint"},
                    "color": {
                        "field": "endpoint",
                        "type": "nominal",
                        "title": None,
                        "scale": {"range": list(VERDICT_COLOURS.values())},
                    },
                    "tooltip": tips("endpoint", shown=_("of the direct one's req/s")),
                },
                "layer": [
                    {
                        "mark": {"type": "rule", "strokeWidth": 2},
                        "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
                    },
                    {
                        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                        "encoding": {
                            "x": {"field": "ratio", **x},
                            "shape": {"field": "endpoint", "type": "nominal", "title": None},
                        },
                    },
                ],
            },
        )
    ]


def _ladders(host: HostReport) -> list[Chart]:
    """Draw where the time of a request goes, a bar a variant."""
    steps = [
        {
            "variant": text.one_line(own.variant),
            "step": step.name,
            "ms": max(0.0, step.cpu_ms),
            "place": place,
            "shown": f"{text.figure(step.cpu_ms)} ms",
        }
        for own in host.ladders
        for place, step in enumerate(own.steps)
    ]
    if not steps:
        return []
    seen = list(dict.fromkeys(step["step"] for step in steps))
    palette = [*SERVER_COLOURS.values(), *MORE_COLOURS]
    return [
        Chart(
            "ladder",
            _(TITLE),
            _(
                "Each part is what one rung costs more than the one below it; the table has the "
                "intervals, and says which steps are not told apart from noise."
            ),
            {
                "height": {"step": ROW_HEIGHT_PX},
                "data": {"values": steps},
                "mark": {"type": "bar"},
                "encoding": {
                    "y": {
                        "field": "variant",
                        "type": "nominal",
                        "title": None,
                        "sort": None,
                        "axis": {"labelLimit": 240},
                    },
                    "x": {
                        "field": "ms",
                        "type": "quantitative",
                        "title": _("CPU ms a request"),
                    },
                    "color": {
                        "field": "step",
                        "type": "nominal",
                        "title": None,
                        "sort": seen,
                        "scale": {"domain": seen, "range": palette[: len(seen)]},
                    },
                    "order": {"field": "place"},
                    "tooltip": tips("step", shown=_("CPU time")),
                },
            },
        )
    ]


def _time_line(host: HostReport) -> list[Chart]:
    """Draw each trial in its hour with its verdict, and below it steal and the canary."""
    if not host.trials:
        return []
    line = cache(lambda: _TimeLine(host))
    made = [
        Chart(
            "time-line",
            _("The run, trial by trial"),
            _("Times are UTC. Gaps are warm-ups, starts and stops."),
            lambda: line().bars(),
        )
    ]
    if any(_steal(trial.trial) is not None for trial in host.trials):
        made.append(
            Chart(
                "steal",
                _("Stolen time"),
                _(
                    "Time in which the host wanted to run and another machine on the same hardware "
                    "did."
                ),
                lambda: line().dots("steal", _("steal, %")),
            )
        )
    if any(_canary_s(trial.trial) is not None for trial in host.trials):
        made.append(
            Chart(
                "canary",
                _("The canary"),
                _(
                    "The same piece of work on one core before each trial. Where it takes longer, "
                    "the host was slower; no figure is corrected by it."
                ),
                lambda: line().dots("canary", _("canary, ms")),
            )
        )
    return made


class _TimeLine:
    """The trials, each in its hour, for all charts that show them."""

    def __init__(self, host: HostReport) -> None:
        self._names = [text.one_line(variant.id) for variant in host.plan.variants]
        self._trials = [_moment(line) for line in host.trials]
        statuses = {line.verdict.status for line in host.trials}
        self._seen = [status for status in VERDICT_COLOURS if status in statuses]
        self._when = {
            "field": "start_ms",
            "type": "temporal",
            "title": None,
            "scale": {"type": "utc"},
            "axis": {"format": "%H:%M:%S" if _is_short(self._trials) else "%d %b %H:%M"},
        }
        self._tips = [
            {"field": "trial", "title": _("trial")},
            {"field": "verdict", "title": _("verdict")},
            {"field": "shown", "title": _("figures")},
            {"field": "why", "title": _("why")},
        ]

    def bars(self) -> Spec:
        """Draw all of them, a row a variant."""
        return {
            "height": {"step": max(9, min(ROW_HEIGHT_PX, 420 // max(1, len(self._names))))},
            "data": {"values": self._trials},
            "mark": {"type": "bar", "minBandSize": 6},
            "encoding": {
                "x": self._when,
                "x2": {"field": "end_ms"},
                "y": {
                    "field": "variant",
                    "type": "nominal",
                    "title": None,
                    "sort": self._names,
                    "axis": {"labelLimit": 240},
                },
                "color": self._verdict([VERDICT_COLOURS[status] for status in self._seen]),
                "tooltip": self._tips,
            },
        }

    def dots(self, name: str, title: str) -> Spec:
        """Draw a figure of those that have it."""
        shapes = {"valid": "circle", "suspect": "triangle-up", "invalid": "cross"}
        return {
            "height": 130,
            "data": {"values": [trial for trial in self._trials if trial[name] is not None]},
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.9},
            "encoding": {
                "x": self._when,
                "y": {
                    "field": name,
                    "type": "quantitative",
                    "title": title,
                    "scale": {"zero": True},
                },
                "color": self._verdict([VERDICT_COLOURS[status] for status in self._seen]),
                "shape": self._verdict([shapes[status] for status in self._seen]),
                "tooltip": [*self._tips, {"field": name, "title": title, "format": ".3~r"}],
            },
        }

    def _verdict(self, looks: list[str]) -> Spec:
        named = [_(words.STATUSES[status]) for status in self._seen]
        return {
            "field": "verdict",
            "type": "nominal",
            "title": None,
            "scale": {"domain": named, "range": looks},
        }


def _moment(line: TrialLine) -> dict[str, Any]:
    trial = line.trial
    steal, canary_s = _steal(trial), _canary_s(trial)
    rps = trial.wrk.rps if trial.wrk else None
    return {
        "trial": text.one_line(trial.trial_id),
        "variant": text.one_line(trial.variant),
        "verdict": words.status(line),
        "start_ms": _epoch_ms(trial.started_at),
        "end_ms": _epoch_ms(trial.ended_at),
        "steal": None if steal is None else steal * 100,
        "canary": None if canary_s is None else canary_s * 1000,
        "shown": _("{figure} req/s, steal {steal}").format(
            figure=text.figure(rps), steal=text.percent(steal)
        ),
        "why": text.one_line(line.verdict.reasons[0].seen) if line.verdict.reasons else "",
    }


def _steal(trial: Trial) -> float | None:
    return trial.cpu.steal_ratio if trial.cpu else None


def _canary_s(trial: Trial) -> float | None:
    return trial.host_state.canary_s if trial.host_state else None


def _epoch_ms(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000


def _is_short(trials: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether all of it happened within a day."""
    spans = [(float(trial["start_ms"]), float(trial["end_ms"])) for trial in trials]
    return max(end for _start, end in spans) - min(start for start, _end in spans) < _DAY_MS


def _without_profile(variant: Variant) -> str:
    parts = [variant.server, variant.interface, variant.label or ""]
    parts += [variant.proxy] if variant.proxy != "none" else []
    return text.one_line("-".join(filter(None, parts)))
