"""The rungs under WSGI: `serverbench_ladder.wsgi:application`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverbench_ladder import BARE_PATH, BODY, load_project, make_rungs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def _bare(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", list(_HEADERS))
    return (BODY,)


_project = load_project()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 - once the project has set Django up

_rung_at = {
    BARE_PATH: _bare,
    # A project's own kind of handler makes the rungs too, so that only the rung differs.
    **make_rungs(type(_project) if isinstance(_project, WSGIHandler) else WSGIHandler),
}.get


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a rung's path, and hand every other request to the project."""
    return _rung_at(environ["PATH_INFO"], _project)(environ, start_response)
