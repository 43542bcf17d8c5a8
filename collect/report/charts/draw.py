"""Draw charts with vl-convert: in the browser by the JavaScript it carries, or here, as SVG."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import vl_convert

from collect.report.charts.parts import LOOK

if TYPE_CHECKING:
    from collect.report.charts.parts import Chart

_VEGA_LITE = "6.4"
"""The version of the language that our specifications are written in."""
_SVG_WIDTH_PX = 760
_BUILD = Path(__file__).resolve().parents[3] / ".build"
"""Of the checkout; `make clean` removes it."""


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
    """Return Vega, Vega-Lite and vega-embed in one piece, safe inside a script element.

    To put it together takes longer than all else of a small report, so it is kept in the checkout.
    """
    kept = _BUILD / f"vega-embed-{version('vl-convert-python')}-{_VEGA_LITE}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return kept.read_text("utf-8")
    snippet = "window.vegaEmbed = vegaEmbed;"
    made: str = vl_convert.javascript_bundle(snippet, vl_version=_VEGA_LITE)
    safe = made.replace("</script", "<\\/script")
    # A checkout of somebody else's, a full disk: it is only made again.
    with contextlib.suppress(OSError):
        _BUILD.mkdir(exist_ok=True)
        # In one step, for others may read it: two reports at once.
        with tempfile.NamedTemporaryFile("w", dir=_BUILD, encoding="utf-8", delete=False) as file:
            file.write(safe)
        Path(file.name).replace(kept)
    return safe
