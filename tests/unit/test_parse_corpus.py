"""Recorded and faithfully made outputs of wrk, each with the verdict it must get.

`live-*` were printed by wrk 4.1.0 against the servers in tests/corpus; the others were recorded
before, or made from such an output by cropping, quoting or changing one figure. expected.json is
kept by hand: a verdict, then its reasons, for each output of a file.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collect.checks import verdict_of_figures
from collect.parse import decode_text, parse_outputs

DATA = Path(__file__).parents[1] / "data" / "wrk"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))


def outputs(name):
    return parse_outputs(decode_text((DATA / name).read_bytes(), name))


def test_every_file_has_its_verdict():
    assert {path.name for path in DATA.iterdir()} - {"expected.json"} == set(EXPECTED)
    assert sum(map(len, EXPECTED.values())) >= 25


@pytest.mark.parametrize("name", EXPECTED)
def test_verdict(name):
    judged = [verdict_of_figures(one.figures) for one in outputs(name)]
    found = [" ".join([one.status, *(r.code for r in one.reasons)]) for one in judged]
    assert found == EXPECTED[name]


@pytest.mark.parametrize(
    "name",
    ["ansi.txt", "container-log.txt", "minutes.txt", "one-line.txt", "page.html", "windows.txt"],
)
def test_the_carrier_changes_no_figure(name):
    (found,) = outputs(name)
    figures = found.figures
    assert (figures.threads, figures.connections, figures.rps) == (4, 200, 740.18)
    assert found.url == "http://127.0.0.1:9875/api/django-starter/monitoring/health"
    latency = figures.latency_ms
    assert (latency.mean, latency.max) == (267.91, 731.05)
    if name != "minutes.txt":
        assert (latency.p50, latency.p99, figures.duration_s) == (260.1, 470.33, 30.05)


def test_the_study_that_the_kit_grew_from():
    found = outputs("study-post.md")
    headings = [one.heading.split()[0].strip(",") for one in found]
    assert headings == ["uWSGI", "Gunicorn", "Granian", "Daphne", "Uvicorn", "Hypercorn", "Behind"]
    assert found[0].figures.read_errors == found[0].figures.requests
    assert found[-1].figures.timeout_s == 2
    assert found[-1].url.endswith(":9878/api/demo/movie/movie")
