"""Real servers that go wrong, real wrk, and the verdict each must get.

`pytest tests/corpus --update-snapshots` keeps what wrk printed in tests/data/wrk; the table of the
verdicts these files must get for ever is tests/data/wrk/expected.json.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers import BODY, Behaviour, Server, answer

from collect.checks import verdict, verdict_of_figures
from collect.model import SCHEMA_VERSION, Endpoint, Expectation, Load, Outcome, Trial, WrkFigures
from collect.parse import parse_outputs
from collect.runner.answers import HttpAsker, mismatch
from collect.runner.seams import NoAnswerError
from collect.runner.wrk import read_figures

pytestmark = pytest.mark.alone

DATA = Path(__file__).parents[1] / "data" / "wrk"
REPORT_LUA = next(Path(__file__).parents[2].glob("roles/*/files/report.lua"))
SHAPE = ("-t2", "-c8")


@pytest.fixture(scope="session")
def wrk():
    program = shutil.which("wrk")
    assert program, "wrk is not installed, and these tests are about it: apt-get install wrk"
    return program


@pytest.fixture
def load(wrk, request, tmp_path):
    """Run wrk against a URL; return its text, its figures and the verdict on the text."""

    def run(url, name=None, seconds=1, options=(), shape=SHAPE):
        figures = tmp_path / "wrk.json"
        figures.unlink(missing_ok=True)
        command = [wrk, *shape, f"-d{seconds}s", "--latency", *options, "-s", str(REPORT_LUA), url]
        finished = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={"SERVERBENCH_WRK_JSON": str(figures), "PATH": "/usr/bin:/bin"},
        )
        text = finished.stdout + finished.stderr
        if name and request.config.getoption("update_snapshots", default=False):
            (DATA / f"{name}.txt").write_text(text, encoding="utf-8")
        (found,) = parse_outputs(text)
        exact = read_figures(figures) if figures.exists() else None
        return text, found.figures, verdict_of_figures(found.figures), exact

    return run


def codes(judgement):
    return [reason.code for reason in judgement.reasons]


def settled(run, is_right, tries=3):
    """Try again: a shared machine may stall for a moment, and only a repeat tells."""
    for _ in range(tries):
        result = run()
        if is_right(result):
            break
    return result


BAD = {
    # name: (behaviour, options of wrk, seconds, verdict, the code that must be the first)
    "live-hangs": (Behaviour(hangs=True), (), 1, "invalid", "no_requests"),
    "live-hangs-later": (Behaviour(hangs_after=40), (), 1, "invalid", "little"),
    "live-died": (Behaviour(dies_after_s=0.3), (), 1, "invalid", "connections_refused"),
    "live-500": (
        Behaviour(reply=answer("500 Internal Server Error")), (), 1, "invalid", "error_status"
    ),
    "live-some-503": (
        Behaviour(every_nth=20, other=answer("503 Service Unavailable")),
        (), 1, "invalid", "error_status",
    ),
    "live-rare-503": (
        Behaviour(every_nth=200, other=answer("503 Service Unavailable")),
        (), 1, "suspect", "error_status",
    ),
    "live-closes": (Behaviour(closes_each=True), (), 1, "suspect", "closed_connections"),
    "live-recycles": (Behaviour(closes_every=20), (), 1, "suspect", "broken_connections"),
    "live-slams": (Behaviour(slams=True), (), 1, "invalid", "no_requests"),
    "live-rubbish": (Behaviour(reply=b"220 smtp ready\r\n"), (), 1, "invalid", "no_requests"),
    "live-all-late": (Behaviour(pause_s=1.2), ("--timeout", "1s"), 2, "suspect", "timeouts"),
    # Most of the connections' time went into answers that came too late.
    "live-some-late": (
        Behaviour(every_nth=10, other_pause_s=1.3), ("--timeout", "1s"), 2, "invalid", "little"
    ),
    "live-starves": (Behaviour(serves=2), (), 1, "invalid", "little"),
    "live-stalls": (Behaviour(stall_s=0.5, pause_s=0.002), (), 2, "suspect", "long_stalls"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_server_is_flagged_for_the_right_reason(name, load):
    behaviour, options, seconds, status, code = BAD[name]
    with Server(behaviour) as server:
        text, _, judgement, exact = load(server.url, name, seconds, options)
    assert judgement.status == status, text
    assert codes(judgement)[0] == code, text
    # The same from wrk's exact figures, as the runner gets them.
    shape = Load(2, 8, float(seconds), 0.0, float(options[1][:-1]) if options else 2.0)
    judgement = verdict(trial(exact, shape))
    assert judgement.status == status
    assert codes(judgement)[0] == code


GOOD = {
    "live-healthy": (Behaviour(), SHAPE),
    "live-slow": (Behaviour(pause_s=0.15), SHAPE),
    "live-one-connection": (Behaviour(), ("-t1", "-c1")),
    "live-says-close": (Behaviour(reply=answer("200 OK", BODY, "Connection: close")), SHAPE),
    "live-late-but-within-the-time-out": (Behaviour(pause_s=0.4), SHAPE),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_server_raises_no_alarm(name, load):
    behaviour, shape = GOOD[name]
    with Server(behaviour) as server:
        text, _, judgement, _ = settled(
            lambda: load(server.url, name, shape=shape), lambda found: found[2].status == "valid"
        )
    assert judgement.status == "valid", text


def test_connections_that_threads_cannot_share_are_not_opened(load):
    with Server(Behaviour()) as server:
        text, figures, judgement, _ = settled(
            lambda: load(server.url, "live-uneven", shape=("-t4", "-c7")),
            lambda found: found[2].status == "valid",
        )
    # One more each time: wrk looks whether anybody is there before it starts.
    assert server.connections % 5 == 0
    assert (figures.connections, figures.open_connections) == (7, 4)
    # 7 / 4 is far enough from 1 to raise an alarm that nobody deserves.
    assert judgement.status == "valid", text


def test_wrk_raises_the_latency_of_a_server_that_stalls(load):
    """The claim that `check_stalls` rests on: `stats_correct` in wrk.c, seen from outside."""
    with Server(Behaviour(stall_s=0.5, pause_s=0.002)) as server:
        text, figures, judgement, _ = load(server.url, seconds=2)
    # Each connection is served alike, so the mean cannot be above connections / rps.
    true_mean_ms = figures.connections / figures.rps * 1000
    assert figures.latency_ms.mean > 1.5 * true_mean_ms, text
    assert judgement.status == "suspect", text


def test_refused(wrk):
    with Server(Behaviour()) as server:
        port = server.port
    finished = subprocess.run(
        [wrk, "-d1s", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False
    )
    (found,) = parse_outputs(finished.stdout + finished.stderr)
    assert codes(verdict_of_figures(found.figures)) == ["load_failed"]


def test_stopped_by_hand(wrk, request):
    with (
        Server(Behaviour()) as server,
        subprocess.Popen(
            [wrk, *SHAPE, "-d20s", server.url], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=20)[0]
    if request.config.getoption("update_snapshots", default=False):
        (DATA / "live-interrupted.txt").write_text(text, encoding="utf-8")
    (found,) = parse_outputs(text)
    assert "duration_off" in codes(verdict_of_figures(found.figures)), text


WRONG = {
    "redirect": (
        Behaviour(reply=answer("302 Found", b"", "Location: /login")), "wrong_answer_before"
    ),
    "wrong-body": (Behaviour(reply=answer(body=b'{"status": "degraded"}')), "wrong_answer_before"),
    "breaks-under-load": (
        Behaviour(degrades_after=30, other=answer(body=b'{"status": "degraded"}')),
        "wrong_answer_after",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_wrk_takes_for_success_is_told_by_the_body_checks(name, load):
    """wrk counts redirects and wrong bodies as answers: only asking before and after shows them."""
    behaviour, status = WRONG[name]
    with Server(behaviour) as server:
        before = ask(server)
        _, figures, _, exact = load(server.url)
        after = ask(server)
    assert figures.status_errors == 0
    if before is not None:
        outcome = Outcome("wrong_answer_before", before)
    else:
        outcome = Outcome("wrong_answer_after", after)
    judgement = verdict(trial(exact, Load(2, 8, 1.0), outcome))
    assert judgement.status == "invalid"
    assert codes(judgement)[0] == outcome.status == status


def ask(server):
    endpoint = Endpoint("health", "/health", expect=Expectation(200, json_subset={"status": "ok"}))
    try:
        reply = HttpAsker("127.0.0.1", server.port).ask(endpoint, 5)
    except NoAnswerError as error:
        return str(error)
    return mismatch(endpoint.expect, reply)


def trial(figures: WrkFigures | None, load: Load, outcome: Outcome | None = None) -> Trial:
    return Trial(
        schema_version=SCHEMA_VERSION,
        run_id="corpus",
        host="here",
        trial_id="b01-tiny-health",
        attempt=1,
        block=1,
        position=1,
        variant="tiny",
        server="tiny",
        interface="wsgi",
        proxy="none",
        profile="corpus",
        endpoint="health",
        started_at="2026-01-31T02:00:00+00:00",
        ended_at="2026-01-31T02:00:01+00:00",
        load=load,
        wrk=figures,
        memory=None,
        cpu=None,
        service=None,
        host_state=None,
        proxy_figures=None,
        outcome=outcome or Outcome("ok"),
    )


def test_the_command_line_reads_wrk_from_a_pipe(wrk):
    """The way most people will use it: `wrk … | serverbench parse -`."""
    with Server(Behaviour(closes_each=True)) as server:
        printed = subprocess.run(
            [wrk, *SHAPE, "-d1s", server.url], capture_output=True, check=True
        ).stdout
    finished = subprocess.run(
        [sys.executable, "-m", "collect", "parse", "-"],
        input=printed,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert b"closed_connections" in finished.stdout
    assert server.url.encode() in finished.stdout
