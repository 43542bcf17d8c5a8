"""What the comparing must achieve, on hosts whose truth is known. Rates come from 400 runs."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from collect.checks import verdict
from collect.cli import main
from collect.errors import DataError
from collect.simulate import Setup, render_table, simulate
from collect.simulate.host import host_speed, plan_host, run_host, true_speeds

RUNS = 400


@pytest.fixture(scope="module")
def by_blocks():
    start = time.monotonic()
    found = simulate(Setup(runs=RUNS, blocks=10, gap=0.10))
    return found, time.monotonic() - start


@pytest.fixture(scope="module")
def fixed_twenty():
    return simulate(Setup(runs=RUNS, blocks=20, gap=0.10))


def test_identical_servers_share_a_tier(by_blocks):
    assert by_blocks[0].false_winner_rate <= 0.05


def test_one_server_after_the_other_finds_winners_among_twins():
    found = simulate(Setup(runs=RUNS, blocks=10, order="sequential"))
    assert found.false_winner_rate > 0.30
    assert found.ratio_error_p95 > 0.30


def test_a_gap_of_ten_percent_is_found(by_blocks):
    assert by_blocks[0].detection_rate >= 0.95
    assert by_blocks[0].ratio_error_p95 < 0.04


def test_a_gap_of_five_percent_is_found():
    found = simulate(Setup(runs=RUNS, blocks=10, gap=0.05))
    assert found.detection_rate >= 0.80
    assert found.false_winner_rate <= 0.05


def test_intervals_hold_all_together(by_blocks, fixed_twenty):
    assert by_blocks[0].interval_coverage >= 0.95
    assert fixed_twenty.interval_coverage >= 0.95


def test_few_blocks_are_not_overrated():
    found = simulate(Setup(runs=RUNS, blocks=3))
    assert found.false_winner_rate <= 0.05
    assert found.interval_coverage >= 0.95


def test_stopping_saves_blocks_and_loses_nothing(fixed_twenty):
    found = simulate(Setup(runs=RUNS, blocks=20, gap=0.10, stopping=True))
    assert found.blocks_used_mean <= 0.4 * 20
    assert found.false_winner_rate <= fixed_twenty.false_winner_rate
    assert found.detection_rate >= fixed_twenty.detection_rate - 0.005


def test_drift_and_no_throttle_fool_nobody():
    for changes in ({"drift": 0.3}, {"throttle": 1.0}):
        assert simulate(Setup(runs=100, blocks=5, **changes)).false_winner_rate <= 0.08


def test_it_is_quick(by_blocks):
    # A minute is what was promised; it takes about three seconds.
    assert by_blocks[1] < 60


def test_the_same_seed_gives_the_same_figures():
    setup = Setup(runs=5, blocks=3, seed=7)
    assert simulate(setup) == simulate(setup)
    assert simulate(setup) != simulate(Setup(runs=5, blocks=3, seed=8))


def test_a_synthetic_host_is_what_it_claims():
    calm = Setup(noise=0.0, throttle=0.6, dwell_s=600.0)
    speeds = np.exp(host_speed(calm, 20_000, np.random.default_rng(1)))
    assert speeds.min() == pytest.approx(0.6)
    assert speeds.max() == pytest.approx(1.0)
    assert speeds.mean() == pytest.approx(0.8, abs=0.02)
    wandering = host_speed(Setup(throttle=1.0), 50_000, np.random.default_rng(2))
    assert wandering.std() == pytest.approx(0.05, rel=0.05)
    lag = round(600 / 45)
    correlation = np.corrcoef(wandering[:-lag], wandering[lag:])[0, 1]
    assert correlation == pytest.approx(np.exp(-lag * 45 / 600), abs=0.05)


def test_synthetic_trials_pass_every_check():
    setup = Setup(blocks=2)
    plan = plan_host(setup, 1)
    trials = run_host(setup, plan, 1)
    assert [trial.trial_id for trial in trials] == [planned.id for planned in plan.trials]
    assert {verdict(trial).status for trial in trials} == {"valid"}
    assert {trial.variant for trial in trials} == {*true_speeds(0.1), "twin"}


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"runs": 0}, "--runs"),
        ({"gap": 0.9}, "--gap"),
        ({"noise": float("nan")}, "--noise"),
        ({"dwell_s": 0.0}, "--dwell-s"),
        ({"dwell_s": 1e-300}, "--dwell-s"),
        ({"trial_s": 1e308}, "--trial-s"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_what_cannot_be_simulated_is_named(changes, option):
    with pytest.raises(DataError, match=f"^{option}: got .*accepted: "):
        simulate(Setup(**changes))


def test_the_command_line(capsys):
    arguments = ["simulate", "--runs", "3", "--blocks", "4", "--order", "interleaved"]
    arguments += ["--noise", "0.05", "--throttle", "0.6", "--dwell-s", "3600", "--trial-s", "45"]
    arguments += ["--gap", "0.10", "--seed", "2", "--drift", "0.01", "--min-blocks", "3"]
    arguments += ["--stopping"]
    assert main([*arguments, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = simulate(Setup(runs=3, blocks=4, seed=2, drift=0.01, min_blocks=3, stopping=True))
    assert found == {name: getattr(expected, name) for name in type(expected).__slots__}
    assert main(arguments) == 0
    assert capsys.readouterr().out == render_table(expected)
    assert main(["simulate", "--runs", "0"]) == 1
    assert capsys.readouterr().err.startswith("serverbench: --runs: got 0")
