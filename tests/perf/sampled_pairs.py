"""On the host: one load without a pause, in pairs of windows, once beside the sampler and once not.

A run of wrk of its own for each window brings more noise than the sampler does. All answers are of
one size, so the bytes that cross the loopback interface stand for requests.

Standard input, so that nothing is left there. Prints a JSON list of [with, without, CPU seconds of
this process in the window with the sampler], bytes/s.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

ROOT, UNIT, PATH_, PAIRS, SECONDS, INTERVAL_S = sys.argv[1:]
sys.path.insert(0, f"{ROOT}/runner/serverbench-runner.pyz")

from collect.model import Endpoint  # noqa: E402 - in the archive
from collect.runner.answers import HttpAsker  # noqa: E402 - in the archive
from collect.runner.systemd import Systemd  # noqa: E402 - in the archive
from collect.runner.watch import HostWatch, loopback_bytes  # noqa: E402 - in the archive

WARMUP_S = 5
services, watch = Systemd(), HostWatch(None)
serving = services.serving()
services.stop(serving, 30)
services.start([UNIT])
try:
    for _ in range(300):
        try:
            HttpAsker("127.0.0.1", 9875).ask(Endpoint("health", PATH_), 1)
            break
        except Exception:
            time.sleep(0.1)
    state = services.state(UNIT)
    lasts_s = WARMUP_S + 2 * int(PAIRS) * float(SECONDS)
    load = subprocess.Popen(
        ["wrk", "-t2", "-c32", "--timeout", "10s", f"-d{lasts_s + 5:.0f}s",
         f"http://127.0.0.1:9875{PATH_}"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(WARMUP_S)
    found = []
    for _ in range(int(PAIRS)):
        rates, cpu_s = {}, 0.0
        for is_sampled in random.sample([True, False], 2):
            start_s, cpu_start_s, before = time.monotonic(), time.process_time(), loopback_bytes()
            sampling = watch.start_sampling(state, None, float(INTERVAL_S)) if is_sampled else None
            time.sleep(float(SECONDS))
            rates[is_sampled] = (loopback_bytes() - before) / (time.monotonic() - start_s)
            if sampling is not None:
                cpu_s = time.process_time() - cpu_start_s
                # Takes a last sample, which in a trial comes after the load as well.
                sampling.stop()
        found.append([rates[True], rates[False], cpu_s])
    if load.poll() is not None:
        sys.exit(f"wrk ended with {load.returncode} before the last window")
    load.kill()
    load.wait()
finally:
    services.stop([UNIT], 30)
    services.start(serving)
sys.stdout.write(json.dumps(found))
