"""Stand-ins for systemd, the server, wrk and time. Each writes what it was asked into one list."""

from __future__ import annotations

from dataclasses import replace

from collect.model import (
    SCHEMA_VERSION,
    Endpoint,
    Errors,
    Expectation,
    Latency,
    Load,
    PairDecision,
    Plan,
    PlannedTrial,
    RateErrors,
    RateFigures,
    RateLatency,
    Stopping,
    Timing,
    Variant,
    WrkFigures,
)
from collect.runner.loop import Loop
from collect.runner.others import ProcessCpu
from collect.runner.progress import ProgressFile
from collect.runner.seams import (
    Answer,
    Counters,
    LoadResult,
    Memory,
    NoAnswerError,
    ProcessInfo,
    Sample,
    StopRequested,
    UnitState,
)
from collect.runner.trial_folder import TrialFolders
from collect.runner.waiting import Bench

RIGHT = Answer(200, b'{"status": "ok"}')
WRONG = Answer(200, b'{"status": "bad"}')
FIGURES = WrkFigures(
    requests=2000,
    duration_s=2.0,
    rps=1000.0,
    bytes=1,
    latency_ms=Latency(2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
    errors=Errors(0, 0, 0, 0, 0),
)


def make_plan(*trials, sockets=(), proxied=(), **changes):
    """Build a plan; a trial is written `1 a health` (block, variant, endpoint)."""
    words = [trial.split() for trial in trials]
    plan = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "run-1",
        "host": "lab1",
        "created_at": "2026-01-01T00:00:00+00:00",
        "seed": 1,
        "order": "interleaved",
        "blocks": 2,
        "stopping": Stopping(min_blocks=2),
        "address": "127.0.0.1",
        "port": 9875,
        "load": Load(threads=1, connections=2, duration_s=2, warmup_s=1, timeout_s=2),
        "timing": Timing(ready_timeout_s=3.0),
        "variants": tuple(
            Variant(
                id=name,
                server="granian",
                interface="wsgi",
                proxy="nginx" if name in proxied else "none",
                profile="parity",
                unit=f"{name}.service",
                workers=2,
                socket_unit=f"{name}.socket" if name in sockets else None,
                proxy_unit=f"{name}-proxy.service" if name in proxied else None,
                port=9878 if name in proxied else None,
            )
            for name in ("a", "b")
        ),
        "endpoints": tuple(
            Endpoint(name, f"/{name}", expect=Expectation(json_subset={"status": "ok"}))
            for name in ("health", "movie")
        ),
        "trials": tuple(
            PlannedTrial(f"{block}-{variant}-{endpoint}", int(block), i + 1, variant, endpoint)
            for i, (block, variant, endpoint) in enumerate(words)
        ),
    }
    return Plan(**{**plan, **changes})


class FakeJudge:
    """Invalid is what a test says of a trial id, or any outcome but ok; decided when it says so."""

    def __init__(self, spoiled=(), decided_after=None):
        self.codes = dict(spoiled)
        self.decided_after = decided_after
        self.asked = []

    def spoiled(self, trial):
        if trial.outcome.status != "ok":
            return [trial.outcome.status]
        return self.codes.get(trial.trial_id, [])

    def pairs(self, _plan, trials, blocks_done):
        self.asked.append((blocks_done, sorted(trial.trial_id for trial in trials)))
        is_decided = self.decided_after is not None and blocks_done >= self.decided_after
        state = "separated" if is_decided else "open"
        return (PairDecision("health", "a", "b", 1.5, 1.2, 1.8, state, None),)


class FakeClock:
    def __init__(self):
        self.now = 100.0
        self.wall_offset = 1_767_225_600.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now + self.wall_offset

    def sleep(self, seconds):
        self.now += seconds


