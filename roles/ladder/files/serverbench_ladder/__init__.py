"""The rungs below a project's own views: how much of a request is server, Django and middleware.

`serverbench_ladder.wsgi:application` and `serverbench_ladder.asgi:application` stand in for the
project's own entry point, which SERVERBENCH_APPLICATION names (`config.wsgi:application`). Three
paths are answered here, each with the same few bytes:

- `/_serverbench/bare/`: a callable that is nothing but the answer. What it costs is the server.
- `/_serverbench/view/`: a Django view behind Django's handler, without middleware.
- `/_serverbench/middleware/`: the same view behind the middleware of the project's settings.

Every other request goes to the project, at the price of one look-up in a dict.

This module is also the URL configuration of the second and third path, and needs nothing but
Django: put the package on PYTHONPATH and it serves any project.
"""

from __future__ import annotations

import os
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

BARE_PATH = "/_serverbench/bare/"
VIEW_PATH = "/_serverbench/view/"
MIDDLEWARE_PATH = "/_serverbench/middleware/"
BODY = b'{"status": "ok"}'
_VARIABLE = "SERVERBENCH_APPLICATION"


def load_project() -> Any:  # noqa: ANN401 - whatever the project calls an application
    """Import the project's own entry point, which sets Django up.

    Raises:
        RuntimeError: SERVERBENCH_APPLICATION does not name one.
    """
    name = os.environ.get(_VARIABLE, "")
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise RuntimeError(
            f"{_VARIABLE} is {name!r}; accepted: the project's own entry point, such as "
            "config.wsgi:application"
        )
    return attrgetter(attribute)(import_module(module))


def make_rungs(handler: type) -> dict[str, Any]:
    """Return Django's two rungs by path: handlers of this class, without and with middleware."""
    # Imported here, since settings are known only once the project is there.
    from django.conf import settings  # noqa: PLC0415

    class RungRequest(handler.request_class):
        # Django resolves a request's path by this, rather than by ROOT_URLCONF, if it is there.
        urlconf = __name__

    class RungHandler(handler):
        request_class = RungRequest

    kept = settings.MIDDLEWARE
    settings.MIDDLEWARE = []
    try:
        without = RungHandler()
    finally:
        settings.MIDDLEWARE = kept
    return {VIEW_PATH: without, MIDDLEWARE_PATH: RungHandler()}


def _view(_request: HttpRequest) -> HttpResponse:
    from django.http import HttpResponse  # noqa: PLC0415

    # Without CommonMiddleware nobody else sets the length, and servers answer differently then.
    return HttpResponse(
        BODY, headers={"Content-Type": "application/json", "Content-Length": str(len(BODY))}
    )


# Else LoginRequiredMiddleware would send the request to a login page.
_view.login_required = False  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.urls import path  # noqa: PLC0415

    return [path(own.removeprefix("/"), _view) for own in (VIEW_PATH, MIDDLEWARE_PATH)]
