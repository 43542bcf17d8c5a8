"""Settings come from the environment, and say which variable is wrong without repeating it."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test import Client

from config import environment
from movies import selectors


def test_the_secret_is_required(run_python):
    for value in (None, "", "  "):
        outcome = run_python("manage.py", "check", DJANGO_SECRET_KEY=value)
        assert outcome.returncode != 0
        last_line = outcome.stderr.strip().splitlines()[-1]
        assert "ImproperlyConfigured: DJANGO_SECRET_KEY is not set" in last_line


def test_djangos_own_checks_pass_and_no_migration_is_missing():
    call_command("check", fail_level="WARNING")
    # Exits with status 1 where a model and its migrations differ.
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)


def test_debug_is_off_and_hides_details():
    answer = Client().get("/no/such/page")
    assert answer.status_code == 404
    assert b"urlconf" not in answer.content.lower()
    assert b"monitoring" not in answer.content


def test_an_unexpected_error_tells_nothing(monkeypatch, caplog):
    def fail():
        raise RuntimeError("hunter2")

    monkeypatch.setattr(selectors, "list_movies", fail)
    answer = Client(raise_request_exception=False).get("/api/demo/movie/movie")
    assert answer.status_code == 500
    assert b"hunter2" not in answer.content
    assert b"Traceback" not in answer.content
    assert "hunter2" in caplog.text


def test_a_host_not_allowed_is_a_400():
    assert Client().get("/api/openapi.json", HTTP_HOST="evil.example").status_code == 400
    assert Client().get("/api/openapi.json", HTTP_HOST="localhost").status_code == 200


def test_every_answer_has_a_length():
    # Servers that see none answer chunked, or close the connection.
    for path in ("/api/django-starter/monitoring/health", "/api/demo/movie/movie"):
        answer = Client().get(path)
        assert answer.headers["Content-Length"] == str(len(answer.content))


def test_sqlite_is_set_up_for_readers_beside_a_writer():
    with connection.cursor() as cursor:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 5000)):
            cursor.execute(f"PRAGMA {pragma}")
            assert cursor.fetchone() == (value,)
    assert connection.transaction_mode == "IMMEDIATE"


def test_a_database_url_may_be_postgresql(monkeypatch):
    monkeypatch.setenv("X", "postgresql://me:p%40ss@db.internal:5433/bench")
    entry = environment.read_database("X", "")
    assert entry["ENGINE"] == "django.db.backends.postgresql"
    wanted = {"NAME": "bench", "USER": "me", "PASSWORD": "p@ss", "HOST": "db.internal"}
    assert wanted.items() <= entry.items()
    assert entry["PORT"] == "5433"


def test_a_host_may_be_the_folder_of_a_socket(monkeypatch):
    monkeypatch.setenv("X", "postgresql://me@%2Fvar%2Frun%2Fpostgresql/bench")
    entry = environment.read_database("X", "")
    assert {"HOST": "/var/run/postgresql", "USER": "me", "PORT": ""}.items() <= entry.items()


POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 5}}


@pytest.mark.parametrize(
    ("max_age_s", "pool_size", "pool"),
    [(0, None, 4), (0, "9", 9), (0, "0", None), (60, None, None)],
)
def test_connections_to_postgresql_are_pooled_or_kept(monkeypatch, max_age_s, pool_size, pool):
    if pool_size is not None:
        monkeypatch.setenv("POOL", pool_size)
    entry = environment.bound_connections(
        POSTGRESQL, max_age_s=max_age_s, max_age_name="AGE", pool_size_name="POOL"
    )
    wanted = {} if pool is None else {"pool": {"min_size": 1, "max_size": pool}}
    assert entry["OPTIONS"] == {"connect_timeout": 5, **wanted}
    assert entry["CONN_MAX_AGE"] == max_age_s


def test_pooled_and_kept_do_not_go_together(monkeypatch):
    monkeypatch.setenv("POOL", "4")
    with pytest.raises(ImproperlyConfigured, match="POOL and AGE are both above 0"):
        environment.bound_connections(
            POSTGRESQL, max_age_s=60, max_age_name="AGE", pool_size_name="POOL"
        )


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "mysql://root:hunter2@db/name",
        "postgresql://root:hunter2@db:port/name",
        "postgresql://root:hunter2@db/",
        "sqlite://hunter2/db",
        "sqlite:///",
    ],
)
def test_a_wrong_database_url_is_named_and_not_repeated(monkeypatch, url):
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL.*accepted are") as caught:
        environment.read_database("DATABASE_URL", "")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["x", "nan", "inf", "-1", "0"])
def test_a_wrong_number_is_named(monkeypatch, text):
    monkeypatch.setenv("REDIS_TIMEOUT_S", text)
    with pytest.raises(ImproperlyConfigured, match=r"^REDIS_TIMEOUT_S: .*at least 0\.01"):
        environment.read_number("REDIS_TIMEOUT_S", 1, at_least=0.01)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("True", True), ("off", False), ("", False)]
)
def test_a_flag_reads_the_usual_words(monkeypatch, text, value):
    monkeypatch.setenv("X", text)
    assert environment.read_flag("X", default=not value) is value


def test_a_flag_refuses_other_words(monkeypatch):
    monkeypatch.setenv("DJANGO_DEBUG", "maybe")
    with pytest.raises(ImproperlyConfigured, match=r"^DJANGO_DEBUG: accepted are"):
        environment.read_flag("DJANGO_DEBUG", default=False)


def test_a_list_is_split_at_commas(monkeypatch):
    monkeypatch.setenv("X", " a, b ,,")
    assert environment.read_list("X", "c") == ["a", "b"]
    monkeypatch.delenv("X")
    assert environment.read_list("X", "c") == ["c"]
