"""ASGI with one synchronous thread per worker process: `config.asgi_shared_thread:application`.

Django's own ASGI handler opens a `ThreadSensitiveContext` around each request, which means a new
thread for each request and, since connections belong to threads, a new database connection too:
at 200 requests in flight 200 of each. This handler leaves that context out. Everything synchronous
(views, middleware, the ORM, signals) then runs in the one thread that asgiref keeps per process,
where a database connection outlives the request as `CONN_MAX_AGE` says.

The price:

- All synchronous work of a worker is serialised, as in a WSGI worker with one thread: a view that
  takes a second delays every request that the worker holds. Run a worker per core, and keep slow
  work out of synchronous views.
- Middleware that is synchronous only holds the thread while the view behind it runs, an async one
  included. `docs/asgi-tuning.md` says how to find such.
- `threading.local` values outlive the request, as under WSGI. Context variables do not.
- Requests share the connection between their queries. A request that ends closes it where
  `CONN_MAX_AGE` is 0 (and hands it back where Django's pool is on), also under another request's
  half-read `aiterator()`: set `CONN_MAX_AGE` above 0, or read such results in one go. A transaction
  must begin and end inside one synchronous function, which is what Django asks for anyway.
- It overrides `ASGIHandler.__call__` and calls its `handle`, which Django does not document. Both
  are the same in Django 5.2 to 6.1; look again before another version.

To use it in your own project: copy this file beside your `asgi.py`, put in your settings module and
point the server to it.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class SharedThreadASGIHandler(ASGIHandler):
    """Django's handler without a thread of its own for each request."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _close_connections_at_the_end(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"accepted are http and lifespan scopes; got {scope['type']!r}")
        # Outside of any ThreadSensitiveContext asgiref uses its process-wide thread. An executor
        # of our own would not do: asgiref tells that its own thread would wait for itself (a
        # synchronous view that calls asyncio.run) and raises; with another, the worker hangs.
        await self.handle(scope, receive, send)


async def _close_connections_at_the_end(receive: Receive, send: Send) -> None:
    """Answer the server's lifespan protocol; in between lies the whole life of the worker."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    # In the shared thread, to which the connections belong.
    await sync_to_async(connections.close_all)()
    await send({"type": "lifespan.shutdown.complete"})


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

application = SharedThreadASGIHandler()
