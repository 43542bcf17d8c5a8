"""Right and wrong answers."""

import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from collect.model import Endpoint, Expectation
from collect.runner.answers import (
    BODY_LIMIT_BYTES,
    REGEX_LIMIT_CHARS,
    HttpAsker,
    mismatch,
)
from collect.runner.seams import Answer, NoAnswerError, UnitState


def judge(expect, body, status=200):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return mismatch(expect, Answer(status, data))


@pytest.mark.parametrize(
    ("expect", "body"),
    [
        (Expectation(), b"\xff whatever"),
        (Expectation(json_exact={"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}),
        (Expectation(json_exact=0), 0),
        (Expectation(json_subset={"a": {"b": 1}}), {"a": {"b": 1, "c": 2}, "d": 3}),
        (Expectation(json_subset={}), {"a": 1}),
        (Expectation(json_subset=[1, 2]), [1, 2]),
        (Expectation(json_exact=1), 1.0),
        (Expectation(regex=r"^\{.status"), {"status": "ok"}),
        (Expectation(regex="grün"), "grün".encode()),
    ],
)
def test_right(expect, body):
    assert judge(expect, body) is None


@pytest.mark.parametrize(
    ("expect", "body", "words"),
    [
        (Expectation(json_exact={"a": 1}), {"a": 1, "b": 2}, "$: 'b' is not expected"),
        (Expectation(json_exact={"a": 1}), {}, "$: 'a' is missing"),
        (Expectation(json_exact={"a": True}), {"a": 1}, "$.a: got 1; expected true"),
        (Expectation(json_exact=[1]), [1, 2], "2 items instead of 1"),
        (Expectation(json_subset={"a": [{"b": 1}]}), {"a": [{"b": 1, "c": 2}]}, "$.a[0]: 'c'"),
        (Expectation(json_subset={"a": {}}), {"a": []}, "$.a: got []; expected {}"),
        (Expectation(json_subset={"a": 1}), b"<html>", "not JSON; body begins '<html>'"),
        (Expectation(json_subset={"a": 1}), b"[" * 100_000, "not JSON"),
        (Expectation(json_subset={"a": 1}), b"\xff\xfe\x00", "not JSON"),
        (Expectation(regex="^ok$"), b"not ok", "'^ok$' is not found"),
    ],
)
def test_wrong(expect, body, words):
    assert words in judge(expect, body)


def test_wrong_status():
    words = judge(Expectation(status=200), b"Server Error", 500)
    assert words == "status 500 instead of 200; body begins 'Server Error'"


def test_a_pattern_that_backtracks_for_ever_is_cut_off():
    begun = time.monotonic()
    assert "took longer" in judge(Expectation(regex=r"(a+)+$"), b"a" * 60 + b"b")
    assert time.monotonic() - begun < 4


def test_the_largest_body_cannot_hold_up_a_run():
    """Once it took eight seconds instead of two: each step read the whole megabyte."""
    begun = time.process_time()
    assert judge(Expectation(regex=r"(?:a|b)*c"), b"ab" * (BODY_LIMIT_BYTES // 2)) is not None
    assert time.process_time() - begun < 5


def test_only_the_beginning_of_a_large_body_is_searched():
    body = b"x" * REGEX_LIMIT_CHARS + b"end"
    assert "in the first 131072 characters" in judge(Expectation(regex="end"), body)
    assert judge(Expectation(regex="end"), body[3:]) is None


def test_an_expression_that_the_host_does_not_read_is_an_answer_in_words():
    """Python 3.11 here may know what 3.10 there does not; a broken one stands for it."""
    assert "host's Python does not read" in judge(Expectation(regex="(a"), b"a")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(body + self.headers["X-Test"].encode())

    def do_GET(self):
        if self.path == "/large":
            self._reply(b"x" * (BODY_LIMIT_BYTES + 1))
        elif self.path == "/slow":
            time.sleep(0.5)
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"123")
        else:
            self._reply(self.headers["Host"].encode())

    def _reply(self, body):
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def asker():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    yield HttpAsker("127.0.0.1", server.server_port)
    server.shutdown()
    server.server_close()


def test_a_post_with_headers(asker):
    endpoint = Endpoint("e", "/", method="POST", headers={"X-Test": "!"}, body="größe")
    assert asker.ask(endpoint, 2.0) == Answer(201, "größe!".encode())


def test_a_host_header_of_the_plan_replaces_the_own_one(asker):
    assert asker.ask(Endpoint("e", "/", headers={"Host": "x.test"}), 2.0).body == b"x.test"


def test_a_body_over_the_limit_is_not_kept(asker):
    answer = asker.ask(Endpoint("e", "/large"), 2.0)
    assert answer.body is None
    assert "larger than" in mismatch(Expectation(status=201), answer)


@pytest.mark.parametrize(("path", "words"), [("/slow", "in time"), ("/short", "not a whole")])
def test_no_whole_answer(asker, path, words):
    with pytest.raises(NoAnswerError, match=words):
        asker.ask(Endpoint("e", path), 0.2)


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = HttpAsker("127.0.0.1", free.getsockname()[1])
        with pytest.raises(NoAnswerError, match="Connection refused"):
            nobody.ask(Endpoint("e", "/"), 1.0)
        assert nobody.port_owner() is None


def test_the_owner_of_a_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert f"pid {os.getpid()} (" in HttpAsker("127.0.0.1", taken.getsockname()[1]).port_owner()


def test_a_port_that_a_process_of_the_unit_has_belongs_to_no_other():
    def unit(pid):
        return UnitState("active", "running", "success", pid, 0, None, job_pending=False)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asker = HttpAsker("127.0.0.1", taken.getsockname()[1])
        assert asker.port_owner(unit(os.getpid())) is None
        assert f"pid {os.getpid()} (" in asker.port_owner(unit(None))


def test_a_port_is_taken_on_ipv4_by_a_socket_of_ipv6():
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind(("::ffff:127.0.0.1", 0))
        taken.listen()
        assert f"pid {os.getpid()} (" in HttpAsker("127.0.0.1", taken.getsockname()[1]).port_owner()


@pytest.mark.parametrize("alone", [True, False])
def test_whoever_listens_on_ipv6_alone_is_in_nobodys_way(alone):
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, alone)
        taken.bind(("::", 0))
        taken.listen()
        owner = HttpAsker("127.0.0.1", taken.getsockname()[1]).port_owner()
        assert (owner is None) == alone


def test_an_owner_that_cannot_be_seen_is_not_taken_for_this_process(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        seen = [one._replace(pid=None) for one in psutil.net_connections("tcp")]
        monkeypatch.setattr(psutil, "net_connections", lambda _kind: seen)
        owner = HttpAsker("127.0.0.1", taken.getsockname()[1]).port_owner()
        assert owner == "a process that cannot be seen from here"