class World:
    """All fakes of one test, and the knobs that make them misbehave."""

    def __init__(self, tmp_path, plan, judge=None):
        self.plan = plan
        self.judge = judge or FakeJudge()
        self.logged = []
        self.calls = []
        self.clock = FakeClock()
        self.running = set()
        self.pid = 1000
        self.restarts = 0
        self.states = {}
        self.answers = {}
        self.loads = {}
        self.owners = {}
        self.carries = 1000.0
        self.figures = FIGURES
        self.on_pace = lambda _endpoint: None
        self.pids = {}
        self.start_problem = None
        self.shutting_down = False
        self.on_load = lambda _endpoint: None
        self.run_dir = tmp_path
        self.window = None
        self.folders = TrialFolders(tmp_path)
        self.progress_path = tmp_path / "progress.json"
        self.restore = tmp_path / "restore.json"

    def loop(self):
        bench = Bench(
            clock=self.clock,
            services=self,
            asker=Side(self, self.plan.port),
            watch=self,
            load=Side(self, self.plan.port),
            paced=Paced(self, self.plan.port),
            folders=self.folders,
            cores=2,
            log=self.logged.append,
        )
        progress = ProgressFile(self.progress_path, self.plan, self.clock)
        return Loop(self.plan, bench, progress, self.run_dir, self.judge, window=self.window)

    def run(self):
        return self.loop().run()

    def steps(self):
        """Return the calls without those that only look."""
        return [call for call in self.calls if not call.startswith(("state", "memory", "see"))]

    # Services
    def stop(self, units, _timeout_s):
        self.calls.append(f"stop {' '.join(units)}")
        self.running -= set(units)

    def start(self, units):
        self.calls.append(f"start {' '.join(units)}")
        if self.start_problem:
            return self.start_problem
        self.pid += 1
        self.running |= set(units)
        self.clock.now += 0.4
        return None

    def state(self, unit):
        self.calls.append(f"state {unit}")
        active = "active" if unit in self.running else "inactive"
        active, result = self.states.get(unit, (active, "success"))
        return UnitState(
            active,
            "sub",
            result,
            self.pids.get(unit, self.pid),
            self.restarts,
            None,
            job_pending=False,
            properties={"Id": unit},
        )

    def active(self, units):
        return tuple(unit for unit in units if unit in self.running)

    def serving(self):
        return tuple(sorted(self.running - {"stranger.service"}))

    def is_shutting_down(self):
        return self.shutting_down

    def journal(self, unit, _since_s):
        return f"journal of {unit}\n"

    # Asker
    def at(self, port):
        return "" if port == self.plan.port else f" at {port}"

    def ask(self, endpoint, port, timeout_s):
        given = self.answers.get(endpoint.name, RIGHT)
        answer = given.pop(0) if isinstance(given, list) and len(given) > 1 else given
        answer = answer[0] if isinstance(answer, list) else answer
        if answer is None:
            self.calls.append(f"ask {endpoint.name}{self.at(port)}: silence")
            self.clock.now += timeout_s
            raise NoAnswerError("no answer in time")
        self.calls.append(f"ask {endpoint.name}{self.at(port)}")
        return answer

    # Watch
    def processes(self, _state):
        self.calls.append("see processes")
        return (
            ProcessInfo(1, 0, "granian", ("granian",)),
            ProcessInfo(2, 1, "granian", ("granian",)),
            ProcessInfo(3, 1, "granian", ("granian",)),
        )

    def memory(self, state):
        self.calls.append("memory")
        is_proxy = state.properties["Id"].endswith("-proxy.service")
        return Memory(1, 10, 20, 0) if is_proxy else Memory(3, 100, 200, 0)

    def counters(self, _state, proxy):
        self.calls.append("counters")
        return Counters(
            wall_s=self.clock.time(),
            monotonic_s=self.clock.monotonic(),
            host_cpu_s={"user": self.clock.now, "idle": self.clock.now, "steal": 0.0},
            server_cpu_s=self.clock.now / 2,
            listen_overflows=0,
            oom_kills=0,
            cgroup_peak_bytes=None,
            runner_cpu_s=self.clock.now / 100,
            proxy_cpu_s=self.clock.now / 8 if proxy else None,
        )

    def others(self, _state, _proxy):
        self.calls.append("others")
        return {
            (7, 1): ProcessCpu("redis-server", 1, self.clock.now / 4, 0.0),
            (8, 1): ProcessCpu("cron", 1, 3.0, 0.0),
        }

    def start_sampling(self, _state, proxy, interval_s):
        self.calls.append(f"sample every {interval_s}")
        world = self
        own = (15, 30) if proxy else ()

        class Sampling:
            def stop(self):
                world.calls.append("stop sampling")
                return [
                    Sample(0.0, 150, 300, 0, 3, 9, None, 1.0, {}, 0, *own),
                    Sample(1.0, None, None, None, 0, None, None, None, {}, 10),
                    Sample(2.0, 160, 310, 0, 3, 9, None, 2.0, {}, 20),
                ]

        return Sampling()

    def canary(self):
        self.calls.append("canary")
        return 0.05

    def server_version(self, _server):
        return "1.2.3"

    # LoadGenerator
    def warm_up(self, endpoint, port, _folder):
        self.calls.append(f"warm up {endpoint.name}{self.at(port)}")
        self.clock.now += 1
        return LoadResult(("wrk",), 0.1, None, self.loads.get(f"warm-up {endpoint.name}"))

    # RateGenerator
    def keep_pace(self, endpoint, port, pace, folder, name):
        where = self.at(port)
        shape = f"at {pace.rate_rps:g} for {pace.duration_s:g} s"
        self.calls.append(f"pace {endpoint.name}{where} {shape}")
        self.clock.now += pace.lead_in_s + pace.duration_s
        self.on_pace(endpoint.name)
        error = self.loads.get(f"pace {endpoint.name}")
        (folder / f"{name}.json").write_text("{}")
        if error:
            return LoadResult(("pace",), 0.1, None, error)
        return LoadResult(("pace",), 0.1, None, None, rate_figures(pace.rate_rps, self.carries))

    def run_load(self, endpoint, port, folder):
        self.calls.append(f"load {endpoint.name}{self.at(port)}")
        self.clock.now += 2
        (folder / "wrk.txt").write_text("wrk says\n")
        self.on_load(endpoint.name)
        error = self.loads.get(endpoint.name)
        return LoadResult(("wrk",), 0.2, None if error else self.figures, error)


