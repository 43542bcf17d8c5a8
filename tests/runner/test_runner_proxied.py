"""A variant behind a proxy: where the load goes, whose figures are whose, and who died."""

import contextlib
import subprocess
import sys

import pytest
from runner_fakes import World, make_plan

from collect.model import ProxyFigures, load_trial
from collect.runner.seams import UnitState
from collect.runner.watch import HostWatch


def world_of(tmp_path, *trials, **changes):
    return World(tmp_path, make_plan(*trials, proxied=("a",), **changes))


def trial(world, trial_id):
    return load_trial(world.run_dir / "trials" / trial_id / "trial.json")


def test_the_proxy_starts_after_its_server_and_takes_the_load(tmp_path):
    world = world_of(tmp_path, "1 a health")
    world.run()
    assert world.steps() == [
        "start a.service a-proxy.service",
        "ask health at 9878",
        "canary",
        "warm up health at 9878",
        "others",
        "counters",
        "sample every 0.5",
        "load health at 9878",
        "stop sampling",
        "counters",
        "others",
        "ask health at 9878",
        "stop a.service a-proxy.service",
    ]


def test_what_the_proxy_takes_is_in_no_figure_of_the_server(tmp_path):
    world = world_of(tmp_path, "1 a health", "1 b health")
    world.run()
    proxied, direct = trial(world, "1-a-health"), trial(world, "1-b-health")
    assert proxied.proxy_figures == ProxyFigures(
        cpu_s=0.25, pss_idle_bytes=10, pss_peak_bytes=15, rss_peak_bytes=30
    )
    assert direct.proxy_figures is None
    assert proxied.memory == direct.memory
    assert proxied.cpu.server_s == direct.cpu.server_s


@pytest.mark.parametrize("port", [9875, 9878])
def test_a_stranger_on_either_port_is_a_failed_start(tmp_path, port):
    world = world_of(tmp_path, "1 a health", "1 b health")
    world.owners[port] = "pid 7 (nc -l)"
    world.run()
    reason = f"port {port} is taken by pid 7 (nc -l), which is not in this plan"
    assert trial(world, "1-a-health").outcome.reason == reason
    # Without a proxy nobody minds who is on the proxy's port.
    assert trial(world, "1-b-health").outcome.status == ("start_failed" if port == 9875 else "ok")


def test_a_proxy_that_does_not_start_is_named(tmp_path):
    world = world_of(tmp_path, "1 a health", "1 a movie")
    world.answers = {"health": None}
    world.states = {"a-proxy.service": ("failed", "exit-code")}
    world.run()
    for name in ("1-a-health", "1-a-movie"):
        outcome = trial(world, name).outcome
        assert outcome.status == "start_failed"
        assert outcome.reason.startswith("a-proxy.service: systemd says failed")


def test_a_proxy_that_dies_under_load_is_named_and_the_next_trial_starts_afresh(tmp_path):
    world = world_of(tmp_path, "1 a health", "1 a movie")

    def die(endpoint):
        if endpoint == "health":
            world.states["a-proxy.service"] = ("failed", "signal")
        else:
            world.states.clear()

    world.on_load = die
    original = world.start

    def start(units):
        world.states.clear()
        return original(units)

    world.start = start
    world.run()
    outcome = trial(world, "1-a-health").outcome
    assert outcome.status == "proxy_died"
    assert outcome.reason.startswith("a-proxy.service: systemd says failed")
    journal = (world.run_dir / "trials/1-a-health/journal.txt").read_text()
    assert journal == "journal of a.service\njournal of a-proxy.service\n"
    assert trial(world, "1-a-movie").outcome.status == "ok"
    assert world.calls.count("start a.service a-proxy.service") == 2


def test_a_proxy_that_systemd_replaced_under_load_has_died(tmp_path):
    world = world_of(tmp_path, "1 a health")
    world.pids["a-proxy.service"] = 70
    world.on_load = lambda _endpoint: world.pids.update({"a-proxy.service": 71})
    world.run()
    outcome = trial(world, "1-a-health").outcome
    assert (outcome.status, outcome.reason) == (
        "proxy_died",
        "a-proxy.service: main process 70 was replaced by 71",
    )


def test_a_server_that_dies_takes_the_blame_from_its_proxy(tmp_path):
    world = world_of(tmp_path, "1 a health")
    world.pids = {"a.service": 60, "a-proxy.service": 70}
    world.on_load = lambda _endpoint: world.pids.update({"a.service": 61, "a-proxy.service": 71})
    world.run()
    assert trial(world, "1-a-health").outcome.status == "server_died"


def state_of(pid):
    return UnitState("active", "running", "success", pid, 0, None, job_pending=False)


@contextlib.contextmanager
def process(mebibytes):
    """Hold so much memory, after a tenth of a second of CPU time."""
    code = f"x = bytearray({mebibytes} << 20)\nimport time\nwhile time.process_time() < 0.1: pass\n"
    command = [sys.executable, "-c", f"{code}print(flush=True)\ntime.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as one:
        one.stdout.readline()
        yield one
        one.kill()


def test_the_real_watch_keeps_the_two_apart():
    watch = HostWatch()
    with process(5) as server, process(50) as proxy:
        states = state_of(server.pid), state_of(proxy.pid)
        counters = watch.counters(*states)
        samples = watch.start_sampling(*states, 0.05).stop()
        others = {pid for pid, _ in watch.others(*states)}
        alone = watch.counters(states[0], None)
    assert 0.05 < counters.proxy_cpu_s < 2
    assert 0.05 < counters.server_cpu_s < 2
    assert alone.proxy_cpu_s is None
    assert samples[0].pss_bytes < 50 << 20 < samples[0].proxy_pss_bytes
    assert samples[0].proxy_pss_bytes <= samples[0].proxy_rss_bytes
    assert others
    assert not others & {server.pid, proxy.pid}
