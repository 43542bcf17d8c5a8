"""Redis connections are reused, bounded, and never outlive the event loop they belong to."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.test import AsyncClient, Client

from monitoring import connections

PREFIX = "/api/django-starter/monitoring/health"


@pytest.fixture
def count_clients(redis_server):
    """How many connections Redis has now, the one that asks left out."""

    def count() -> int:
        return redis_server.info("clients")["connected_clients"] - 1

    return count


def received(redis_server) -> int:
    return redis_server.info("stats")["total_connections_received"]


@pytest.fixture(autouse=True)
def _fresh_pool(monkeypatch):
    monkeypatch.setattr(settings, "REDIS_MAX_CONNECTIONS", 4)
    connections.sync_redis.cache_clear()
    yield
    connections.sync_redis.cache_clear()
    gc.collect()


def test_sync_checks_share_one_connection(redis_server):
    client = Client()
    before = received(redis_server)
    assert {client.get(f"{PREFIX}/sync").status_code for _ in range(200)} == {200}
    # One is the pool's, one asked for this very number.
    assert received(redis_server) - before == 2


def test_sync_checks_in_many_threads_stay_within_the_pool(redis_server):
    before = received(redis_server)
    with ThreadPoolExecutor(32) as threads:
        outcomes = threads.map(lambda _: Client().get(f"{PREFIX}/sync").status_code, range(200))
        assert set(outcomes) == {200}
    assert received(redis_server) - before <= 4 + 1


def test_async_checks_on_one_loop_stay_within_the_pool(redis_server, count_clients):
    async def ask_often():
        client = AsyncClient()
        answers = await asyncio.gather(*(client.get(f"{PREFIX}/async") for _ in range(200)))
        return {answer.status_code for answer in answers}

    open_before, before = count_clients(), received(redis_server)
    assert asyncio.run(ask_often()) == {200}
    assert received(redis_server) - before <= 4 + 1
    assert count_clients() == open_before
    assert connections._loop_clients == {}


def test_async_checks_with_a_loop_per_request_leave_nothing_open(redis_server, count_clients):
    # Django's sync client runs an async view as WSGI does: on a new event loop for each request.
    client = Client()
    open_before, before = count_clients(), received(redis_server)
    assert {client.get(f"{PREFIX}/async").status_code for _ in range(50)} == {200}
    # Each loop opened its own: none was carried over from a dead loop.
    assert received(redis_server) - before >= 50
    assert count_clients() == open_before
    assert connections._loop_clients == {}


def test_a_loop_has_one_client_and_another_loop_another():
    async def twice():
        return await asyncio.gather(connections.async_redis(), connections.async_redis())

    first, again = asyncio.run(twice())
    other, _ = asyncio.run(twice())
    assert first is again
    assert other is not first


def test_a_loop_closed_without_notice_is_forgotten(count_clients):
    async def ping():
        return await (await connections.async_redis()).ping()

    open_before = count_clients()
    careless = asyncio.new_event_loop()
    # Neither shutdown_asyncgens nor anything else that tells the loop's guests that it ends.
    assert careless.run_until_complete(ping())
    careless.close()
    assert list(connections._loop_clients) == [careless]
    del careless

    assert asyncio.run(ping())
    gc.collect()
    assert connections._loop_clients == {}
    assert count_clients() == open_before


def test_a_forked_worker_does_not_share_its_parents_connection(run_python):
    # What a preloading master does: it answers nobody itself, but may have asked Redis something.
    # In a process of its own, since pytest's has threads by now, and forking those is unsafe.
    script = """
import os, django
django.setup()
from monitoring.connections import sync_redis
masters = sync_redis().client_id()
if os.fork() == 0:
    print("worker", sync_redis().client_id() != masters, flush=True)
    os._exit(0)
os.wait()
print("master", sync_redis().client_id() == masters)
"""
    outcome = run_python("-c", script)
    assert outcome.stdout.splitlines() == ["worker True", "master True"], outcome.stderr
