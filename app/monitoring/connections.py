"""Pooled connections to Redis: a pool per process for sync code, per event loop for async code."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# A pooled connection may have died since it was last used, hence one more try on a fresh one. A
# timeout is not tried again: that would double the time a check may take.
_RETRIES = 1
_RETRIED_ERRORS = (redis.ConnectionError,)


class _LoopClient(NamedTuple):
    client: redis.asyncio.Redis
    # Held as long as the client: a generator that nobody refers to is closed at once.
    lifetime: AsyncGenerator[None, None]


_loop_clients: dict[asyncio.AbstractEventLoop, _LoopClient] = {}


@functools.cache
def sync_redis() -> redis.Redis:
    """Return this process's client; its pool is safe for threads and starts anew after a fork."""
    retry = Retry(NoBackoff(), _RETRIES, _RETRIED_ERRORS)
    pool = redis.BlockingConnectionPool.from_url(settings.REDIS_URL, retry=retry, **_pool_options())
    return redis.Redis(connection_pool=pool)


async def async_redis() -> redis.asyncio.Redis:
    """Return the running event loop's client.

    A connection works only on the loop that opened it. Under ASGI that loop lives as long as the
    process, but under WSGI Django gives each request to an async view a loop of its own; so a
    client is kept per loop and closed when its loop ends.
    """
    loop = asyncio.get_running_loop()
    known = _loop_clients.get(loop)
    if known is not None:
        return known.client
    _forget_closed_loops()
    retry = AsyncRetry(NoBackoff(), _RETRIES, _RETRIED_ERRORS)
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.REDIS_URL, retry=retry, **_pool_options()
    )
    client = redis.asyncio.Redis.from_pool(pool)
    lifetime = _close_with_loop(loop, client)
    # Nothing may wait between the look-up above and this line: another task would open a second.
    _loop_clients[loop] = _LoopClient(client, lifetime)
    await anext(lifetime)
    return client


async def _close_with_loop(
    loop: asyncio.AbstractEventLoop, client: redis.asyncio.Redis
) -> AsyncGenerator[None, None]:
    """Close the client when the loop ends.

    An event loop tells nobody that it ends, except the asynchronous generators it has begun: those
    are closed while it still runs (`shutdown_asyncgens`, which `asyncio.run` calls).
    """
    try:
        yield
    finally:
        _loop_clients.pop(loop, None)
        await client.aclose()


def _forget_closed_loops() -> None:
    """Drop clients whose loop was closed without notice; their sockets close with them."""
    for loop in list(_loop_clients):
        if loop.is_closed():
            _loop_clients.pop(loop, None)


def _pool_options() -> dict[str, Any]:
    return {
        "max_connections": settings.REDIS_MAX_CONNECTIONS,
        "timeout": settings.REDIS_POOL_TIMEOUT_S,
        "socket_connect_timeout": settings.REDIS_TIMEOUT_S,
        "socket_timeout": settings.REDIS_TIMEOUT_S,
    }
