"""Draw charts with vl-convert: in the browser by the JavaScript it carries, or here, as SVG."""

from __future__ import annotations

import contextlib
import functools
import os
import re
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
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_BUILD = Path(__file__).resolve().parents[3] / ".build"
"""Of the checkout; `make clean` removes it."""


def image_name(host_index: int, chart: Chart) -> str:
    """Return the name of the chart's image, for a report of several hosts."""
    return f"{host_index + 1}-{chart.name}.svg"


def is_image_name(name: str) -> bool:
    """Tell whether `image_name` may have given it."""
    return re.fullmatch(r"[1-9][0-9]*-[a-z0-9._-]+\.svg", name) is not None


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
    try:
        made = kept.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        made = vl_convert.javascript_bundle(_SNIPPET, vl_version=_VEGA_LITE)
        # A checkout of somebody else's, a full disk: it is only made again.
        with contextlib.suppress(OSError):
            _keep(kept, made)
    return made.replace("</script", "<\\/script")


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    # In one step: two reports may be made at once.
    new = path.with_suffix(f".{os.getpid()}")
    try:
        new.write_text(text, "utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
