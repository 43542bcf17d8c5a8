"""The report as one HTML file that opens without a network."""

from collect.report.html.page import render_html

__all__ = ["render_html"]
