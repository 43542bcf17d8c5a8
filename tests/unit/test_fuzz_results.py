"""Whatever a results folder holds, it is read, or refused with one line that names the file."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collect.errors import ServerbenchError
from collect.model import Decision, PairDecision, Window
from collect.report import (
    build_report,
    render_csv,
    render_json,
    render_markdown,
    render_terminal,
)
from collect.report.runs import describe_run, runs_table
from collect.report.single import find_trial, single_parts
from collect.store import load_run
from collect.verify import verify_run

# `make fuzz` asks for more; without, it takes ten seconds.
EXAMPLES = int(os.environ.get("SERVERBENCH_FUZZ_EXAMPLES", "100"))
PLAN = factory.plan(
    blocks=2, variants=factory.variants(factory.PAIRS[1:3]), endpoints=factory.ENDPOINTS[:1]
)
WINDOWS = tuple(
    Window(f"2026-01-31T0{hour}:00:00+00:00", f"2026-01-31T0{hour + 1}:00:00+00:00", block, block)
    for block, hour in ((1, 2), (2, 4))
)
PLAN = replace(PLAN, windows=WINDOWS)
PAIR = PairDecision("health", "gunicorn-wsgi", "granian-wsgi", 0.97, 0.9, 1.1, "open", 3)
FILES = factory.host_files(
    PLAN, factory.noisy_trials(PLAN), Decision(3, PLAN.run_id, 2, "all_blocks", (PAIR,))
)
FIRST = f"trials/{PLAN.trials[0].id}"
EXTRA = {
    f"{FIRST}/effective.json": {
        "processes": [{"argv": ["granian"], "helper": False}],
        "load_argv": ["wrk"],
        "server_version": "1",
        "workers_seen": 2,
    },
    "progress.json": {"schema_version": 3, "updated_at": "2026-01-31T03:00:00+00:00"},
}
MENDABLE = EXTRA | {
    name: json.loads(text) for name, text in FILES.items() if name.endswith(".json")
}
# Numbers that are no measurement, texts that are no name, and shapes that nothing has.
NASTY = st.sampled_from([
    None, True, False, 0, -1, 1, 0.0, -0.0, 5e-324, 1e308, -1e308, 2**53, 2**63 - 1, 2**63,
    10**400, float("nan"), float("inf"), float("-inf"), "", "0", "\0", "\ud800", "\x1b[2J",
    "../../x", "=1+1", "a" * 10_000, "nan", "9999-12-31T23:59:59+00:00",
    "0001-01-01T00:00:00+14:00", "2026-01-31", [], {}, [[]], [None], {"": None}, ["x"] * 300,
])  # fmt: skip


def places(value, at=()):
    """Yield the way to every value inside."""
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*at, index))


WHERE = [(name, at) for name, data in MENDABLE.items() for at in places(data)]


def changed(data, at, value):
    if not at:
        return value
    new = copy.deepcopy(data)
    inner = new
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = value
    return new


def write(folder, files):
    for name, content in files.items():
        path = folder / PLAN.run_id / PLAN.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / PLAN.run_id


def read_all(run):
    """Do with the run what every command would."""
    refused = None
    try:
        found = load_run(run)
        report = build_report(found)
        for render in (render_terminal, render_markdown, render_json, render_csv):
            render(report).encode()
        for host in found.hosts:
            for stored in host.trials:
                for single in find_trial(found, stored.trial.trial_id):
                    list(single_parts(single))
    except ServerbenchError as error:
        refused = str(error)
    assert refused is None or ("\n" not in refused and str(run) in refused)
    runs_table([describe_run(run)])
    verify_run(run)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(WHERE), NASTY), min_size=1, max_size=3))
def test_any_value_anywhere_is_read_or_refused(changes):
    files = dict(FILES)
    mended = dict(MENDABLE)
    for (name, at), value in changes:
        # An earlier change may have taken that place away.
        with contextlib.suppress(KeyError, IndexError, TypeError):
            mended[name] = changed(mended[name], at, value)
    files |= {name: json.dumps(data).encode() for name, data in mended.items()}
    with TemporaryDirectory() as folder:
        read_all(write(Path(folder), files))
