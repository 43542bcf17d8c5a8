"""Where a request's time goes: from trials whose answer is known to steps and sentences."""

from __future__ import annotations

import random
from dataclasses import replace

import factory
import pytest

from collect.ladder import add_rungs
from collect.report import build_report, render_markdown, render_terminal
from collect.report.ladder import ladders, sentence
from collect.store import load_run

_PROJECTS = [
    {"name": "health", "path": "/health", "rung": "django-ninja"},
    {"name": "movie", "path": "/movie", "rung": "database"},
]
ENDPOINTS = add_rungs(_PROJECTS[1:], _PROJECTS)
# Microseconds a request at each rung of a server that is four times as fast as Django's middleware.
COSTS_US = {
    "ladder-bare": 20.0,
    "ladder-view": 70.0,
    "ladder-middleware": 470.0,
    "health": 670.0,
    "movie": 1500.0,
}


def trials(plan, costs=COSTS_US, spread=0.0, speeds=(1.0,)):
    """Trials of these costs; each block at its own speed of the host, each trial with noise."""
    made = []
    for planned in plan.trials:
        chance = random.Random(planned.id)  # noqa: S311 - not a secret
        speed = speeds[(planned.block - 1) % len(speeds)]
        cost_us = costs[planned.endpoint] * speed * (1 + chance.uniform(-spread, spread))
        one = factory.trial(planned, plan)
        server_s = cost_us * 1e-6 * one.wrk.requests
        made.append(replace(one, cpu=replace(one.cpu, server_s=server_s)))
    return made


def plan(blocks=5, endpoints=ENDPOINTS):
    matrix = [{"server": "granian", "interface": "wsgi"}]
    variants = tuple(replace(v, id=f"{v.id}-ladder") for v in factory.variants(matrix))
    return factory.plan(variants=variants, endpoints=endpoints, blocks=blocks)


def test_each_step_is_the_difference_to_the_rung_below():
    (found,) = ladders(own := plan(), trials(own))
    assert [step.name for step in found.steps] == [
        "the server",
        "Django's handler",
        "middleware",
        "django-ninja",
        "the database and the view",
    ]
    assert [step.cpu_ms for step in found.steps] == pytest.approx([0.02, 0.05, 0.4, 0.2, 0.83])
    assert [step.rung_ms for step in found.steps] == pytest.approx([0.02, 0.07, 0.47, 0.67, 1.5])
    assert sentence(found) == (
        "granian-wsgi-ladder: of 1.50 ms of processor time a request on movie, the server is "
        "0.020 ms, Django's handler is 0.050 ms, middleware is 0.400 ms, django-ninja is 0.200 ms "
        "and the database and the view is 0.830 ms."
    )


def test_a_host_that_slows_down_for_some_blocks_changes_no_share():
    own = plan(blocks=6)
    (steady,) = ladders(own, trials(own))
    (throttled,) = ladders(own, trials(own, speeds=(1.0, 1.0, 1.7, 2.2, 1.0, 1.0)))
    for before, after in zip(steady.steps, throttled.steps, strict=True):
        assert after.share == pytest.approx(before.share)
        assert after.high_ms - after.low_ms < 1e-9


def test_the_steps_add_up_to_the_whole():
    (found,) = ladders(own := plan(), trials(own, spread=0.1, speeds=(1.0, 1.3)))
    assert sum(step.share for step in found.steps) == pytest.approx(1)


def test_a_step_within_noise_is_called_so_and_never_negative():
    costs = {**COSTS_US, "health": 465.0}
    (found,) = ladders(own := plan(), trials(own, costs, spread=0.08))
    step = found.steps[3]
    assert step.low_ms < 0 < step.high_ms
    assert not step.is_told_apart
    assert "django-ninja is not told apart from noise (at most 0." in sentence(found)
    assert "-0" not in sentence(found)


def test_a_rung_that_is_cheaper_than_the_one_below_says_so():
    costs = {**COSTS_US, "health": 100.0}
    (found,) = ladders(own := plan(), trials(own, costs, spread=0.01))
    assert "django-ninja saves 0.36" in sentence(found)


def test_a_rung_without_a_figure_is_part_of_the_step_above():
    own = plan()
    kept = [trial for trial in trials(own) if trial.endpoint != "ladder-middleware"]
    (found,) = ladders(own, kept)
    assert [step.name for step in found.steps][2] == "middleware with django-ninja"
    assert found.steps[2].cpu_ms == pytest.approx(0.6)
    assert "and so part of the step above: ladder-middleware" in sentence(found)


def test_one_block_has_no_interval_and_says_so():
    (found,) = ladders(own := plan(blocks=1), trials(own))
    assert found.steps[0].low_ms is None
    assert "From one block, so nobody can say how sure that is." in sentence(found)


def test_a_variant_without_figures_and_a_run_without_rungs_have_no_ladder():
    own = plan()
    assert ladders(own, []) == ()
    usual = factory.plan()
    assert ladders(usual, [factory.trial(planned, usual) for planned in usual.trials]) == ()


def test_coverage_of_the_interval():
    chance = random.Random(5)  # noqa: S311 - not a secret
    own = plan(blocks=5)
    base = trials(own)
    truth = 400 / 1500
    inside = 0
    for _ in range(300):
        made = [
            replace(t, cpu=replace(t.cpu, server_s=t.cpu.server_s * chance.gauss(1, 0.04)))
            for t in base
        ]
        (found,) = ladders(own, made)
        step = found.steps[2]
        low, high = (x / found.total_ms for x in (step.low_ms, step.high_ms))
        inside += low <= truth <= high
    # 95 % of 300 is 285; four standard deviations are 15.
    assert inside >= 270


def test_both_reports_show_it(tmp_path):
    matrix = [{"server": "granian", "interface": "wsgi"}, {"server": "uwsgi", "interface": "wsgi"}]
    variants = tuple(replace(v, id=f"{v.id}-ladder") for v in factory.variants(matrix))
    own = factory.plan(variants=variants, endpoints=ENDPOINTS, blocks=3)
    report = build_report(load_run(factory.write_host(tmp_path, own, trials(own, spread=0.02))))
    shown = render_terminal(report)
    assert "Where the processor time of a request goes" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    page = render_markdown(report)
    for text in (shown, page):
        words = " ".join(text.split())
        assert "uwsgi-wsgi-ladder: of 1.5" in words
        assert "the server is 0.020 ms" in words
    assert "| Django's handler | 0.05" in page
