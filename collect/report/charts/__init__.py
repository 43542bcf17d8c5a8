"""The charts of a host's report, as Vega-Lite specifications that hold their own data.

A specification is a mapping that vl-convert draws as it stands, for Markdown, and that a browser
draws with hover values, for HTML. Colours come from Okabe and Ito, "Color Universal Design" (2008),
and are told apart by the colour-blind; where two things must not be mixed up, their shapes differ,
too. Text takes the colour of the page around it, so that one drawing suits light, dark and paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collect.report.charts.draw import image_name, is_image_name, javascript, svg
from collect.report.charts.endpoint import endpoint_charts
from collect.report.charts.parts import LOOK, Chart, colours, name_of
from collect.report.charts.rates import rate_charts
from collect.report.charts.run import run_charts
from collect.report.ladder import is_below_the_app

if TYPE_CHECKING:
    from pathlib import Path

    from collect.report.build import HostReport, Report
    from collect.report.ranking import EndpointReport

__all__ = [
    "LOOK",
    "Chart",
    "charts_of",
    "colours",
    "endpoint_charts",
    "image_name",
    "image_names",
    "is_shown",
    "javascript",
    "name_of",
    "rate_charts",
    "run_charts",
    "svg",
    "write_charts",
]


def is_shown(part: EndpointReport) -> bool:
    """Tell whether an endpoint has charts: figures, and somebody who wants to know of them."""
    has_figures = any(row.median is not None for row in part.rps.rows)
    return has_figures and not is_below_the_app(part.endpoint)


def charts_of(host: HostReport) -> list[Chart]:
    """Return every chart that the run has figures for, those of an endpoint next to each other."""
    found = []
    for part in host.endpoints:
        if is_shown(part):
            found += endpoint_charts(host, part)
    return [*found, *rate_charts(host), *run_charts(host)]


def image_names(report: Report) -> set[str]:
    """Return what `write_charts` would call the images, without drawing them."""
    return {
        image_name(index, chart)
        for index, host in enumerate(report.hosts)
        for chart in charts_of(host)
    }


def write_charts(report: Report, folder: Path) -> int:
    """Write every chart of every host as an SVG image into the folder; return how many.

    Images of an earlier report that this one does not show are removed: they would be taken for
    its own. What has no name of ours stays.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = set()
    for index, host in enumerate(report.hosts):
        for chart in charts_of(host):
            path = folder / image_name(index, chart)
            path.write_text(svg(chart), encoding="utf-8")
            written.add(path)
    for path in folder.glob("*.svg"):
        if path not in written and is_image_name(path.name):
            path.unlink()
    return len(written)
