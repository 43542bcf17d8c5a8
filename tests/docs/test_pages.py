"""Links lead somewhere, variables exist, and the page on the method says what the code does."""

from __future__ import annotations

import ast
import re

import pytest
from pages import DOCS, PAGES, READMES, ROOT, anchors, links

from collect.checks import thresholds as at
from collect.decide import ALPHA, FIRST_LOOK
from collect.decide.look import CLIP, PRIOR_WEIGHT
from collect.simulate import Setup, simulate
from collect.stats.compare import RESAMPLES

INDEX = ROOT / "docs/README.md"
METHOD = (ROOT / "docs/method.md").read_text("utf-8")
METHOD_ON_ONE_LINE = " ".join(METHOD.split())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_link_leads_somewhere(path):
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name}: {link}"


def test_the_pages_do_have_links():
    assert sum(len(links(path)) for path in PAGES) > 50


def test_every_page_is_in_the_index():
    linked = {(INDEX.parent / link).resolve() for link in links(INDEX)}
    assert {path for path in DOCS if path != INDEX} <= linked


def test_the_readmes_lead_to_each_other_and_to_the_index():
    english, chinese = READMES
    assert "README.zh-CN.md" in links(english)
    assert "README.md" in links(chinese)
    for path in READMES:
        assert "docs/README.md" in links(path)
        assert len(path.read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_variable_that_is_set_exists(path, script):
    text = path.read_text("utf-8").replace("\n", " ")
    given = re.findall(r"-e ['\"]?(\w+)=", text)
    for keys in re.findall(r"-e '\{(.*?)\}'", text):
        given.append(re.match(r'"(\w+)":', keys)[1])
    known = set(script.variables())
    assert {name for name in given if not name.startswith("ansible_")} <= known


def rows():
    """Return the table of verdicts in docs/method.md: the cells of each reason's code."""
    found = {}
    for line in METHOD.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4:
            found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[1:])
    return found


def test_the_method_has_every_reason():
    codes = set()
    for path in (ROOT / "collect/checks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason":
                codes |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
            if isinstance(node, ast.Dict) and len(node.keys) > 4:
                codes |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    assert {"steal", "start_failed", "canary"} <= codes
    assert set(rows()) == codes


def percent(share):
    return f"{share * 100:g} %"


BOUNDS = {
    "connections_lost": ("any", percent(at.LOST_CONNECTIONS_INVALID)),
    "error_status": ("any", percent(at.STATUS_RATIO_INVALID)),
    "timeouts": ("any", ""),
    "broken_connections": (percent(at.BROKEN_RATIO_SUSPECT), percent(at.CLOSED_RATIO_MAX)),
    "closed_connections": (f"{percent(at.CLOSED_RATIO)} to {percent(at.CLOSED_RATIO_MAX)}", ""),
    "little": (f"{at.LITTLE_SUSPECT:g}", f"{at.LITTLE_INVALID:g}"),
    "long_stalls": (f"{at.STALLS_SUSPECT:g}", ""),
    "duration_off": (f"{percent(at.DURATION_TOLERANCE)} and {at.DURATION_SLACK_S:g} s", ""),
    "clock_step": (f"{at.CLOCK_STEP_SUSPECT_S:g} s", percent(at.CLOCK_STEP_RATIO_INVALID)),
    "other_processes": (percent(at.OTHERS_RATIO_SUSPECT), percent(at.OTHERS_RATIO_INVALID)),
    "loadgen_busy": (percent(at.LOADGEN_RATIO_SUSPECT), percent(at.LOADGEN_RATIO_INVALID)),
    "runner_busy": (percent(at.RUNNER_RATIO_SUSPECT), ""),
    "steal": (percent(at.STEAL_RATIO_SUSPECT), ""),
    "trend": (f"1/{at.TREND_SUSPECT:g} to {at.TREND_SUSPECT:g}", f"{at.TREND_INVALID:g}"),
    "swap": (f"{at.SWAP_SUSPECT_BYTES / 2**20:g} MiB", percent(at.SWAP_RATIO_INVALID)),
    "memory_coverage": (percent(at.COVERAGE_RATIO_SUSPECT), ""),
    "rate_missed": (percent(at.RATE_KEPT), ""),
    "unanswered": ("any", percent(at.STATUS_RATIO_INVALID)),
    "generator_late": (f"{at.OWN_LAG_SUSPECT_MS:g} ms", ""),
    "generator_busy": (percent(at.GENERATOR_RATIO_SUSPECT), ""),
    "canary": (f"1/{at.CANARY_RATIO_SUSPECT:g} to {at.CANARY_RATIO_SUSPECT:g}", ""),
}


@pytest.mark.parametrize("code", BOUNDS)
def test_the_method_has_the_bounds_of_the_code(code):
    _, suspect, invalid = rows()[code]
    for cell, bound in zip((suspect, invalid), BOUNDS[code], strict=True):
        numbers = re.escape(bound)
        assert re.search(rf"(?<![\d.]){numbers}(?![\d.])", cell) if bound else not cell, code


def test_the_method_has_the_numbers_of_the_comparison():
    for words in (
        f"more than {CLIP:g} robust standard deviations",
        f"at most {PRIOR_WEIGHT} degrees",
        f"{RESAMPLES} times",
        f"at {percent(ALPHA)}.",
    ):
        assert words in METHOD_ON_ONE_LINE, words
    assert FIRST_LOOK == 3
    assert "from the third at the earliest" in METHOD_ON_ONE_LINE
    assert f"(from {at.CANARY_MIN_TRIALS} trials on)" in METHOD_ON_ONE_LINE


@pytest.mark.parametrize("changes", [{}, {"order": "sequential"}])
def test_the_simulated_rates_are_what_simulation_gives(changes):
    rate = simulate(Setup(**changes)).false_winner_rate
    for path in (ROOT / "docs/method.md", *READMES):
        assert f"{rate * 100:.1f} %" in path.read_text("utf-8"), path.name
