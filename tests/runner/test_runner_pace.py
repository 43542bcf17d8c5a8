"""The fixed-rate generator against servers that stall, close, lie and stay silent."""

import json
import random
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

import collect
from collect.runner.pace import Pacer, histogram, rank

pytestmark = pytest.mark.alone

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """One thread that answers by `answer(number)`; it notes when each request came."""

    def __init__(self, answer=lambda _number: OK, stalls=()):
        self.answer = answer
        self.stalls = list(stalls)
        """(seconds after the first request, seconds it lasts): the whole server stands still."""
        self.came = []
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listening.setblocking(False)
        self.port = self.listening.getsockname()[1]
        self.over = False
        self.thread = threading.Thread(target=self._main)
        self.thread.start()

    def _main(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listening, selectors.EVENT_READ)
        while not self.over:
            for key, _ in selector.select(0.05):
                if key.fileobj is self.listening:
                    client, _ = self.listening.accept()
                    selector.register(client, selectors.EVENT_READ)
                    continue
                self._serve(key.fileobj, selector)
        for key in list(selector.get_map().values()):
            key.fileobj.close()

    def _serve(self, client, selector):
        if self.came and self.stalls and time.monotonic() - self.came[0] >= self.stalls[0][0]:
            time.sleep(self.stalls.pop(0)[1])
        try:
            data = client.recv(65536)
        except ConnectionError:
            data = b""
        closes = not data
        for _ in range(data.count(b"\r\n\r\n")):
            self.came.append(time.monotonic())
            answer = self.answer(len(self.came))
            if answer is None:
                closes = True
                break
            client.sendall(answer)
            closes = closes or b"Connection: close" in answer or b"CLOSE" in answer
        if closes:
            selector.unregister(client)
            client.close()

    def close(self):
        self.over = True
        self.thread.join()


@pytest.fixture
def serve():
    servers = []

    def start(*arguments, **options):
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield start
    for one in servers:
        one.close()


def spec(port, **changes):
    return {
        "address": "127.0.0.1",
        "port": port,
        "request": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "method": "GET",
        "status": 200,
        "rate_rps": 200,
        "lead_in_s": 0.2,
        "duration_s": 1.0,
        "connections": 50,
        "timeout_s": 1.0,
        **changes,
    }


def pace(server, **changes):
    return Pacer(spec(server.port, **changes)).run()


def closed_loop(server, seconds):
    """Return latencies as wrk takes them: each connection waits before it asks again."""
    found = []
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        until = time.monotonic() + seconds
        while (begun := time.monotonic()) < until:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            client.recv(1000)
            found.append((time.monotonic() - begun) * 1000)
            time.sleep(0.004)
    return sorted(found)


def test_a_stall_shows_as_the_arithmetic_says(serve):
    # One second of five: of the requests due meanwhile, the n-th waits for what is left of it.
    stalled = serve(stalls=[(2.0, 1.0)])
    figures = pace(stalled, rate_rps=200, duration_s=5.0, lead_in_s=0.5, timeout_s=5.0)
    assert figures["requests"] == figures["answered"] == 1000
    latency = figures["latency_ms"]
    assert latency["p50"] < 50
    # A share q of all waits longer than 1 s - q * 5 s.
    # What the machine that runs the test takes comes on top: it may only be more, and little.
    assert 480 < latency["p90"] < 620
    assert 930 < latency["p99"] < 1070
    assert 980 < latency["max"] < 1120
    assert 95 < latency["mean"] < 150
    # Who waits for the answer before it asks again meets the stall once, and calls p99 fine.
    naive = closed_loop(serve(stalls=[(0.5, 1.0)]), 2.5)
    assert rank(naive, len(naive), 0.99) < 100
    assert rank(naive, len(naive), 1.0) > 900


def test_what_had_to_wait_for_a_connection_is_counted_from_when_it_was_due(serve):
    figures = pace(
        serve(stalls=[(1.0, 1.0)]), connections=10, duration_s=3.0, lead_in_s=0.2, timeout_s=5.0
    )
    assert 150 < figures["waited"] < 300
    assert figures["late"] > 150
    assert figures["latency_ms"]["p90"] == pytest.approx(700, abs=80)
    assert figures["lag_max_ms"] == pytest.approx(950, abs=80)
    # It was the server's doing: whatever found a connection free went out in time.
    assert figures["own_lag_p99_ms"] < 300


def test_short_stalls_with_every_connection_busy_are_not_the_generators(serve):
    stalls = [(0.5 + at, 0.3) for at in range(4)]
    figures = pace(
        serve(stalls=stalls), rate_rps=200, connections=20, duration_s=4.0, lead_in_s=0.2
    )
    # Also what fell due after the generator's last look, and before it saw the first answer.
    assert figures["lag_p99_ms"] > 100
    assert figures["own_lag_p99_ms"] < figures["lag_p99_ms"] / 10


