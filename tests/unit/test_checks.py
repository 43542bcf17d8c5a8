"""Every rule of the checks, alone: the trial that must raise it, and the one that must not."""

from __future__ import annotations

import math
from dataclasses import replace

import factory
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collect.checks import (
    Figures,
    flag_canaries,
    little_ratio,
    trial_figures,
    verdict,
    verdict_of_figures,
    verdicts,
)
from collect.checks import thresholds as at
from collect.model import (
    Errors,
    HostFigures,
    Latency,
    Load,
    MemoryFigures,
    Outcome,
    SearchFigures,
    SearchStep,
)
from collect.runner import others

HEALTHY = factory.trial()
REQUESTS = HEALTHY.wrk.requests
NO_START = factory.failed(factory.plan(), factory.plan().trials[0])
UNSEEN = replace(HEALTHY, memory=None, cpu=None, service=None, host_state=None)


def with_wrk(**changes):
    return replace(HEALTHY, wrk=replace(HEALTHY.wrk, **changes))


def with_errors(*counts):
    return with_wrk(errors=Errors(*counts))


def with_latency(factor):
    """Return figures whose stated mean is so many times what Little's law gives."""
    mean = HEALTHY.wrk.latency_ms.mean * factor
    return with_wrk(latency_ms=Latency(mean, mean / 5, None, None, None, None, None, mean * 9))


def with_percentiles(**changes):
    return with_wrk(latency_ms=replace(HEALTHY.wrk.latency_ms, **changes))


def mean_above_maximum():
    return with_wrk(latency_ms=Latency(2.0, 0.1, None, None, None, None, None, 1.0))


def with_service(**changes):
    return replace(HEALTHY, service=replace(HEALTHY.service, **changes))


def with_host(**changes):
    return replace(HEALTHY, host_state=replace(HEALTHY.host_state, **changes))


def with_cpu(**changes):
    return replace(HEALTHY, cpu=replace(HEALTHY.cpu, **changes))


def with_memory(**changes):
    return replace(HEALTHY, memory=replace(HEALTHY.memory, **changes))


def codes(judgement):
    return [reason.code for reason in judgement.reasons]


