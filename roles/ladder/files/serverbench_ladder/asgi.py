"""The rungs under ASGI: `serverbench_ladder.asgi:application`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverbench_ladder import BARE_PATH, BODY, load_project, make_rungs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(BODY)).encode()),
    ],
}
_BODY = {"type": "http.response.body", "body": BODY}


async def _bare(
    _scope: dict[str, Any],
    _receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    # Copies: a server may write into what it is given.
    await send({**_START, "headers": list(_START["headers"])})
    await send(dict(_BODY))


_project = load_project()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402 - once the project has set Django up

_rung_at = {
    BARE_PATH: _bare,
    # A project's own kind of handler makes the rungs too: one with a shared thread, for example.
    **make_rungs(type(_project) if isinstance(_project, ASGIHandler) else ASGIHandler),
}.get


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer a rung's path, and hand everything else to the project, the lifespan included."""
    await _rung_at(scope.get("path"), _project)(scope, receive, send)
