"""What the health endpoints check, and what they report; knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import functools
import logging
import platform
import socket
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from monitoring.connections import async_redis, sync_redis

logger = logging.getLogger(__name__)

CheckStatus = Literal["ok", "failed"]

# When this process loaded the application; a worker forked from a preloaded master reports its
# master's. The system's uptime would need /proc files that a hardened unit does not show.
_STARTED_S = time.monotonic()


@dataclass(frozen=True, slots=True)
class Checks:
    """The outcome of each check; why one failed goes to the log, not to whoever asks."""

    database: CheckStatus
    redis: CheckStatus

    @property
    def healthy(self) -> bool:
        return self.database == "ok" and self.redis == "ok"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """Where and for how long this process has been running."""

    timestamp: datetime
    uptime_s: float
    hostname: str
    environment: str
    os: str


def run_checks() -> Checks:
    """Run the checks one after the other."""
    return Checks(database=check_database(), redis=check_redis())


async def run_checks_concurrently() -> Checks:
    """Run the same checks as `run_checks` at the same time, the database's in a thread."""
    # Thread-sensitive, so that the connection is opened in the thread whose connections Django
    # closes when the request ends; in a pool's thread it would stay open for ever.
    database, redis_status = await asyncio.gather(
        sync_to_async(check_database, thread_sensitive=True)(), check_redis_async()
    )
    return Checks(database=database, redis=redis_status)


def check_database() -> CheckStatus:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        return _failed("database", error)
    return "ok"


def check_redis() -> CheckStatus:
    try:
        sync_redis().ping()
    except redis.RedisError as error:
        return _failed("redis", error)
    return "ok"


async def check_redis_async() -> CheckStatus:
    try:
        client = await async_redis()
        await client.ping()
    except redis.RedisError as error:
        return _failed("redis", error)
    return "ok"


def describe_process() -> ProcessInfo:
    return ProcessInfo(
        timestamp=datetime.now(tz=timezone.utc),
        uptime_s=round(time.monotonic() - _STARTED_S, 3),
        hostname=socket.gethostname(),
        environment=settings.ENVIRONMENT_NAME,
        os=_describe_os(),
    )


@functools.cache
def _describe_os() -> str:
    try:
        # "Debian GNU/Linux 13 (trixie)" says more than the kernel's name alone.
        distribution = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        distribution = platform.system()
    return f"{distribution}, {platform.system()} {platform.release()} {platform.machine()}"


def _failed(name: str, error: Exception) -> CheckStatus:
    # The kind only: a driver's message can hold the address and the credentials it tried.
    logger.error("%s check failed: %s", name, type(error).__name__)
    return "failed"
