"""The order of steps, and what is left when something goes wrong."""

import hashlib
import json

import pytest
from runner_fakes import RIGHT, WRONG, World, make_plan, stop_now

from collect.model import load_trial
from collect.runner.loop import group_trials, restore_of
from collect.runner.seams import Answer, StopRequested


def trial(world, trial_id):
    return load_trial(world.run_dir / "trials" / trial_id / "trial.json")


def outcomes(world):
    return {
        planned.id: trial(world, planned.id).outcome.status
        for planned in world.plan.trials
        if (world.run_dir / "trials" / planned.id).is_dir()
    }


def progress(world):
    return json.loads(world.progress_path.read_text())


STEPS_OF_A_TRIAL = [
    "canary",
    "warm up {0}",
    "others",
    "counters",
    "sample every 0.5",
    "load {0}",
    "stop sampling",
    "counters",
    "others",
    "ask {0}",
]


def steps_of(endpoint):
    return [step.format(endpoint) for step in STEPS_OF_A_TRIAL]


def test_each_step_comes_in_its_order(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 b health"))
    world.run()
    assert world.steps() == [
        "start a.service",
        "ask health",
        *steps_of("health"),
        "stop a.service",
        "start b.service",
        "ask health",
        *steps_of("health"),
        "stop b.service",
    ]
    assert outcomes(world) == {"1-a-health": "ok", "1-b-health": "ok"}


def test_trials_side_by_side_share_one_start(tmp_path):
    world = World(tmp_path, make_plan("1 a movie", "1 a health", "2 a health"))
    world.run()
    assert [call for call in world.steps() if call.startswith(("start", "load"))] == [
        "start a.service",
        "load movie",
        "load health",
        "start a.service",  # Another block is another start.
        "load health",
    ]
    assert trial(world, "1-a-movie").service.ready_s == 0.4
    assert trial(world, "1-a-health").service.ready_s is None


def test_trials_are_grouped_only_where_they_touch():
    plan = make_plan("1 a health", "1 b health", "1 a movie", "2 a health", "2 a movie")
    assert [[t.id for t in group] for group in group_trials(plan.trials)] == [
        ["1-a-health"],
        ["1-b-health"],
        ["1-a-movie"],
        ["2-a-health", "2-a-movie"],
    ]


def test_a_socket_starts_and_stops_with_its_service(tmp_path):
    world = World(tmp_path, make_plan("1 a health", sockets=("a",)))
    world.run()
    assert "start a.socket a.service" in world.calls
    assert "stop a.socket a.service" in world.calls


@pytest.mark.parametrize("left", ["b.service", "a.socket"])
def test_what_runs_and_is_known_to_nobody_is_stopped_before_a_start(tmp_path, left):
    world = World(tmp_path, make_plan("1 a health", sockets=("a",)))
    world.serving = lambda: ()
    world.running = {left}
    world.run()
    began = world.calls.index("start a.socket a.service")
    assert "stop a.socket a.service b.service" in world.calls[:began]


def test_no_warm_up_when_it_is_zero(tmp_path):
    plan = make_plan("1 a health")
    load = type(plan.load)(threads=1, connections=2, duration_s=2, warmup_s=0)
    world = World(tmp_path, make_plan("1 a health", load=load))
    world.run()
    assert "warm up health" not in world.calls


def test_a_trial_folder_is_whole(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.run()
    folder = tmp_path / "trials" / "1-a-health"
    assert {path.name for path in folder.iterdir()} == {
        "SHA256SUMS",
        "effective.json",
        "samples.jsonl",
        "trial.json",
        "wrk.txt",
    }
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 3
    effective = json.loads((folder / "effective.json").read_text())
    assert effective["workers_seen"] == 2
    assert effective["server_version"] == "1.2.3"


def test_figures_of_a_trial(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.run()
    found = trial(world, "1-a-health")
    assert found.memory.pss_idle_bytes == 100
    assert found.memory.pss_peak_bytes == 160
    assert found.memory.samples == 2
    # Two with memory two seconds apart, where there should be one every second.
    assert found.memory.coverage_ratio == 0.75
    assert found.memory.cgroup_peak_bytes is None
    assert found.cpu.server_s == 1.0
    assert found.cpu.loadgen_s == 0.2
    assert found.cpu.busy_s == 2.0
    assert found.cpu.steal_ratio == 0.0
    assert found.cpu.runner_s == 0.02
    assert found.cpu.others == {"redis-server": 0.5}
    assert found.host_state.trend_ratio is None  # Three samples are too few.
    assert found.host_state.clock_step_s == 0.0
    assert found.host_state.canary_s == 0.05
    assert found.service.workers_seen == 2
    assert found.service.restarts == 0


def test_what_is_there_does_not_run_again(tmp_path):
    plan = make_plan("1 a health", "1 a movie", "1 b health")
    first = World(tmp_path, plan)
    first.on_load = lambda name: stop_now(name) if name == "movie" else None
    with pytest.raises(StopRequested):
        first.run()
    assert outcomes(first) == {"1-a-health": "ok"}
    kept = (tmp_path / "trials" / "1-a-health" / "trial.json").read_bytes()

    second = World(tmp_path, plan)
    second.run()
    assert [call for call in second.calls if call.startswith("load")] == [
        "load movie",
        "load health",
    ]
    assert (tmp_path / "trials" / "1-a-health" / "trial.json").read_bytes() == kept
    assert set(outcomes(second).values()) == {"ok"}
    assert progress(second)["done"] == 3


def test_a_run_that_is_complete_touches_no_service(tmp_path):
    plan = make_plan("1 a health")
    World(tmp_path, plan).run()
    again = World(tmp_path, plan)
    again.run()
    assert again.calls == []


def test_a_folder_that_cannot_be_read_is_put_aside_and_run_again(tmp_path):
    plan = make_plan("1 a health")
    World(tmp_path, plan).run()
    (tmp_path / "trials" / "1-a-health" / "trial.json").write_text('{"schema_ver')
    again = World(tmp_path, plan)
    again.run()
    assert outcomes(again) == {"1-a-health": "ok"}
    assert (tmp_path / "trials" / ".broken-1-a-health" / "trial.json").is_file()


@pytest.mark.parametrize("damage", ["cut off", "gone", "list gone"])
def test_a_folder_that_was_damaged_since_is_put_aside_and_run_again(tmp_path, damage):
    plan = make_plan("1 a health", "1 b health")
    World(tmp_path, plan).run()
    folder = tmp_path / "trials" / "1-a-health"
    if damage == "cut off":
        (folder / "samples.jsonl").write_text("{")
    else:
        (folder / ("SHA256SUMS" if damage == "list gone" else "wrk.txt")).unlink()
    again = World(tmp_path, plan)
    again.run()
    assert outcomes(again) == {"1-a-health": "ok", "1-b-health": "ok"}
    assert "start b.service" not in again.calls
    assert (tmp_path / "trials" / ".broken-1-a-health").is_dir()


def test_what_a_killed_runner_left_is_removed(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    left = tmp_path / "trials" / ".partial-1-a-health"
    left.mkdir()
    (left / "wrk.json").write_text("{}")
    world.run()
    assert not left.exists()
    assert not (tmp_path / "trials" / "1-a-health" / "wrk.json").exists()


def test_a_stop_throws_the_trial_away_and_stops_the_unit(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.running = {"b.service"}
    world.on_load = stop_now
    with pytest.raises(StopRequested):
        world.run()
    assert world.steps()[-3:] == ["stop sampling", "stop a.service", "start b.service"]
    assert list((tmp_path / "trials").iterdir()) == []


def test_a_start_that_fails_is_an_outcome_and_the_run_goes_on(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 a movie", "1 b health"))
    world.states = {"a.service": ("failed", "exit-code")}
    world.answers = {"health": [None, None, RIGHT]}
    world.run()
    assert outcomes(world) == {
        "1-a-health": "start_failed",
        "1-a-movie": "start_failed",
        "1-b-health": "ok",
    }
    assert "exit-code" in trial(world, "1-a-health").outcome.reason
    journal = tmp_path / "trials" / "1-a-movie" / "journal.txt"
    assert journal.read_text() == "journal of a.service\n"
    found = trial(world, "1-a-movie")
    assert (found.wrk, found.memory, found.cpu, found.host_state) == (None, None, None, None)
    assert found.service.workers_seen is None


def test_a_failed_unit_is_noticed_long_before_the_deadline(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.states = {"a.service": ("failed", "exit-code")}
    world.answers = {"health": Answer(502, b"")}
    begun = world.clock.now
    world.run()
    assert world.clock.now - begun < 1.0


def test_a_unit_that_systemd_restarted_has_failed_to_start(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.restarts = 2
    world.run()
    assert outcomes(world) == {"1-a-health": "start_failed"}
    assert "restarted it 2 times" in trial(world, "1-a-health").outcome.reason


def test_systemctl_that_refuses_is_a_failed_start(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.start_problem = "systemctl start: Unit a.service not found."
    world.run()
    assert "not found" in trial(world, "1-a-health").outcome.reason


def test_silence_until_the_deadline_is_not_ready_for_the_whole_group(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 a movie", "1 b movie"))
    world.answers = {"health": None}
    world.run()
    assert outcomes(world) == {
        "1-a-health": "not_ready",
        "1-a-movie": "not_ready",
        "1-b-movie": "ok",
    }
    assert "for 3 s" in trial(world, "1-a-health").outcome.reason


@pytest.mark.parametrize("order", [("health", "movie"), ("movie", "health")])
def test_one_wrong_endpoint_does_not_take_the_other_along(tmp_path, order):
    world = World(tmp_path, make_plan(*(f"1 a {name}" for name in order)))
    world.answers = {"health": WRONG}
    world.run()
    assert outcomes(world) == {f"1-a-{order[0]}": "x", f"1-a-{order[1]}": "x"} | {
        "1-a-health": "wrong_answer_before",
        "1-a-movie": "ok",
    }
    assert '$.status: got "bad"; expected "ok"' in trial(world, "1-a-health").outcome.reason


def test_an_answer_that_turns_right_in_time_counts(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.answers = {"health": [Answer(503, b"starting"), Answer(503, b"starting"), RIGHT]}
    world.run()
    assert outcomes(world) == {"1-a-health": "ok"}
    assert trial(world, "1-a-health").service.ready_s == pytest.approx(0.44)


def test_a_wrong_body_after_the_load_is_seen_and_the_next_trial_gets_a_fresh_start(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 a movie"))
    world.answers = {"health": [RIGHT, WRONG]}
    world.run()
    assert outcomes(world) == {"1-a-health": "wrong_answer_after", "1-a-movie": "ok"}
    assert world.calls.count("start a.service") == 2
    found = trial(world, "1-a-health")
    assert found.wrk is not None
    assert (tmp_path / "trials" / "1-a-health" / "journal.txt").is_file()


def test_silence_after_the_load_is_asked_again(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.answers = {"health": [RIGHT, None, RIGHT]}
    world.run()
    assert outcomes(world) == {"1-a-health": "ok"}


def test_a_main_process_that_changed_is_a_death(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 a movie"))

    def die(name):
        if name == "health":
            world.pid += 1

    world.on_load = die
    world.loads = {"health": "wrk ended with status 1"}
    world.run()
    assert outcomes(world) == {"1-a-health": "server_died", "1-a-movie": "ok"}


def test_a_kill_for_lack_of_memory_is_named(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))

    def die(_name):
        world.states["a.service"] = ("failed", "oom-kill")

    world.on_load = die
    world.run()
    found = trial(world, "1-a-health")
    assert found.outcome.status == "server_died"
    assert "oom-kill" in found.outcome.reason
    assert found.service.oom_kills == 1


@pytest.mark.parametrize("key", ["health", "warm-up health"])
def test_a_load_that_fails_keeps_no_figures(tmp_path, key):
    world = World(tmp_path, make_plan("1 a health"))
    world.loads = {key: "wrk ended with status 1: unable to connect"}
    world.run()
    found = trial(world, "1-a-health")
    assert found.outcome.status == "load_failed"
    assert "unable to connect" in found.outcome.reason
    assert found.wrk is None


def test_a_port_taken_by_a_stranger_is_a_failed_start(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.owners[9875] = "pid 7 (nc -l 9875)"
    world.run()
    assert "taken by pid 7 (nc -l 9875)" in trial(world, "1-a-health").outcome.reason
    assert "start a.service" not in world.calls


def test_only_the_first_trial_of_a_start_knows_the_memory_before_any_load(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 a movie", "2 a movie"))
    world.run()
    idle = {
        name: trial(world, name).memory.pss_idle_bytes
        for name in ("1-a-health", "1-a-movie", "2-a-movie")
    }
    assert idle == {"1-a-health": 100, "1-a-movie": None, "2-a-movie": 100}


def test_an_answer_with_half_a_surrogate_pair_is_a_wrong_answer_and_no_end(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 b health"))
    world.answers["health"] = Answer(200, b'{"status": "\\ud800"}')
    world.run()
    assert [trial(world, f"1-{name}-health").outcome.status for name in "ab"] == [
        "wrong_answer_before"
    ] * 2


SERVES = "serverbench-granian-wsgi.service"


def test_what_served_before_serves_again_though_it_is_not_in_the_plan(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "2 a health"))
    world.running = {"b.service", SERVES, "stranger.service"}
    assert world.run() is None
    # Stopped before anything is measured, and once: what runs later is the run's own.
    assert world.steps()[0] == f"stop b.service {SERVES}"
    assert [call for call in world.calls if call.startswith("stop") and SERVES in call] == [
        f"stop b.service {SERVES}"
    ]
    assert world.steps()[-1] == f"start b.service {SERVES}"
    assert not world.restore.exists()


def test_a_resumed_run_restores_what_ran_before_the_first_start(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.restore.write_text(json.dumps({"active": ["b.service", "sshd.service", SERVES, 7]}))
    world.running = {"a.service"}  # Left by a runner that was killed.
    world.run()
    assert world.steps()[-1] == f"start b.service {SERVES}"


def test_a_run_that_goes_on_after_a_boot_stops_the_service_once_more(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.restore.write_text(json.dumps({"active": [SERVES]}))
    world.running = {SERVES}  # Enabled, so the boot started it.
    world.run()
    assert world.steps()[0] == f"stop {SERVES}"
    assert world.running == {SERVES}


@pytest.mark.parametrize("left", ["", "{", '{"active": ', "[]", '{"active_": []}'])
def test_a_note_that_a_power_cut_spoilt_is_written_anew(tmp_path, left):
    world = World(tmp_path, make_plan("1 a health"))
    world.restore.write_text(left)
    world.running = {SERVES}  # Enabled, so the boot started it.
    assert world.run() is None
    assert world.running == {SERVES}
    assert not world.restore.exists()


def test_a_service_that_ends_again_at_once_is_told_and_tried_again_by_the_next_run(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.running = {SERVES}
    world.on_load = lambda _name: world.states.update({SERVES: ("failed", "exit-code")})
    problem = world.run()
    assert f"{SERVES} ran before and could not be started again: {SERVES}: systemd says" in problem
    assert json.loads(world.restore.read_text()) == {"active": [SERVES]}
    world.states.clear()
    assert world.run() is None
    assert not world.restore.exists()


def test_while_the_host_goes_down_nothing_is_started_and_nothing_forgotten(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.running = {SERVES}

    def shut_down(_endpoint):
        world.shutting_down = True
        raise StopRequested

    world.on_load = shut_down
    with pytest.raises(StopRequested):
        world.run()
    assert world.running == set()
    assert json.loads(world.restore.read_text()) == {"active": [SERVES]}


def test_putting_back_after_a_kill_stops_what_was_under_test(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.restore.write_text(json.dumps({"active": [SERVES]}))
    world.running = {"a.service"}
    again = restore_of(world.plan, world, world.clock, world.run_dir)
    assert again.put_back() is None
    assert world.running == {SERVES}
    world.calls.clear()
    # A second time there is nothing to do.
    assert again.put_back() is None
    assert world.calls == []


def test_a_unit_that_does_not_come_back_is_reported(tmp_path):
    world = World(tmp_path, make_plan("1 a health"))
    world.running = {"b.service"}
    world.on_load = lambda _name: setattr(world, "start_problem", "no")
    assert "b.service ran before and could not be started again" in world.run()
    assert world.restore.exists()


def test_progress_counts_and_estimates(tmp_path):
    world = World(tmp_path, make_plan("1 a health", "1 b health", "2 a health"))
    seen = []
    world.on_load = lambda _name: seen.append(progress(world))
    world.run()
    assert [(p["done"], p["total"], p["block"], p["trial_id"]) for p in seen] == [
        (0, 3, 1, "1-a-health"),
        (1, 3, 1, "1-b-health"),
        (2, 3, 2, "2-a-health"),
    ]
    assert {p["phase"] for p in seen} == {"load"}
    # Judged as the report will judge them; how they turn out is not the point here.
    assert [sum(p["verdicts"].values()) for p in seen] == [0, 1, 2]
    assert set(seen[2]["verdicts"]) <= {"valid", "suspect", "invalid"}
    assert seen[1]["last"] == "a health 1000 req/s"
    # Planned 1 + 2 + 2.5 s each at first, then the 3.4 s that a trial really took.
    assert seen[0]["remaining_s"] == pytest.approx(3 * 5.5 - 1.4, abs=0.2)
    assert seen[2]["remaining_s"] == pytest.approx(3.4 - 1.4, abs=0.2)
    assert (tmp_path / "progress.json").stat().st_mode & 0o777 == 0o644
