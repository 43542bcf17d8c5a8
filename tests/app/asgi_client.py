"""Speak ASGI to an application as a server does: one call per request, all on one loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Reply:
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()


async def request(application, path, *, method="GET", headers=(), body=b"", leave=None) -> Reply:
    """Make one request; `leave` is an event at which the client goes away."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    reply = Reply()
    sent = False

    async def receive():
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
        else:
            reply.body += message.get("body", b"")

    # Each request in a task, and so in a context, of its own: that is what servers do.
    await asyncio.wait_for(asyncio.create_task(application(scope, receive, send)), 20)
    return reply


def run(main):
    """Run an async function to its end, bounded in time."""

    async def bounded():
        return await asyncio.wait_for(main, 30)

    return asyncio.run(bounded())
