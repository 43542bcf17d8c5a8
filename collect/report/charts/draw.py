"""Draw charts with vl-convert: in the browser by the JavaScript it carries, or here, as SVG."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import vl_convert

from collect.report.charts.parts import LOOK

if TYPE_CHECKING:
    from collect.report.charts.parts import Chart

_VEGA_LITE = "6.4"
"""The version of the language that our specifications are written in."""
_SVG_WIDTH_PX = 760


def image_name(host_index: int, chart: Chart) -> str:
    """Return the name of the chart's image, for a report of several hosts."""
    return f"{host_index + 1}-{chart.name}.svg"


def svg(chart: Chart) -> str:
    """Return the chart as an SVG image with its title, on white: it is shown on pages of others."""
    spec = chart.in_full(_SVG_WIDTH_PX)
    spec["title"] = {"text": chart.title, "anchor": "start"}
    spec["config"] = {**LOOK, "background": "white"}
    drawn: str = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE)
    return drawn


@functools.cache
def javascript() -> str:
    """Return Vega, Vega-Lite and vega-embed in one piece, safe inside a script element."""
    snippet = "window.vegaEmbed = vegaEmbed;"
    made: str = vl_convert.javascript_bundle(snippet, vl_version=_VEGA_LITE)
    return made.replace("</script", "<\\/script")