def rate_figures(asked=100.0, carried=1000.0, p99_ms=10.0, **changes):
    """Return the figures of a leg against a server that carries so much."""
    missed = asked > carried
    requests = round(asked * 2)
    figures = RateFigures(
        rate_rps=asked,
        achieved_rps=min(asked, carried),
        duration_s=2.0,
        requests=requests,
        answered=requests,
        late=0,
        waited=0,
        resent=0,
        connections_opened=8,
        latency_ms=RateLatency(*([2000.0] * 6 if missed else [5, 4, 8, p99_ms, 20, 30])),
        errors=RateErrors(0, 0, 0, 0),
        lag_p99_ms=0.2,
        lag_max_ms=1.0,
        own_lag_p99_ms=0.2,
        cpu_s=0.1,
        over_limit=requests if missed else 0,
    )
    return replace(figures, **changes)


class Side:
    """The asker and the load generator, at one port."""

    def __init__(self, world, port):
        self._world = world
        self._port = port

    def at(self, port):
        return Side(self._world, port)

    def ask(self, endpoint, timeout_s):
        return self._world.ask(endpoint, self._port, timeout_s)

    def port_owner(self, _own=None):
        return self._world.owners.get(self._port)

    def warm_up(self, endpoint, folder):
        return self._world.warm_up(endpoint, self._port, folder)

    def run(self, endpoint, folder):
        return self._world.run_load(endpoint, self._port, folder)


class Paced:
    """The generator of fixed rates; `World.rates` says how many requests a second it brings."""

    def __init__(self, world, port):
        self._world = world
        self._port = port

    def at(self, port):
        return Paced(self._world, port)

    def run(self, endpoint, pace, folder, name):
        return self._world.keep_pace(endpoint, self._port, pace, folder, name)


def stop_now(_endpoint):
    raise StopRequested
