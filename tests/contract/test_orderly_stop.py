"""What stops a Python server in order, against a small server on asyncio."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles/base/files/sitecustomize.py"
ECHO = """
import asyncio, socket, sys

async def main():
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()
    server = await asyncio.start_server(echo, sock=socket.socket(fileno=int(sys.argv[1])))
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture(params=["tcp", "unix"])
def listening(request, tmp_path):
    kind = socket.AF_INET if request.param == "tcp" else socket.AF_UNIX
    with socket.socket(kind) as listener:
        listener.bind(("127.0.0.1", 0) if request.param == "tcp" else str(tmp_path / "socket"))
        listener.listen(10)
        yield listener


@pytest.fixture
def server(listening):
    process = subprocess.Popen(
        [sys.executable, "-c", ECHO, str(listening.fileno())],
        pass_fds=[listening.fileno()],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROGRAM.parent)},
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()


def connect(listening):
    client = socket.socket(listening.family)
    client.settimeout(5)
    client.connect(listening.getsockname())
    return client


def echo(client, text):
    client.sendall(text)
    return client.recv(100)


def stop(process, limit_s):
    return subprocess.Popen([sys.executable, "-I", PROGRAM, str(process.pid), str(limit_s)])


def test_who_is_connected_is_served_and_who_comes_waits_for_the_next(listening, server):
    old = connect(listening)
    assert echo(old, b"before\n") == b"before\n"
    stopping = stop(server, 30)
    time.sleep(0.5)
    new = connect(listening)
    new.sendall(b"hello\n")
    assert echo(old, b"during\n") == b"during\n"
    assert stopping.poll() is None, "it does not wait for the connection"
    old.close()
    assert stopping.wait(10) == 0
    server.terminate()
    server.wait()
    accepted, _ = listening.accept()
    with accepted, new:
        assert accepted.recv(100) == b"hello\n"


def test_it_waits_no_longer_than_it_may(listening, server):
    with connect(listening) as idle:
        assert echo(idle, b"x\n") == b"x\n"
        begun = time.monotonic()
        assert stop(server, 0.5).wait(10) == 0
        assert 0.4 < time.monotonic() - begun < 5


def test_a_process_without_the_handler_gets_no_signal():
    other = subprocess.Popen(["sleep", "60"])
    assert stop(other, 1).wait(10) == 0
    assert other.poll() is None
    other.kill()
    other.wait()
