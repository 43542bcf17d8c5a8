"""On the host: load one service in pairs, once beside the sampler and once without it.

Standard input, so that nothing is left there. Prints a JSON list of [with, without, CPU seconds of
this process beside the load with the sampler], req/s.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT, UNIT, PATH_, PAIRS, SECONDS, INTERVAL_S = sys.argv[1:]
sys.path.insert(0, f"{ROOT}/runner/serverbench-runner.pyz")

from collect.model import Endpoint, Load  # noqa: E402 - in the archive
from collect.runner.answers import HttpAsker  # noqa: E402 - in the archive
from collect.runner.systemd import Systemd  # noqa: E402 - in the archive
from collect.runner.watch import HostWatch  # noqa: E402 - in the archive
from collect.runner.wrk import Wrk  # noqa: E402 - in the archive

services, watch = Systemd(), HostWatch(None)
endpoint = Endpoint("health", PATH_)
load = Load(threads=2, connections=32, duration_s=float(SECONDS), warmup_s=2, timeout_s=10)
wrk = Wrk("wrk", Path(f"{ROOT}/loadgen/report.lua"), "127.0.0.1", 9875, load)
serving = services.serving()
services.stop(serving, 30)
services.start([UNIT])
try:
    for _ in range(300):
        try:
            HttpAsker("127.0.0.1", 9875).ask(endpoint, 1)
            break
        except Exception:
            time.sleep(0.1)
    state = services.state(UNIT)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        wrk.warm_up(endpoint, Path(folder))
        for _ in range(int(PAIRS)):
            pair = {}
            for is_sampled in random.sample([True, False], 2):
                before_s = time.process_time()
                sampling = (
                    watch.start_sampling(state, None, float(INTERVAL_S)) if is_sampled else None
                )
                result = wrk.run(endpoint, Path(folder))
                if sampling is not None:
                    sampling.stop()
                    pair["cpu_s"] = time.process_time() - before_s
                pair[is_sampled] = result.figures.rps
            found.append([pair[True], pair[False], pair["cpu_s"]])
finally:
    services.stop([UNIT], 30)
    services.start(serving)
sys.stdout.write(json.dumps(found))
