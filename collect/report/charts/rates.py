"""The charts of legs at a fixed rate: latency by load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collect.lang import _
from collect.report import text
from collect.report.charts.parts import Chart, latency_lines, name_of, percentiles

if TYPE_CHECKING:
    from collect.report.build import HostReport
    from collect.report.rates import EndpointRates, RateRow

_PERCENTILES = {"p50_ms": "50", "p90_ms": "90", "p99_ms": "99", "p999_ms": "99.9"}


def rate_charts(host: HostReport) -> list[Chart]:
    """Return the charts of each endpoint with legs at a fixed rate."""
    parts = {part.endpoint.name: part for part in host.endpoints}
    found = []
    for own in host.rates:
        found += _by_load(host, own, name_of("rates", parts[own.endpoint]))
        found += _at_common(host, own, name_of("common", parts[own.endpoint]))
    return found


def _by_load(host: HostReport, own: EndpointRates, name: str) -> list[Chart]:
    """Draw p99 against the share of each variant's own capacity."""
    points = [
        _point(host, row, load=row.share, ms=row.p99_ms, low=row.p99_low_ms, high=row.p99_high_ms)
        for row in own.own
        if row.is_carried and row.p99_ms
    ]
    if not points:
        return []
    spec = latency_lines(
        host,
        points,
        {
            "field": "load",
            "type": "quantitative",
            "title": _("rate, as a share of the variant's own capacity"),
            "axis": {"format": "%"},
            "scale": {"zero": True},
        },
        "load",
    )
    spec["layer"].insert(
        0,
        {
            "transform": [{"filter": "datum.low != null"}],
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.5},
            "encoding": {
                "y": {"field": "low", "type": "quantitative", "scale": {"type": "log"}},
                "y2": {"field": "high"},
            },
        },
    )
    return [
        Chart(
            name,
            _("99th percentile by load, {endpoint}").format(endpoint=text.one_line(own.endpoint)),
            _(
                "Each variant at shares of what it carries at most, with the 95 % interval over "
                "blocks. Where a line ends, the next rate was not kept."
            ),
            spec,
        )
    ]


def _at_common(host: HostReport, own: EndpointRates, name: str) -> list[Chart]:
    """Draw the percentiles at the one rate for all."""
    points: list[dict[str, Any]] = []
    for row in own.common:
        if not row.is_carried:
            continue
        for field, label in _PERCENTILES.items():
            if ms := getattr(row, field):
                points.append(_point(host, row, percentile=label, ms=ms))
    if not points:
        return []
    x = percentiles([*_PERCENTILES.values()])
    rate = text.figure(own.common[0].rate_rps)
    return [
        Chart(
            name,
            _("Latency at {rate} req/s, {endpoint}").format(
                rate=rate, endpoint=text.one_line(own.endpoint)
            ),
            _("The same rate for all: what a visitor of a site with so many requests waits."),
            latency_lines(host, points, x, "percentile"),
        )
    ]


def _point(host: HostReport, row: RateRow, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - data of a chart
    variant = host.plan.variant(row.variant)
    return {
        "variant": text.one_line(variant.id),
        "server": variant.server,
        "interface": variant.interface,
        "shown": _("{ms} ms at {rate} req/s").format(
            ms=text.figure(values["ms"]), rate=text.figure(row.rate_rps)
        ),
        **values,
    }
