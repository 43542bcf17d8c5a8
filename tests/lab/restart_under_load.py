"""Runs on the host: start a unit, look at it, and restart it while several threads ask.

    restart_under_load.py UNIT PORT RESTART PATH...

Each request has a connection of its own, and nobody asks twice. Writes JSON: `statuses` of the
paths, `exposure` by systemd-analyze, `outcomes` of the requests by kind and the `longest_s`.
"""

import collections
import http.client
import json
import pathlib
import subprocess
import sys
import threading
import time

THREADS = 6
unit, port, restart, paths = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "yes", sys.argv[4:]
socket_unit = pathlib.Path(f"/etc/systemd/system/{unit}.socket")
units = [f"{unit}.socket"] * socket_unit.exists() + [f"{unit}.service"]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def ask(path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status if answer.read() else "no body"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def worker(path):
    while not done.is_set():
        begun = time.monotonic()
        outcome = ask(path)
        with lock:
            outcomes[str(outcome)] += 1
            answered[phase[0]] += outcome == 200
            longest.append(time.monotonic() - begun)


subprocess.run(["systemctl", "reset-failed", *units], capture_output=True, check=False)
run("systemctl", "start", *units)
try:
    wait_for(lambda: ask(paths[0]) == 200)
    report = {"statuses": {path: ask(path) for path in paths}}
    words = run("systemd-analyze", "security", "--no-pager", f"{unit}.service").splitlines()[-1]
    report["exposure"] = float(words.split(": ")[1].split()[0])
    if restart:
        outcomes, answered, longest = collections.Counter(), collections.Counter(), []
        done, lock, phase = threading.Event(), threading.Lock(), ["before"]
        threads = [
            threading.Thread(target=worker, args=(paths[i % len(paths)],)) for i in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: answered["before"] >= 2 * THREADS)
        begun = time.monotonic()
        run("systemctl", "restart", f"{unit}.service")
        report["restart_s"] = time.monotonic() - begun
        phase[0] = "after"
        wait_for(lambda: answered["after"] >= 2 * THREADS)
        done.set()
        for thread in threads:
            thread.join()
        report |= {"outcomes": outcomes, "longest_s": max(longest)}
finally:
    run("systemctl", "stop", *units)
json.dump(report, sys.stdout)
