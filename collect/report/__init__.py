"""The report of a run: one model (`build_report`) and a renderer for each format."""

from collect.report.build import Report, build_report
from collect.report.data import render_csv, render_json, report_schema
from collect.report.html import render_html
from collect.report.markdown import render_markdown
from collect.report.terminal import render_terminal

__all__ = [
    "Report",
    "build_report",
    "render_csv",
    "render_html",
    "render_json",
    "render_markdown",
    "render_terminal",
    "report_schema",
]
