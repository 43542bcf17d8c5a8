"""The app behind a real server, under both interfaces, over real sockets."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

HEALTH = "/api/django-starter/monitoring/health"


@pytest.fixture(scope="module", params=["wsgi", "asginl"])
def interface(request):
    return request.param


@pytest.fixture(scope="module")
def server(interface, start_server):
    with start_server(interface, REDIS_MAX_CONNECTIONS="4") as running:
        yield running


def test_all_endpoints_answer(server):
    check_all_endpoints(server)


@pytest.mark.parametrize("name", ["asgi_shared_thread", "asgi_async_middleware", "asgi_tuned"])
@pytest.mark.parametrize("interface", ["asginl", "asgi"])
def test_all_endpoints_answer_through_each_tuned_entry_point(start_server, interface, name):
    # With the lifespan protocol and without.
    kept = {"DATABASE_CONN_MAX_AGE_S": "60"}
    with start_server(interface, f"config.{name}:application", **kept) as tuned:
        check_all_endpoints(tuned)
        with ThreadPoolExecutor(16) as threads:
            paths = ["/api/demo/movie/movie", "/api/demo/movie/movie/async", HEALTH] * 20
            assert {answer.status for answer in threads.map(tuned.get, paths)} == {200}


def check_all_endpoints(server):
    alive = server.get(HEALTH)
    assert (alive.status, alive.json()) == (200, {"status": "ok"})
    for path in (f"{HEALTH}/async", f"{HEALTH}/sync"):
        answer = server.get(path)
        assert (answer.status, answer.json()["checks"]) == (200, {"database": "ok", "redis": "ok"})
    movies = server.get("/api/demo/movie/movie")
    assert movies.status == 200
    assert movies.headers["content-length"] == str(len(movies.body))
    assert (len(movies.json()["items"]), movies.json()["count"]) == (100, 1000)
    assert server.get(f"{HEALTH}/native-async").json() == alive.json()
    assert server.get("/api/demo/movie/movie/async").json() == movies.json()
    assert server.get("/api/docs").status == 200


def test_a_host_not_allowed_is_a_400(server):
    assert server.get(HEALTH, host="evil.example").status == 400


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_redis_connections_stay_bounded(server, interface, redis_server, kind):
    def ask(_):
        return server.get(f"{HEALTH}/{kind}").status

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(16))) == {200}
        before = redis_server.info("stats")["total_connections_received"]
        assert set(threads.map(ask, range(200))) == {200}
        after = redis_server.info("stats")["total_connections_received"]
    if (interface, kind) == ("wsgi", "async"):
        # A loop, and thus a connection, per request; what matters is that none stays.
        assert after - before >= 200
    else:
        assert after - before <= 4 + 1
    # A connection of a loop that has ended may take a moment to close.
    end = time.monotonic() + 10
    while (open_now := server.connections_to(redis_server.port)) > 4 + 4:
        assert time.monotonic() < end, f"{open_now} connections; both pools together hold 8"
        time.sleep(0.1)


def test_without_redis_and_its_database_both_checks_are_503(interface, start_server):
    nowhere = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DATABASE_URL": "sqlite:////no/such/folder/db.sqlite3",
    }
    with start_server(interface, **nowhere) as server:
        for path in (f"{HEALTH}/async", f"{HEALTH}/sync"):
            answer = server.get(path)
            assert answer.status == 503
            assert answer.json()["checks"] == {"database": "failed", "redis": "failed"}
        assert server.get(HEALTH).status == 200
        assert server.get("/api/demo/movie/movie").status == 500