def test_requests_arrive_evenly(serve):
    server = serve()
    pace(server, rate_rps=250, duration_s=2.0)
    gaps = [(right - left) * 1000 for left, right in pairwise(server.came)]
    assert len(server.came) == 550
    # Every 4 ms; several at once would show as gaps near 0, and longer ones between.
    assert statistics.median(gaps) == pytest.approx(4, rel=0.1)
    assert sum(gap < 1 for gap in gaps) < 0.2 * len(gaps)


def test_a_rate_above_what_the_server_can_do_is_not_achieved(serve):
    def slow(_number):
        time.sleep(0.01)
        return OK

    # It answers no more than 100 a second, and fewer on a busy machine: there is time for all.
    figures = pace(serve(slow), rate_rps=200, duration_s=2.0, timeout_s=30.0)
    assert 0 < figures["achieved_rps"] < 105
    assert figures["latency_ms"]["p99"] > 1500
    assert figures["latency_ms"]["p50"] > 800


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\ncontent-length:2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nX: CLOSE\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        # Closes after each answer and does not say so, as uWSGI's http-socket does.
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nCLOSE",
        b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000,
    ],
    ids=["length", "close", "until-closed", "chunks", "trailer", "interim", "unsaid", "large"],
)
def test_answers_of_every_shape_are_read_to_their_end(serve, answer):
    server = serve(lambda _number: answer)
    figures = pace(server, rate_rps=100)
    assert figures["answered"] == figures["requests"] == 100
    assert sum(figures["errors"].values()) == 0
    assert figures["achieved_rps"] == pytest.approx(100, abs=15)
    assert len(server.came) == 120


def test_what_brings_no_right_answer_is_never_fast(serve):
    wrong = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    figures = pace(serve(lambda number: wrong if number % 50 == 0 else OK))
    assert figures["errors"]["status"] == 4
    assert figures["answered"] == 196
    assert figures["latency_ms"]["p90"] < 50
    # 2 % have none: neither the 99th percentile nor the mean is known.
    assert figures["latency_ms"]["p99"] is None
    assert figures["latency_ms"]["mean"] is None


def test_silence_ends_with_the_time_out(serve):
    begun = time.monotonic()
    figures = pace(serve(lambda _number: b""), rate_rps=50, timeout_s=0.5, lead_in_s=0)
    assert time.monotonic() - begun < 3
    assert figures["answered"] == 0
    assert figures["achieved_rps"] == 0
    assert figures["errors"]["timeout"] > 0
    assert figures["latency_ms"]["p50"] is None


def test_a_server_that_breaks_off_and_one_that_is_gone(serve):
    broken = pace(serve(lambda _number: None), rate_rps=50)
    assert broken["errors"]["broken"] > 0
    assert broken["answered"] == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gone = Pacer(spec(port, rate_rps=50)).run()
    assert gone["errors"]["connect"] == 60
    assert gone["answered"] == 0


def test_no_answer_is_http(serve):
    figures = pace(serve(lambda _number: b"hello\r\n\r\n"), rate_rps=50)
    assert figures["answered"] == 0
    assert figures["errors"]["broken"] > 0


def test_a_post_is_never_sent_twice(serve):
    # A connection that the server lets go after its second request.
    def answer(number):
        return OK if number % 2 else None

    posts = serve(answer)
    figures = pace(posts, method="POST", rate_rps=50)
    assert figures["resent"] == 0
    assert len(posts.came) == 60
    assert figures["errors"]["broken"] > 0


def test_the_program_reads_a_specification_and_writes_figures(serve, tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(spec(serve().port)))
    command = [sys.executable, "-m", "collect.runner.pace", "spec.json", "figures.json"]
    root = str(Path(collect.__file__).parents[1])
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": root}, timeout=20, check=True)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["answered"] == 200
    assert 0 < figures["cpu_s"] < 1
    assert sum(count for _bound, count in figures["histogram"]) == 200
    assert [second[:2] for second in figures["seconds"]] == [[200, pytest.approx(200, abs=30)]]


def test_percentiles_are_those_of_the_nearest_rank():
    ordered = [float(value) for value in range(1, 101)]
    assert rank(ordered, 100, 0.5) == 50
    assert rank(ordered, 100, 0.99) == 99
    assert rank(ordered, 100, 1.0) == 100
    assert rank(ordered, 102, 0.99) is None
    assert rank([], 0, 0.5) is None


def test_the_histogram_holds_every_latency_below_its_bound():
    chance = random.Random(1)  # noqa: S311 - not a secret
    latencies = [chance.expovariate(0.1) for _ in range(1000)]
    found = histogram(latencies)
    assert sum(count for _bound, count in found) == 1000
    below = 0
    for bound, count in found:
        below += count
        assert sum(latency <= bound * (1 + 1e-5) for latency in latencies) == below
