"""Send requests at a fixed rate and time each from the moment it was due: an open-loop generator.

    python -m collect.runner.pace SPEC.json FIGURES.json

A program of its own, so that its time can be told from the runner's, and nothing of the runner
holds it up. Standard library only. Request n is due n / rate seconds after the start, whatever the
server does; its latency runs from there and not from when it could be sent, so that a server that
stalls cannot put off being asked (coordinated omission: Gil Tene, "How NOT to Measure Latency"; the
same count as in wrk2). docs/method.md says why no program that Debian packages does this.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import math
import os
import re
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LATE_MS = 10.0
"""A request that was sent this long after it was due counts as late."""
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
BUCKETS_PER_DOUBLING = 8
"""Of the histogram: neighbouring bounds are 9 % apart."""
FEWEST_OPEN = 8
USES_PER_S = 2.0
"""Connections are kept open in such a number that each is used about this often: servers close
those that idle (Gunicorn after 2 s of its own accord), and a few would tie all load to one
worker."""
LOOK_S = 0.1
"""How often time-outs are looked for."""

_NICER = -10
_CHUNK = 256 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*close", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})")
_NO_BODY = (204, 304)
_MAX_HEAD = 64 * 1024
_UNTIL_CLOSED = -1
_CHUNKS = -2
_UNKNOWN = -1
_BROKEN, _CONNECT, _TIMEOUT, _STATUS_ERROR = "broken", "connect", "timeout", "status"


class _BadAnswerError(Exception):
    """What came is not HTTP/1."""


class _Connection:
    """One connection, and the request under way on it."""

    __slots__ = (
        "close", "expects", "head", "idle", "number", "out", "sent_ns", "sock", "status", "used"
    )  # fmt: skip

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.number = _UNKNOWN
        self.out: memoryview | None = None
        self.sent_ns = 0
        self.head = b""
        """What came of the answer and is not understood yet."""
        self.expects: int | None = None
        """Bytes of the body still to come, or a mark; None before the head is whole."""
        self.close = False
        self.used = False
        self.idle = False
        self.status = 0


def _is_busy(connection: _Connection) -> bool:
    return connection.number != _UNKNOWN


class Pacer:
    """Keeps the schedule; `run` goes through it once."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Prepare.

        Args:
            spec: `address`, `port`, `request` (the bytes, as Latin-1), `status` (the right one),
                `method`, `rate_rps`, `lead_in_s` (sent but not counted), `duration_s`,
                `connections` (at most), `timeout_s`, and `limit_ms`, above which requests are
                counted, or null.
        """
        self._family = socket.AF_INET6 if ":" in spec["address"] else socket.AF_INET
        self._target = (spec["address"], spec["port"])
        self._request = spec["request"].encode("latin-1")
        self._right_status = spec["status"]
        self._is_head = spec["method"] == "HEAD"
        # A request that may have been acted upon must not be sent twice (RFC 9110, 9.2.2).
        self._may_resend = spec["method"] in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
        self._rate_rps = float(spec["rate_rps"])
        self._lead_in_s = float(spec["lead_in_s"])
        self._duration_s = float(spec["duration_s"])
        self._timeout_ns = int(spec["timeout_s"] * 1e9)
        self._limit_ms = spec.get("limit_ms")
        self._most = int(spec["connections"])
        self._requests = math.ceil((self._lead_in_s + self._duration_s) * self._rate_rps - 1e-9)
        self._sent = array.array("q", [_UNKNOWN]) * self._requests
        self._done = array.array("q", [_UNKNOWN]) * self._requests
        self._blocked = bytearray(self._requests)
        self._errors = dict.fromkeys((_CONNECT, _BROKEN, _TIMEOUT, _STATUS_ERROR), 0)
        self._resent = 0
        self._opened = 0
        self._open: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._heads: dict[bytes, tuple[int, int, bool]] = {}
        self._again: deque[int] = deque()
        self._poller = select.epoll()
        self._begun_ns = 0
        self._ended_ns = 0

    def run(self) -> dict[str, Any]:
        """Send everything, wait for what is under way, and return the figures."""
        try:
            for _ in range(min(self._most, max(FEWEST_OPEN, int(self._rate_rps / USES_PER_S)))):
                self._connect()
            self._settle()
            gc.collect()
            gc.freeze()
            gc.disable()
            cpu_s = time.process_time()
            self._begun_ns = time.monotonic_ns()
            self._keep_the_schedule()
            cpu_s = time.process_time() - cpu_s
        finally:
            for connection in list(self._open.values()):
                connection.sock.close()
            self._poller.close()
        return self._figures(cpu_s)

    def _settle(self) -> None:
        """Let the connections of the start come up; one that does not is tried again when due."""
        deadline = time.monotonic() + 1.0
        waiting = set(self._open)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for fd, events in self._poller.poll(left):
                if fd in waiting:
                    waiting.discard(fd)
                    self._on_event(self._open[fd], events, time.monotonic_ns())

    def _keep_the_schedule(self) -> None:
        begun, step = self._begun_ns, 1e9 / self._rate_rps
        requests, timeout_ns = self._requests, self._timeout_ns
        sent, idle, again, poller = self._sent, self._idle, self._again, self._poller
        opened, clock = self._open, time.monotonic_ns
        poll, watch = poller.poll, (poller.fileno(),)
        last_due = begun + int((requests - 1) * step) if requests else begun
        give_up = last_due + timeout_ns
        look_ns = int(LOOK_S * 1e9)
        next_look = begun + look_ns
        blocked_ns = 0
        number, due = 0, begun
        while True:
            now = clock()
            while again and (idle or len(opened) < self._most):
                self._send(again.popleft(), clock())
            while number < requests and due <= now:
                if not idle and len(opened) >= self._most:
                    blocked_ns = now
                    break
                sent[number] = now
                if due <= blocked_ns:
                    self._blocked[number] = 1
                self._send(number, now)
                number += 1
                due = begun + int(number * step)
                now = clock()
            if now >= next_look:
                next_look = now + look_ns
                self._end_timed_out(now)
                if now >= give_up:
                    break
            if number >= requests and not again and not any(map(_is_busy, opened.values())):
                break
            wake = next_look
            if number < requests and (idle or len(opened) < self._most) and due < wake:
                wake = due
            wait_s = (wake - clock()) / 1e9
            # epoll itself counts in milliseconds; select on it is exact to some microseconds.
            if wait_s > 0 and not select.select(watch, (), (), wait_s)[0]:
                continue
            now = clock()
            # What fell due until now found no connection free: the server's doing, not ours.
            blocked_ns = blocked_ns if self._has_room() else now
            for fd, events in poll(0):
                connection = opened.get(fd)
                if connection is not None:
                    self._on_event(connection, events, now)
        self._ended_ns = clock()

    def _has_room(self) -> bool:
        return bool(self._idle) or len(self._open) < self._most

    def _connect(self) -> _Connection | None:
        self._opened += 1
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.setblocking(False)  # noqa: FBT003 - as the standard library has it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(sock)
        connection.out = memoryview(b"")
        try:
            sock.connect(self._target)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            return None
        self._open[sock.fileno()] = connection
        self._poller.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        return connection

    def _send(self, number: int, now: int) -> None:
        if self._idle:
            # The one that idled longest: all of them are used in turn.
            connection = self._idle.popleft()
            connection.idle = False
        else:
            fresh = self._connect()
            if fresh is None:
                self._errors[_CONNECT] += 1
                return
            connection = fresh
        connection.number = number
        connection.sent_ns = now
        connection.head = b""
        connection.expects = None
        if connection.out is not None:  # Not connected yet.
            connection.out = memoryview(self._request)
            return
        try:
            count = connection.sock.send(self._request)
        except BlockingIOError:
            count = 0
        except OSError:
            self._lose(connection)
            return
        if count < len(self._request):
            connection.out = memoryview(self._request)[count:]
            self._poller.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _on_event(self, connection: _Connection, events: int, now: int) -> None:
        if connection.out is not None and not self._write(connection, events):
            return
        if not events & ~select.EPOLLOUT:
            return
        try:
            data = connection.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._on_end(connection, now)
            return
        if connection.number == _UNKNOWN:
            self._drop(connection)  # It speaks without having been asked: nothing to build on.
            return
        try:
            finished = self._take(connection, data)
        except _BadAnswerError:
            self._fail(connection, _BROKEN)
            return
        if finished:
            self._finish(connection, now)

    def _write(self, connection: _Connection, events: int) -> bool:
        """Go on with connecting or sending; tell whether the connection lives."""
        refused = events & (select.EPOLLERR | select.EPOLLHUP) and not connection.used
        if refused and connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail(connection, _CONNECT)
            return False
        if not events & select.EPOLLOUT or connection.out is None:
            return True
        try:
            count = connection.sock.send(connection.out) if connection.out else 0
        except BlockingIOError:
            return True
        except OSError:
            self._lose(connection)
            return False
        connection.out = connection.out[count:]
        if not connection.out:
            connection.out = None
            self._poller.modify(connection.sock.fileno(), select.EPOLLIN)
            if connection.number == _UNKNOWN:
                self._rest(connection)
        return True

    def _take(self, connection: _Connection, data: bytes) -> bool:
        """Take what came; tell whether the answer is whole."""
        expects = connection.expects
        if expects is None:
            if connection.head:
                data = connection.head + data
            while True:
                end = data.find(_HEAD_END)
                if end < 0:
                    if len(data) > _MAX_HEAD:
                        raise _BadAnswerError
                    connection.head = data
                    return False
                status, expects, connection.close = self._read_head(data[:end])
                data = data[end + 4 :]
                if status >= 200:  # noqa: PLR2004 - below are interim answers
                    break
            connection.head = b""
            connection.status = status
        if expects == _CHUNKS:
            connection.expects = expects
            connection.head += data
            return self._take_chunks(connection)
        if expects == _UNTIL_CLOSED:
            connection.expects = expects
            return False
        expects -= len(data)
        connection.expects = expects
        if expects < 0:
            raise _BadAnswerError
        return expects == 0

    @staticmethod
    def _take_chunks(connection: _Connection) -> bool:
        data, at = connection.head, 0
        while (line := data.find(b"\r\n", at)) >= 0:
            try:
                size = int(data[at:line].partition(b";")[0], 16)
            except ValueError:
                raise _BadAnswerError from None
            if size == 0:
                # The trailer, mostly none, ends with an empty line.
                tail = data[line:]
                if tail.startswith(_HEAD_END) or _HEAD_END in tail:
                    return True
                break
            after = line + 2 + size + 2
            if len(data) < after:
                break
            at = after
        connection.head = data[at:]
        return False

    def _read_head(self, head: bytes) -> tuple[int, int, bool]:
        """Return status, length of the body (or a mark) and whether the connection closes."""
        known = self._heads.get(head)
        if known is not None:
            return known
        start = _STATUS.match(head)
        if start is None:
            raise _BadAnswerError
        status = int(start[2])
        close = bool(_CLOSE.search(head)) or start[1] == b"0"
        if status < 200 or status in _NO_BODY or self._is_head:  # noqa: PLR2004 - interim answers
            expects = 0
        elif _CHUNKED.search(head):
            expects = _CHUNKS
        elif (length := _LENGTH.search(head)) is not None:
            expects = int(length[1])
        else:
            expects = _UNTIL_CLOSED
        if len(self._heads) > 1000:  # noqa: PLR2004 - heads differ by the second, mostly
            self._heads.clear()
        self._heads[head] = status, expects, close or expects == _UNTIL_CLOSED
        return self._heads[head]

    def _finish(self, connection: _Connection, now: int) -> None:
        if connection.status == self._right_status:
            self._done[connection.number] = now
        else:
            self._errors[_STATUS_ERROR] += 1
        connection.number = _UNKNOWN
        connection.used = True
        if connection.close:
            self._drop(connection)
        else:
            self._rest(connection)

    def _rest(self, connection: _Connection) -> None:
        connection.idle = True
        self._idle.append(connection)

    def _on_end(self, connection: _Connection, now: int) -> None:
        if connection.number == _UNKNOWN:
            self._drop(connection)
        elif connection.expects == _UNTIL_CLOSED:
            self._finish(connection, now)
        else:
            self._lose(connection)

    def _lose(self, connection: _Connection) -> None:
        """The connection ended under a request; one that the server had let go is asked anew."""
        untouched = connection.expects is None and not connection.head
        if connection.used and untouched and self._may_resend:
            self._resent += 1
            self._again.append(connection.number)
            self._drop(connection)
        else:
            self._fail(connection, _BROKEN)

    def _fail(self, connection: _Connection, kind: str) -> None:
        if connection.number != _UNKNOWN:
            self._errors[kind] += 1
        self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        del self._open[connection.sock.fileno()]
        if connection.idle:
            self._idle.remove(connection)
        connection.sock.close()

    def _end_timed_out(self, now: int) -> None:
        limit = now - self._timeout_ns
        for connection in list(filter(_is_busy, self._open.values())):
            if connection.sent_ns < limit:
                self._fail(connection, _TIMEOUT)

    def _figures(self, cpu_s: float) -> dict[str, Any]:
        begun, step = self._begun_ns, 1e9 / self._rate_rps
        first = math.ceil(self._lead_in_s * self._rate_rps - 1e-9)
        opens_ns = begun + int(self._lead_in_s * 1e9)
        closes_ns = begun + int((self._lead_in_s + self._duration_s) * 1e9)
        latencies, lags, own_lags = [], [], []
        seconds = [[0, 0, 0.0] for _ in range(math.ceil(self._duration_s))]
        for number in range(first, self._requests):
            due = begun + int(number * step)
            sent, done = self._sent[number], self._done[number]
            # What was never sent waited to the end at least.
            lag = ((self._ended_ns if sent == _UNKNOWN else sent) - due) / 1e6
            lags.append(lag)
            if sent != _UNKNOWN and not self._blocked[number]:
                own_lags.append(lag)
            second = seconds[min(len(seconds) - 1, max(0, (due - opens_ns) // 10**9))]
            second[0] += 1
            if done != _UNKNOWN:
                latencies.append((done - due) / 1e6)
                second[2] = max(second[2], round(latencies[-1], 3))
        answered = 0
        for done in self._done:
            if opens_ns <= done < closes_ns:
                answered += 1
                seconds[(done - opens_ns) // 10**9][1] += 1
        latencies.sort()
        lags.sort()
        own_lags.sort()
        asked = self._requests - first
        return {
            "rate_rps": self._rate_rps,
            "achieved_rps": round(answered / self._duration_s, 3),
            "duration_s": self._duration_s,
            "requests": asked,
            "answered": len(latencies),
            "late": sum(lag > LATE_MS for lag in lags),
            "waited": sum(self._blocked[first:]),
            "resent": self._resent,
            "connections_opened": self._opened,
            "errors": self._errors,
            "latency_ms": {
                "mean": round(sum(latencies) / asked, 3) if asked == len(latencies) else None,
                **{name: rank(latencies, asked, share) for name, share in PERCENTILES.items()},
                "max": rank(latencies, asked, 1.0),
            },
            "lag_p99_ms": rank(lags, asked, 0.99),
            "lag_max_ms": rank(lags, asked, 1.0),
            "own_lag_p99_ms": rank(own_lags, len(own_lags), 0.99),
            "cpu_s": round(cpu_s, 4),
            "over_limit": None
            if self._limit_ms is None
            else asked - sum(latency <= self._limit_ms for latency in latencies),
            "histogram": histogram(latencies),
            "seconds": seconds,
        }


def rank(ordered: Sequence[float], count: int, share: float) -> float | None:
    """Return the smallest value that `share` of `count` requests do not exceed, to a microsecond.

    What brought no answer took longer than all that did: where the rank falls on one, it is None.
    """
    place = max(1, math.ceil(share * count - 1e-9))
    return round(ordered[place - 1], 3) if place <= len(ordered) else None


def histogram(latencies: Sequence[float]) -> list[tuple[float, int]]:
    """Return upper bounds in milliseconds, growing evenly on a log scale, each with its count."""
    counts: dict[int, int] = {}
    for latency in latencies:
        bucket = math.ceil(math.log2(max(latency, 1e-3)) * BUCKETS_PER_DOUBLING)
        counts[bucket] = counts.get(bucket, 0) + 1
    return [
        (float(f"{2 ** (bucket / BUCKETS_PER_DOUBLING):.7g}"), counts[bucket])
        for bucket in sorted(counts)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the specification, load, write the figures; return the exit status."""
    source, target = sys.argv[1:] if arguments is None else arguments
    # Visitors do not come later because the server is at work: where cores are short, it goes
    # first. Who is not root cannot, and `own_lag_p99_ms` tells.
    with contextlib.suppress(OSError):
        os.nice(_NICER)
    spec = json.loads(Path(source).read_text(encoding="utf-8"))
    Path(target).write_text(json.dumps(Pacer(spec).run()) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
