"""The ASGI entry point that keeps one synchronous thread per worker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest
import thread_urls
from asgi_client import request, run
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import connections
from django.test import override_settings

from config.asgi_shared_thread import SharedThreadASGIHandler

pytestmark = [pytest.mark.alone, pytest.mark.filterwarnings("error::ResourceWarning")]


@pytest.fixture(autouse=True)
def _views():
    for event in (thread_urls.started, thread_urls.release):
        event.clear()
    thread_urls.calls.clear()
    thread_urls.late.clear()
    with override_settings(ROOT_URLCONF="thread_urls"):
        yield


@pytest.fixture
def application():
    return SharedThreadASGIHandler()


@pytest.fixture
def keep_connections(monkeypatch):
    """Let connections live for a minute, in this thread and in others; the last one is closed."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    yield
    run(_in_shared_thread(connections.close_all))


async def _in_shared_thread(function):
    return await sync_to_async(function)()


async def _ask(application, *paths):
    return await asyncio.gather(*(request(application, path) for path in paths))


def _texts(application, *paths):
    replies = run(_ask(application, *paths))
    assert [reply.status for reply in replies] == [200] * len(paths)
    return [reply.text for reply in replies]


def test_all_requests_share_one_thread_which_is_not_the_loops(application):
    threads = set(_texts(application, *["/thread"] * 8, *["/async-thread"] * 8))
    assert len(threads) == 1
    assert threads != {str(threading.get_ident())}
    assert set(_texts(application, "/thread")) == threads


def test_djangos_own_handler_does_not():
    # What the whole entry point is about; if this fails, Django has changed and it can go.
    assert len(set(_texts(ASGIHandler(), *["/thread"] * 8))) > 1


@pytest.mark.usefixtures("keep_connections")
def test_a_connection_outlives_its_request(application):
    first = _texts(application, "/database")
    assert _texts(application, *["/database"] * 5) == first * 5


def test_without_a_maximum_age_no_connection_outlives_its_request(application):
    def is_open():
        return connections["default"].connection is not None

    async def ask():
        reply = await request(application, "/database")
        return reply.status, await _in_shared_thread(is_open)

    assert run(ask()) == (200, False)


@pytest.mark.usefixtures("keep_connections")
@pytest.mark.parametrize("usable", [True, False])
def test_after_an_error_a_connection_is_kept_only_if_it_still_works(
    application, monkeypatch, usable
):
    # SQLite's always say that they work; a server's say no once it was restarted.
    backend = type(connections["default"])
    monkeypatch.setattr(backend, "is_usable", lambda _: usable)

    async def ask():
        assert (await request(application, "/breaks-database")).status == 500
        return await _in_shared_thread(lambda: connections["default"].connection is not None)

    assert run(ask()) is usable


def test_each_request_has_its_own_locals(application):
    names = ["de", "fr", "pl", "it"] * 3
    assert _texts(application, *(f"/locals/{n}" for n in names)) == [f"{n} {n}" for n in names]

    def language():
        return thread_urls.WHO.get(), thread_urls.translation.get_language()

    # Nothing of it stays behind in the thread.
    assert run(_in_shared_thread(language)) == ("nobody", "en-us")


def test_signals_come_once_each_and_in_the_shared_thread(application):
    seen = []

    def note_start(**_):
        seen.append(("started", str(threading.get_ident())))

    def note_end(**_):
        seen.append(("finished", str(threading.get_ident())))

    request_started.connect(note_start)
    request_finished.connect(note_end)
    try:
        (shared,) = _texts(application, "/thread")
    finally:
        request_started.disconnect(note_start)
        request_finished.disconnect(note_end)
    assert seen == [("started", shared), ("finished", shared)]


@pytest.mark.parametrize("path", ["/fails", "/breaks-database", "/own-loop"])
def test_an_exception_is_a_500_and_the_next_request_is_served(application, path):
    # own-loop: asyncio.run inside a synchronous view, whose ORM calls would wait for the very
    # thread that waits for them. Told at once, rather than a worker that hangs.
    async def ask():
        return [(await request(application, p)).status for p in (path, "/database")]

    assert run(ask()) == [500, 200]


def test_async_code_inside_a_synchronous_view_comes_back_to_the_thread(application):
    assert _texts(application, *["/nested"] * 4) == ["1000"] * 4


def test_a_task_may_outlive_its_request(application):
    async def ask():
        await request(application, "/leaves-a-task")
        await asyncio.gather(*thread_urls.tasks)
        thread_urls.tasks.clear()
        await _in_shared_thread(connections.close_all)

    run(ask())
    assert thread_urls.late == [1000]


def test_who_leaves_does_not_take_the_worker_along(application):
    finished = []

    def note(**_):
        finished.append(1)

    async def ask():
        gone, waiting_gone = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(request(application, "/waits", leave=gone))
        while not thread_urls.started.is_set():
            await asyncio.sleep(0.01)
        queued = asyncio.create_task(request(application, "/counted", leave=waiting_gone))
        await asyncio.sleep(0.05)
        waiting_gone.set()
        gone.set()
        await asyncio.sleep(0.05)
        thread_urls.release.set()
        for task in (running, queued):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return await request(application, "/thread")

    request_finished.connect(note)
    try:
        assert run(ask()).status == 200
    finally:
        request_finished.disconnect(note)
    # The view of the one that left while it queued never ran.
    assert thread_urls.calls == ["waits"]
    assert finished


@pytest.mark.usefixtures("keep_connections")
def test_the_end_of_the_worker_closes_its_connection(application):
    messages = []

    async def live():
        incoming = asyncio.Queue()
        incoming.put_nowait({"type": "lifespan.startup"})

        async def send(message):
            messages.append(message["type"])

        life = asyncio.create_task(application({"type": "lifespan"}, incoming.get, send))
        await request(application, "/database")
        before = await _in_shared_thread(lambda: connections["default"].connection)
        incoming.put_nowait({"type": "lifespan.shutdown"})
        await life
        return before, await _in_shared_thread(lambda: connections["default"].connection)

    before, after = run(live())
    assert before is not None
    assert after is None
    assert messages == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_other_scopes_are_refused(application):
    with pytest.raises(ValueError, match="websocket"):
        run(application({"type": "websocket"}, None, None))


def _only_synchronous(get_response):
    return lambda request: get_response(request)  # noqa: PLW0108 - a middleware, not its insides


@pytest.mark.parametrize("middleware", [[], [f"{__name__}._only_synchronous"]])
def test_the_price_of_middleware_that_is_synchronous_only(middleware):
    # It holds the one thread until the async view behind it has answered, which takes 0.2 s.
    with override_settings(MIDDLEWARE=middleware):
        application = SharedThreadASGIHandler()
    begun = time.monotonic()
    run(_ask(application, *["/sleeps"] * 4))
    one_after_the_other = time.monotonic() - begun >= 4 * 0.2
    assert one_after_the_other is bool(middleware)


@pytest.mark.parametrize(("age_s", "status"), [(0, 500), (60, 200)])
def test_the_price_of_a_connection_that_is_closed_while_others_read(
    application, monkeypatch, age_s, status
):
    # Why the docs say to set CONN_MAX_AGE: without it each request closes the connection of all.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age_s)

    async def ask():
        reading = asyncio.create_task(request(application, "/reads-in-pieces"))
        while not thread_urls.started.is_set():
            await asyncio.sleep(0.01)
        other = await request(application, "/database")
        thread_urls.release.set()
        read = await reading
        await _in_shared_thread(connections.close_all)
        return other.status, read.status

    assert run(ask()) == (200, status)
