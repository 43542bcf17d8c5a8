"""Real wrk with the real report.lua against small servers."""

import asyncio
import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from collect.errors import DataError
from collect.model import Endpoint, Load
from collect.runner import wrk as wrk_module
from collect.runner.wrk import Wrk, read_figures

SCRIPT = Path(__file__).parents[2] / "roles" / "loadgen" / "files" / "report.lua"


@pytest.fixture(scope="module", autouse=True)
def wrk_program():
    if shutil.which("wrk") is None:
        pytest.fail("wrk is not installed: apt-get install wrk")


class Server:
    """Answers 200 to a GET of /, 500 to /broken, never to /hang; keeps the requests' text."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.seen = set()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._main)
        self.thread.start()
        assert self.ready.wait(5)

    def _main(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.01))
        self.loop.close()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = await reader.readexactly(length)
                self.seen.add(head + body)
                path = head.split()[1]
                if path == b"/hang":
                    await asyncio.sleep(60)
                status = b"500 Oops" if path == b"/broken" else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    def seen_at(self, path):
        """Requests for the path; what an earlier wrk had sent last may come in after its end."""
        return [request for request in self.seen if request.split(b" ")[1] == path.encode()]

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.close()


def make(server, **changes):
    load = Load(**{"threads": 1, "connections": 4, "duration_s": 1, "warmup_s": 1, **changes})
    return Wrk("wrk", SCRIPT, "127.0.0.1", server.port, load)


def test_a_get(server, tmp_path):
    result = make(server).run(Endpoint("e", "/?a=b%20c", headers={"X-Test": "a: b"}), tmp_path)
    assert result.error is None
    assert result.cpu_s > 0
    figures = result.figures
    assert figures.requests > 100
    assert 0.9 < figures.duration_s < 1.5
    assert figures.rps == pytest.approx(figures.requests / figures.duration_s, abs=0.01)
    latency = figures.latency_ms
    assert 0 < latency.p50 <= latency.p75 <= latency.p90 <= latency.p99 <= latency.p999
    assert latency.p999 <= latency.max
    assert figures.errors.status == 0
    assert {path.name for path in tmp_path.iterdir()} == {"wrk.txt", "wrk.json"}
    assert "Requests/sec:" in (tmp_path / "wrk.txt").read_text()
    assert json.loads((tmp_path / "wrk.json").read_text())["latency_ms"]["min"] > 0
    # One and the same text for all requests: nothing is made anew for each.
    (request,) = server.seen_at("/?a=b%20c")
    assert request.startswith(b"GET /?a=b%20c HTTP/1.1\r\n")
    assert b"\r\nX-Test: a: b\r\n" in request


def test_a_post_with_a_nasty_body(server, tmp_path):
    body = '{"x": "größe %s $HOME \\" \u0000 \n"}' + "y" * 200_000
    result = make(server).run(Endpoint("e", "/body", method="POST", body=body), tmp_path)
    assert result.error is None
    (request,) = server.seen_at("/body")
    assert request.startswith(b"POST /body HTTP/1.1\r\n")
    assert request.endswith(body.encode())
    assert not (tmp_path / "request-body").exists()


def test_a_warm_up_leaves_nothing(server, tmp_path):
    result = make(server).warm_up(Endpoint("e", "/"), tmp_path)
    assert result.error is None
    assert result.figures is None
    assert list(tmp_path.iterdir()) == []


def test_errors_are_counted_and_are_no_failure_of_wrk(server, tmp_path):
    figures = make(server).run(Endpoint("e", "/broken"), tmp_path).figures
    assert figures.errors.status == figures.requests > 0


def test_no_answer_is_no_latency_rather_than_zero(server, tmp_path):
    figures = make(server).run(Endpoint("e", "/hang"), tmp_path).figures
    assert figures.requests == 0
    assert figures.rps == 0
    assert figures.latency_ms.mean is None
    assert figures.latency_ms.p99 is None
    assert figures.latency_ms.max is None


def test_wrk_that_cannot_connect_says_so(tmp_path):
    wrk = Wrk("wrk", SCRIPT, "127.0.0.1", 1, Load(1, 1, 1.0))
    result = wrk.run(Endpoint("e", "/"), tmp_path)
    assert result.figures is None
    assert "status 1" in result.error
    assert "unable to connect" in result.error


def test_wrk_that_is_missing_is_a_failed_load(tmp_path):
    wrk = Wrk("no-such-wrk", SCRIPT, "127.0.0.1", 1, Load())
    result = wrk.run(Endpoint("e", "/"), tmp_path)
    assert result.error == "no-such-wrk cannot be started: No such file or directory"


def test_wrk_that_ends_without_figures(tmp_path):
    wrk = Wrk("true", SCRIPT, "127.0.0.1", 1, Load())
    assert "wrk left no readable figures" in wrk.run(Endpoint("e", "/"), tmp_path).error


@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
def test_wrk_that_hangs_is_ended(tmp_path, monkeypatch, trap):
    monkeypatch.setattr(wrk_module, "GRACE_S", -3.7)
    monkeypatch.setattr(wrk_module, "KILL_AFTER_S", 0.3)
    program = tmp_path / "hang"
    program.write_text(f"#!/bin/bash\n{trap}\nwhile :; do sleep 0.05; done\n")
    program.chmod(0o755)
    wrk = Wrk(str(program), SCRIPT, "127.0.0.1", 1, Load(duration_s=2, timeout_s=2))
    begun = time.monotonic()
    result = wrk.run(Endpoint("e", "/"), tmp_path)
    assert "did not end within" in result.error
    assert time.monotonic() - begun < 2


def test_a_stop_ends_wrk(server, tmp_path, monkeypatch):
    started = []
    popen = wrk_module.subprocess.Popen
    monkeypatch.setattr(
        wrk_module.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0]
    )
    monkeypatch.setattr(wrk_module, "_wait", _stop_once())
    with pytest.raises(KeyboardInterrupt):
        make(server, duration_s=30).run(Endpoint("e", "/"), tmp_path)
    assert started[0].returncode is not None


def _stop_once():
    wait, asked = wrk_module._wait, []

    def stop_first(handle, timeout_s):
        asked.append(timeout_s)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return wait(handle, timeout_s)

    return stop_first


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"requests": "1"}', '{"latency_ms": {}, "requests": 1}']
)
def test_figures_that_cannot_be_read(tmp_path, text):
    (tmp_path / "wrk.json").write_text(text)
    with pytest.raises(DataError, match=r"wrk\.json"):
        read_figures(tmp_path / "wrk.json")
