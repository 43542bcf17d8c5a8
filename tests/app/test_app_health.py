"""The health endpoints, inside this process, through Django's sync and async clients."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from datetime import datetime

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections
from django.test import AsyncClient, Client

from monitoring import checks

PREFIX = "/api/django-starter/monitoring/health"
BOTH = [f"{PREFIX}/async", f"{PREFIX}/sync"]

pytestmark = [pytest.mark.alone, pytest.mark.filterwarnings("error::ResourceWarning")]


def ask_wsgi(path: str):
    return Client().get(path)


def ask_asgi(path: str):
    async def ask():
        # As Django's ASGI handler does: a thread, and so database connections, of its own for each
        # request. The test clients keep it from closing them.
        async with ThreadSensitiveContext():
            try:
                return await AsyncClient().get(path)
            finally:
                await sync_to_async(connections.close_all)()

    return asyncio.run(ask())


@pytest.fixture(params=[ask_wsgi, ask_asgi], ids=["wsgi", "asgi"])
def ask(request):
    return request.param


@pytest.mark.usefixtures("broken_database")
def test_health_answers_without_database_or_redis(ask, redis_at):
    redis_at("redis://127.0.0.1:1/0")
    answer = ask(PREFIX)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize("path", BOTH)
def test_both_checks_report_the_same_work(ask, path):
    answer = ask(path)
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ok"
    assert body["checks"] == {"database": "ok", "redis": "ok"}


@pytest.mark.parametrize("path", BOTH)
def test_both_checks_ask_the_database_and_redis_once(ask, path, redis_server, monkeypatch):
    statements = []

    def note(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    def pings():
        return redis_server.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]

    original = checks.check_database

    def noted():
        # The wrapper must be set in the thread that asks: connections belong to threads.
        with checks.connection.execute_wrapper(note):
            return original()

    monkeypatch.setattr(checks, "check_database", noted)
    before = pings()
    ask(path)
    assert statements == ["SELECT 1"]
    assert pings() == before + 1


def test_sync_health_says_where_it_runs(ask):
    body = ask(f"{PREFIX}/sync").json()
    timestamp = datetime.fromisoformat(body["timestamp"].replace("Z", "+00:00"))
    assert abs(time.time() - timestamp.timestamp()) < 60
    assert body["uptime_s"] > 0
    assert body["hostname"] == os.uname().nodename
    assert body["environment"] == "test"
    assert os.uname().release in body["os"]


@pytest.mark.usefixtures("broken_database")
@pytest.mark.parametrize("path", BOTH)
def test_a_failed_database_is_a_503(ask, path, caplog):
    answer = ask(path)
    assert answer.status_code == 503
    assert answer.json()["status"] == "failed"
    assert answer.json()["checks"] == {"database": "failed", "redis": "ok"}
    assert "database check failed: OperationalError" in caplog.text


@pytest.mark.parametrize("path", BOTH)
def test_an_absent_redis_is_a_503_that_tells_no_secret(ask, path, redis_at, caplog):
    redis_at("redis://user:hunter2@127.0.0.1:1/0")
    answer = ask(path)
    assert answer.status_code == 503
    assert answer.json()["status"] == "failed"
    assert answer.json()["checks"] == {"database": "ok", "redis": "failed"}
    assert caplog.record_tuples[0] == (
        "monitoring.checks",
        logging.ERROR,
        "redis check failed: ConnectionError",
    )
    assert "hunter2" not in answer.content.decode() + caplog.text


@pytest.mark.parametrize("path", BOTH)
def test_a_redis_that_hangs_is_a_503_in_bounded_time(
    ask, path, start_redis, redis_at, patch_settings
):
    patch_settings(REDIS_TIMEOUT_S=0.4)
    with start_redis() as (server, process):
        redis_at(server.url)
        assert ask(path).status_code == 200
        process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        answer = ask(path)
        took_s = time.monotonic() - begun
    assert answer.status_code == 503
    # A frozen process still accepts connections, so one wait for an answer, and no second try.
    assert 0.3 < took_s < 0.75


@pytest.mark.parametrize("path", BOTH)
def test_the_checks_recover_with_redis(ask, path, start_redis, redis_at):
    redis_at("redis://127.0.0.1:1/0")
    assert ask(path).status_code == 503
    with start_redis() as (server, _):
        redis_at(server.url)
        assert ask(path).status_code == 200
