"""Results as a long run leaves them, made up: for what is asked of reports over many trials."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import factory

from collect.runner.trial_folder import write_run_sums

CELLS = 100
"""Trials in a block: twenty variants on five endpoints."""
_SPREAD = 0.03
_PROXIES = ("none", "caddy", "nginx")


def write_run(results: Path, trials: int) -> Path:
    """Write a run of as many whole blocks as come nearest, and return its folder.

    No more than the 999 blocks that a plan may have: of 100,000 trials 99,900 are made.
    """
    pairs = [
        {"server": server, "interface": interface, "proxy": proxy}
        for proxy in _PROXIES
        for server, about in factory.CATALOGUE.items()
        for interface in about["interfaces"]
    ]
    plan = factory.plan(
        run_id=f"made-{trials}",
        variants=factory.variants(pairs[: CELLS // 5]),
        endpoints=[{"name": name, "path": f"/{name}"} for name in "abcde"],
        blocks=min(999, max(1, trials // CELLS)),
    )
    chance = random.Random(trials)  # noqa: S311 - not a secret
    levels = {variant.id: chance.uniform(200, 6000) for variant in plan.variants}
    made = []
    for planned in plan.trials:
        rps = levels[planned.variant] * chance.gauss(1, _SPREAD)
        one = factory.trial(planned, plan)
        made.append(replace(one, wrk=factory.wrk(rps=rps, load=plan.load)))
    folder = factory.write_host(results, plan, made)
    # As the runner leaves it at the end of a run.
    write_run_sums(folder / plan.host)
    return folder
