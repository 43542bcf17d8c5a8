"""Tiny HTTP servers that go wrong in one way each, for wrk to run against."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field

BODY = b'{"status": "ok"}'
# A bad server cannot get ready any faster: 20 ms an answer keeps a shared machine's own hiccups
# small beside it.
PAUSE_S = 0.02


def answer(status: str = "200 OK", body: bytes = BODY, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


@dataclass
class Behaviour:
    """What a server does; the rest is healthy."""

    reply: bytes = field(default_factory=answer)
    pause_s: float = PAUSE_S
    serves: int | None = None
    """Only the first so many connections get an answer."""
    hangs: bool = False
    hangs_after: int | None = None
    """Requests that are answered, in all, before none is."""
    dies_after_s: float | None = None
    """From the first request; every socket is closed then."""
    closes_each: bool = False
    closes_every: int | None = None
    slams: bool = False
    """Closes each connection as soon as a request comes."""
    every_nth: int | None = None
    """Which requests get `other` (and wait `other_pause_s`)."""
    other: bytes | None = None
    other_pause_s: float | None = None
    degrades_after: int | None = None
    """Requests after which each gets `other`."""
    stall_s: float | None = None
    """How long the whole server stands still, once a second."""


class Server:
    """Runs a behaviour on a free port of 127.0.0.1, in a thread of its own."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.connections = 0
        self.requests = 0
        self.port = 0
        self._first_s: float | None = None
        self._open: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._listening: asyncio.AbstractServer | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"

    def __enter__(self) -> Server:  # noqa: PYI034 - Self is younger than the oldest Python here
        self._thread.start()
        assert self._ready.wait(10), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self.die()
        with contextlib.suppress(Exception):
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self) -> None:
        self._listening = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1024
        )
        self.port = self._listening.sockets[0].getsockname()[1]
        if self.behaviour.stall_s is not None:
            self._loop.call_later(1, self._stall)

    def _stall(self) -> None:
        time.sleep(self.behaviour.stall_s)
        self._loop.call_later(1, self._stall)

    def die(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for transport in list(self._open):
            transport.abort()

    def opened(self, transport: asyncio.Transport) -> int:
        self._open.add(transport)
        self.connections += 1
        return self.connections

    def closed(self, transport: asyncio.Transport) -> None:
        self._open.discard(transport)

    def reply(self) -> tuple[bytes | None, float]:
        """Return what to answer to the next request, and after how long."""
        act = self.behaviour
        self.requests += 1
        if self._first_s is None:
            self._first_s = time.monotonic()
            if act.dies_after_s is not None:
                self._loop.call_later(act.dies_after_s, self.die)
        if act.hangs or (act.hangs_after is not None and self.requests > act.hangs_after):
            return None, 0
        is_other = (act.every_nth is not None and self.requests % act.every_nth == 0) or (
            act.degrades_after is not None and self.requests > act.degrades_after
        )
        if not is_other:
            return act.reply, act.pause_s
        pause_s = act.pause_s if act.other_pause_s is None else act.other_pause_s
        return act.other or act.reply, pause_s


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._number = 0
        self._answers = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._number = self._server.opened(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._server.closed(self._transport)

    def data_received(self, _: bytes) -> None:
        act = self._server.behaviour
        if act.serves is not None and self._number > act.serves:
            return
        if act.slams:
            self._transport.abort()
            return
        reply, pause_s = self._server.reply()
        if reply is not None:
            asyncio.get_running_loop().call_later(pause_s, self._send, reply)

    def _send(self, reply: bytes) -> None:
        act = self._server.behaviour
        if self._transport.is_closing():
            return
        self._transport.write(reply)
        self._answers += 1
        is_last = act.closes_every is not None and self._answers >= act.closes_every
        if act.closes_each or is_last or b"Connection: close" in reply:
            self._transport.close()
