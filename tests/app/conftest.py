"""The app as the tests use it: configured once, with a seeded database file and a Redis of its own.

Real processes (servers, `manage.py`) get the same settings from `app_environment`, so that what
runs inside pytest and what runs beside it see the same rows and the same Redis.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import redis

APP_DIR = Path(__file__).resolve().parents[2] / "app"

# Settings are read when Django is set up, which the test modules' own imports need; so the
# environment must be right before any of them is collected, and no fixture is early enough.
_STATE_DIR = Path(tempfile.mkdtemp(prefix="serverbench-app-"))
_ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "DJANGO_SECRET_KEY": "only-for-tests",
    "DJANGO_ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "DJANGO_ENVIRONMENT": "test",
    "DATABASE_URL": f"sqlite:///{_STATE_DIR / 'db.sqlite3'}",
}
sys.path.insert(0, str(APP_DIR))
with pytest.MonkeyPatch.context() as patch:
    # Other tests in this process see the environment as it was.
    for name in list(os.environ):
        if name.startswith(("DJANGO_", "DATABASE_", "REDIS_")):
            patch.delenv(name)
    for name, value in _ENVIRONMENT.items():
        patch.setenv(name, value)
    import django

    django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.core.management import call_command  # noqa: E402
from django.db import connections, transaction  # noqa: E402

from monitoring import connections as redis_connections  # noqa: E402


@dataclass(frozen=True)
class RedisServer:
    """A Redis that belongs to the tests."""

    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def info(self, section: str) -> dict:
        with redis.Redis(port=self.port) as client:
            return client.info(section)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A real server on loopback."""

    port: int
    pid: int

    def connections_to(self, port: int) -> int:
        """Count the open connections that the server's processes have to a port of this machine."""
        parent = psutil.Process(self.pid)
        return sum(
            link.status == psutil.CONN_ESTABLISHED and link.raddr.port == port
            for process in (parent, *parent.children(recursive=True))
            for link in process.net_connections("tcp")
            if link.raddr
        )

    def get(self, path: str, host: str = "127.0.0.1") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            headers = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, headers, response.read())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(argv: list[str], port: int, **options):
    """Start a program, wait until its port accepts connections, and stop it in order."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, **options)
        try:
            deadline = time.monotonic() + 15
            while not _accepts(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    pytest.fail(f"{argv[0]} did not open port {port}:\n{log.read().decode()}")
                time.sleep(0.02)
            yield process
        finally:
            if process.poll() is None:
                # A stopped process (see the tests that freeze Redis) takes no other signal.
                process.send_signal(signal.SIGCONT)
                process.terminate()
            process.wait(timeout=15)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def _running_redis():
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running(argv, port, cwd=_STATE_DIR) as process:
        yield RedisServer(port), process


@pytest.fixture(scope="session", autouse=True)
def redis_server():
    with _running_redis() as (server, _):
        settings.REDIS_URL = server.url
        yield server


@pytest.fixture(scope="session")
def start_redis():
    """Run one more Redis; gives the server and its process."""
    return _running_redis


@pytest.fixture(scope="session", autouse=True)
def database():
    call_command("migrate", verbosity=0)
    call_command("seed_movies", verbosity=0, stdout=sys.stderr)
    yield
    connections.close_all()
    shutil.rmtree(_STATE_DIR)


@pytest.fixture
def rollback():
    """Undo what the test writes."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def redis_at(monkeypatch):
    """Point the app to another Redis until the test ends."""

    def point(url: str) -> None:
        monkeypatch.setattr(settings, "REDIS_URL", url)
        redis_connections.sync_redis.cache_clear()

    yield point
    redis_connections.sync_redis.cache_clear()


@pytest.fixture
def patch_settings(monkeypatch):
    def patch(**values) -> None:
        for name, value in values.items():
            monkeypatch.setattr(settings, name, value)

    return patch


@pytest.fixture
def broken_database(monkeypatch):
    """No new connection finds its file; connections in other threads are new ones."""
    monkeypatch.setitem(connections.settings["default"], "NAME", str(_STATE_DIR / "no" / "db"))
    connections.close_all()
    yield
    connections.close_all()


@pytest.fixture(scope="session")
def app_environment(redis_server):
    """The environment for the app in a process of its own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**inherited, **_ENVIRONMENT, "REDIS_URL": redis_server.url}


@pytest.fixture(scope="session")
def run_python(app_environment):
    """Run Python in the app's folder, with changes to its environment (None removes)."""

    def run(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess:
        changed = {**app_environment, **changes}
        environment = {name: value for name, value in changed.items() if value is not None}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=APP_DIR,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def start_server(app_environment):
    """Run Granian with one worker in the app's folder."""

    @contextlib.contextmanager
    def start(interface: str, application: str | None = None, **changes: str):
        port = free_port()
        target = application or f"config.{interface.removesuffix('nl')}:application"
        argv = [sys.executable, "-m", "granian", "--host=127.0.0.1", f"--port={port}"]
        argv += [f"--interface={interface}", "--workers=1", "--no-ws", target]
        if interface == "wsgi":
            argv.insert(-1, "--blocking-threads=2")
        with running(argv, port, cwd=APP_DIR, env={**app_environment, **changes}) as process:
            yield Server(port, process.pid)

    return start