# The healthy trial: 200 connections, 4 threads, 30 s, 2 cores (60 s of CPU).
CASES = [
    ("healthy", HEALTHY, "valid", []),
    ("no start", NO_START, "invalid", ["start_failed"]),
    ("nothing in it", replace(HEALTHY, wrk=None), "invalid", ["no_figures"]),
    ("hangs", with_wrk(requests=0, rps=0.0), "invalid", ["no_requests"]),
    ("few error answers", with_errors(0, 0, 0, 0, 5), "suspect", ["error_status"]),
    ("error answers", with_errors(0, 0, 0, 0, REQUESTS // 50), "invalid", ["error_status"]),
    ("few time-outs", with_errors(0, 0, 0, 5, 0), "suspect", ["timeouts"]),
    ("time-outs", with_errors(0, 0, 0, REQUESTS // 10, 0), "suspect", ["timeouts"]),
    ("a lost connection", with_errors(1, 0, 0, 0, 0), "suspect", ["connections_lost"]),
    ("lost connections", with_errors(150, 0, 0, 0, 0), "invalid", ["connections_lost"]),
    ("refused", with_errors(0, 200, 27885, 0, 0), "invalid", ["connections_refused"]),
    ("closes", with_errors(0, REQUESTS, 0, 0, 0), "suspect", ["closed_connections"]),
    ("recycles", with_errors(0, REQUESTS // 20, 0, 0, 0), "suspect", ["broken_connections"]),
    ("breaks", with_errors(0, REQUESTS * 2, 0, 0, 0), "invalid", ["broken_connections"]),
    ("a hiccup", with_errors(0, 3, 2, 0, 0), "valid", []),
    ("short waits", with_latency(0.85), "valid", []),
    ("some starve", with_latency(0.7), "suspect", ["little"]),
    ("starves", with_latency(0.01), "invalid", ["little"]),
    ("heavy tail", with_latency(1.9), "valid", []),
    ("stalls", with_latency(3), "suspect", ["long_stalls"]),
    ("stalls much", with_latency(100), "suspect", ["long_stalls"]),
    ("no latency", with_percentiles(mean=None), "suspect", ["no_latency"]),
    ("another rate", with_wrk(rps=HEALTHY.wrk.rps * 1.1), "invalid", ["rate_mismatch"]),
    ("p50 > p99", with_percentiles(p50=1e9), "invalid", ["impossible_figures"]),
    ("mean > max", mean_above_maximum(), "invalid", ["impossible_figures", "little"]),
    (
        "more errors than answers", with_errors(0, 0, 0, 0, REQUESTS + 1),
        "invalid", ["error_status", "impossible_figures"],
    ),
    (
        "no time", with_wrk(duration_s=0.0, requests=1, rps=9e6),
        "invalid",
        ["impossible_figures", "loadgen_busy", "long_stalls", "duration_off", "runner_busy"],
    ),
    (
        "fewer errors than none", with_errors(0, 0, 0, 0, -5),
        "invalid", ["impossible_figures", "error_status"],
    ),
    ("less than no memory", with_memory(pss_peak_bytes=-1), "invalid", ["impossible_figures"]),
    ("less than no time", with_cpu(server_s=-0.1), "invalid", ["impossible_figures"]),
    (
        "a hog hidden behind a debt", with_cpu(others={"hog": 28.0, "debt": -28.0}),
        "invalid", ["impossible_figures"],
    ),
    (
        "a search of a debt", replace(HEALTHY, search=SearchFigures(
            1, 9, 1, 9, 9, "between", (SearchStep(9, 9, 1, 9, -9, is_missed=False, holds=True),)
        )),
        "invalid", ["impossible_figures"],
    ),
    ("answers of nothing", with_wrk(bytes=REQUESTS - 1), "invalid", ["impossible_figures"]),
    ("cut short", with_wrk(duration_s=10.0, requests=REQUESTS // 3), "suspect", ["duration_off"]),
    ("workers", with_service(workers_seen=1), "suspect", ["workers"]),
    ("workers unknown", with_service(workers_seen=None), "valid", []),
    ("restarted", with_service(restarts=1), "invalid", ["restarted"]),
    ("another main process", with_service(main_pid_after=101), "invalid", ["restarted"]),
    ("out of memory", with_service(oom_kills=2), "invalid", ["out_of_memory"]),
    (
        "died of it", replace(with_service(oom_kills=1), outcome=Outcome("server_died", "killed")),
        "invalid", ["out_of_memory", "server_died"],
    ),
    ("overflows", with_host(listen_overflows=7), "suspect", ["listen_overflows"]),
    ("slewed clock", with_host(clock_step_s=-0.02), "valid", []),
    ("clock step", with_host(clock_step_s=-0.2), "suspect", ["clock_step"]),
    ("clock set", with_host(clock_step_s=3600.0), "invalid", ["clock_step"]),
    ("wobbles", with_host(trend_ratio=0.8), "valid", []),
    ("slows down", with_host(trend_ratio=0.6), "suspect", ["trend"]),
    ("speeds up", with_host(trend_ratio=1.6), "suspect", ["trend"]),
    ("dries up", with_host(trend_ratio=0.0), "invalid", ["trend"]),
    ("trend unknown", with_host(trend_ratio=None), "valid", []),
    ("little sampled", with_memory(coverage_ratio=0.3), "suspect", ["memory_coverage"]),
    ("never sampled", with_memory(samples=0, coverage_ratio=None), "suspect", ["memory_coverage"]),
    ("a page of swap", with_memory(swap_peak_bytes=4096), "valid", []),
    ("swap", with_memory(swap_peak_bytes=3 * 2**20), "suspect", ["swap"]),
    ("much swap", with_memory(swap_peak_bytes=2**30), "invalid", ["swap"]),
    ("wrk busy", with_cpu(loadgen_s=24.0), "suspect", ["loadgen_busy"]),
    ("wrk saturated", with_cpu(loadgen_s=56.0), "invalid", ["loadgen_busy"]),
    ("wrk usual", with_cpu(loadgen_s=15.0), "valid", []),
    ("runner busy", with_cpu(runner_s=5.0), "suspect", ["runner_busy"]),
    ("usual steal", with_cpu(steal_ratio=0.01), "valid", []),
    ("steal", with_cpu(steal_ratio=0.4), "suspect", ["steal"]),
    ("others unknown", with_cpu(others=None), "valid", []),
    ("a journal", with_cpu(others={"systemd-journald": 1.0}), "valid", []),
    ("a timer", with_cpu(others={"apt-get": 5.0, "dpkg": 2.0}), "suspect", ["other_processes"]),
    ("a hog", with_cpu(others={"python3": 28.0}), "invalid", ["other_processes"]),
    ("the app's database", with_cpu(others={"postgres": 30.0, "redis-server": 5.0}), "valid", []),
    ("the network", with_cpu(others={"ksoftirqd": 20.0, "kworker": 5.0}), "valid", []),
    ("connections", with_cpu(others={"postgres (ended)": 30.0}), "valid", []),
    ("jobs", with_cpu(others={"cron (ended)": 30.0}), "invalid", ["other_processes"]),
    ("little known", UNSEEN, "valid", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("trial", "status", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_verdicts(trial, status, expected):
    found = verdict(trial)
    assert found.status == status
    assert codes(found) == expected
    for reason in found.reasons:
        for sentence in (reason.seen, reason.remedy):
            assert sentence.endswith(".")
            assert sentence[:-1].count(". ") == 0
            assert "nan" not in sentence


def test_who_works_for_the_load_is_known_by_the_names_that_the_runner_gives(tmp_path, monkeypatch):
    def stat(pid, name, ppid, own, ended):
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        ticks = f"{own} 0 {ended} 0"
        (tmp_path / str(pid) / "stat").write_text(
            f"{pid} ({name}) S {ppid} 0 0 0 0 0 0 0 0 0 {ticks} 20 0 1 0 9"
        )

    monkeypatch.setattr(others, "_PROC", tmp_path)
    looks = []
    for spent in (0, 2000):
        stat(14, "ksoftirqd/0", 2, spent, 0)
        stat(15, "kworker/1:2-events", 2, spent, 0)
        # Django that keeps no connection: each one's process ends with it.
        stat(40, "postgres", 1, 0, spent)
        looks.append(others.scan(()))
    found = others.spent(*looks)
    assert set(found) == {"ksoftirqd", "kworker", "postgres (ended)"}
    assert verdict(with_cpu(others=found)).status == "valid"


@pytest.mark.parametrize("status", ["not_ready", "wrong_answer_before", "server_died"])
def test_the_runners_own_words_come_first(status):
    found = verdict(replace(with_errors(0, 0, 9999, 0, 0), outcome=Outcome(status, "why.")))
    assert found.status == "invalid"
    assert codes(found)[0] == status
    assert found.reasons[0].seen.endswith(": why.")


def test_invalid_reasons_stand_before_suspect_ones():
    found = verdict(replace(with_host(clock_step_s=99.0), wrk=with_latency(3).wrk))
    assert codes(found) == ["clock_step", "long_stalls"]


def test_a_short_trial_of_a_slow_server_is_no_starvation():
    # 200 connections, 1.05 s an answer, 3 s: two answers each, and the third counts nowhere.
    figures = factory.wrk(400 / 3, Load(duration_s=3.0), requests=400)
    figures = replace(figures, latency_ms=replace(figures.latency_ms, mean=1050.0))
    trial = replace(HEALTHY, wrk=figures, load=Load(duration_s=3.0), cpu=None)
    assert little_ratio(200, figures.rps, 1050.0) == pytest.approx(1.43, abs=0.01)
    assert verdict(trial).status == "valid"


def test_connections_are_those_that_the_threads_can_share():
    assert Figures(connections=10, threads=4).open_connections == 8
    assert Figures(connections=10).open_connections == 10
    assert Figures(threads=4).open_connections is None


def test_a_paced_load_has_no_little_ratio():
    figures = replace(trial_figures(HEALTHY), latency_ms=factory.wrk(1e6).latency_ms)
    assert codes(verdict_of_figures(figures)) == ["little"]
    assert replace(figures, paced=True).little_ratio is None
    assert verdict_of_figures(replace(figures, paced=True)).status == "valid"


def test_what_is_unknown_raises_no_alarm_and_knowing_nothing_does():
    assert codes(verdict_of_figures(Figures())) == ["cut_off"]
    assert verdict_of_figures(Figures(rps=100.0)).status == "valid"
    assert codes(verdict_of_figures(Figures(failure="unable to connect"))) == ["load_failed"]


def canaries(*values, host="lab1"):
    return [
        replace(HEALTHY, host=host, host_state=HostFigures(0, 0.0, value, 1.0)) for value in values
    ]


def test_a_canary_flags_what_is_far_from_the_median_and_never_more():
    trials = canaries(0.05, 0.052, 0.051, None, 0.067, 0.09, 0.03)
    found = verdicts(trials)
    assert [one.status for one in found] == ["valid"] * 5 + ["suspect"] * 2
    assert codes(found[5]) == codes(found[6]) == ["canary"]
    assert [flag is None for flag in flag_canaries(trials)] == [True] * 5 + [False] * 2


def test_canaries_are_compared_on_their_own_host_and_with_enough_others():
    assert flag_canaries(canaries(0.05, 0.05, 0.05, 0.5)) == (None,) * 4
    slow = canaries(*[0.2] * 5, host="lab2")
    assert flag_canaries([*canaries(*[0.05] * 5), *slow]) == (None,) * 10


NUMBERS = st.floats(0, 1e15, allow_nan=False) | st.none()
COUNTS = st.integers(0, 10**15) | st.none()


@given(
    st.builds(
        Figures,
        connections=COUNTS,
        threads=COUNTS,
        asked_s=NUMBERS,
        timeout_s=NUMBERS,
        requests=COUNTS,
        duration_s=NUMBERS,
        rps=NUMBERS,
        latency_ms=st.builds(Latency, *[NUMBERS] * 8),
        latency_is_empty=st.booleans(),
        connect_errors=COUNTS,
        read_errors=COUNTS,
        write_errors=COUNTS,
        timeouts=COUNTS,
        status_errors=COUNTS,
        paced=st.booleans(),
    )
)
def test_any_figures_get_a_verdict(figures):
    found = verdict_of_figures(figures)
    assert (found.status == "valid") == (not found.reasons)
    assert len(set(codes(found))) == len(found.reasons)
    assert figures.little_ratio is None or math.isfinite(figures.little_ratio)


@given(
    duration_s=st.floats(0, 1e6),
    cores=st.integers(0, 512),
    spent_s=NUMBERS,
    memory=st.tuples(COUNTS, COUNTS, NUMBERS),
    host=st.tuples(COUNTS, st.floats(-1e9, 1e9), NUMBERS, NUMBERS),
)
def test_any_trial_gets_a_verdict(duration_s, cores, spent_s, memory, host):
    pss, swap, coverage = memory
    trial = replace(
        with_cpu(
            cores=cores,
            loadgen_s=spent_s,
            runner_s=spent_s,
            others=None if spent_s is None else {"x": spent_s},
        ),
        wrk=replace(HEALTHY.wrk, duration_s=duration_s),
        memory=MemoryFigures(pss, pss, pss, None, swap, 3, coverage),
        host_state=HostFigures(*host),
    )
    assert verdicts([trial] * 6)[0].status in ("valid", "suspect", "invalid")


def test_bounds_are_in_order():
    assert 1 < at.LITTLE_SUSPECT < at.LITTLE_INVALID
    assert 0 < at.STALLS_SUSPECT < 1 / at.LITTLE_SUSPECT
    assert at.BROKEN_RATIO_SUSPECT < at.CLOSED_RATIO < 1 < at.CLOSED_RATIO_MAX
    assert at.LOADGEN_RATIO_SUSPECT < at.LOADGEN_RATIO_INVALID
    assert at.OTHERS_RATIO_SUSPECT < at.OTHERS_RATIO_INVALID
