"""What serves before, during and after an activation, whatever goes wrong in it."""

import json

import pytest
from service_fakes import CANDIDATE_PORT, PORT, PROXY_PORT, FakeHost, Killed, variant

from collect.activation import load_service
from collect.errors import ServerbenchError
from collect.model import Endpoint

GRANIAN = variant("granian-wsgi")
GUNICORN = variant("gunicorn-wsgi-socket", socket=True)
BEHIND_NGINX = variant("uwsgi-wsgi-nginx", socket=True, proxy="nginx")
CANDIDATE = ["start serverbench-candidate.service", "stop serverbench-candidate.service"]


@pytest.fixture
def host(tmp_path):
    one = FakeHost(tmp_path)
    one.install("r1", "r2", "r3")
    return one


def test_the_first_service_of_a_host(host):
    outcome = host.deploy(GRANIAN, "r1")
    assert outcome.changed
    assert not outcome.failed
    assert host.acted() == [*CANDIDATE, f"start {GRANIAN.unit}", f"enable {GRANIAN.unit}"]
    assert host.current() == "r1"
    assert (host.places.settings_dir / "app.env").read_text() == "A=1\n"
    service = load_service(host.places.service_file)
    assert (service.variant, service.release) == (GRANIAN, "r1")


def test_a_second_time_changes_nothing(host):
    host.deploy(GRANIAN, "r1")
    outcome = host.deploy(GRANIAN, "r1")
    assert (outcome.changed, outcome.what) == (False, ())
    assert host.acted() == []


def test_a_secret_that_somebody_opened_up_is_closed_without_a_new_process(host):
    host.deploy(GRANIAN, "r1")
    environment = host.places.settings_dir / "app.env"
    environment.chmod(0o777)
    foreseen = host.activator(host.activation(GRANIAN, "r1")).look()
    assert foreseen.what == (f"{environment} gets its mode back",)
    assert environment.stat().st_mode & 0o777 == 0o777
    outcome = host.deploy(GRANIAN, "r1")
    assert (outcome.changed, outcome.what) == (True, foreseen.what)
    assert environment.stat().st_mode & 0o777 == 0o600
    assert host.acted() == []


def test_check_mode_says_what_would_be_and_changes_nothing(host):
    host.deploy(GRANIAN, "r1")
    host.stage(GUNICORN, "r2")
    host.calls.clear()
    outcome = host.activator(host.activation(GUNICORN, "r2")).look()
    assert outcome.changed
    assert "release r2 instead of r1" in outcome.what
    assert f"{GRANIAN.unit} stops" in outcome.what
    assert host.acted() == []
    assert host.current() == "r1"


def arriving(one, release, text):
    """Units that come with the activation."""
    return {one.unit: f"{text}\n", "serverbench-candidate.service": f"{text} {release}\n"}


def test_units_come_along_and_replace_what_was_staged(host):
    host.deploy(GRANIAN, "r1")
    wanted = host.activation(GRANIAN, "r1", staged=arriving(GRANIAN, "r1", "others"))
    before = host.units_on_disk()
    foreseen = host.activator(wanted).look()
    assert f"{host.places.unit_dir / GRANIAN.unit} changes" in foreseen.what
    (difference,) = foreseen.differences
    assert (difference.before, difference.after) == ("settings\n", "others\n")
    assert host.units_on_disk() == before
    assert (host.places.staged_dir / GRANIAN.unit).read_text() == "settings\n"
    outcome = host.activator(wanted).run()
    assert outcome == foreseen
    assert host.units_on_disk()[GRANIAN.unit] == "others\n"
    # Kept, for an activation that brings none: a new release, with --tags app.
    assert not host.activator(host.activation(GRANIAN, "r1")).run().changed


def test_a_unit_that_systemd_refuses_is_not_even_staged(host):
    host.deploy(GRANIAN, "r1")
    host.calls.clear()
    host.refused["oops"] = "Unknown key name 'Oops'"
    wanted = host.activation(GRANIAN, "r2", staged=arriving(GRANIAN, "r2", "oops"))
    with pytest.raises(ServerbenchError, match="failed to validate: Unknown key name 'Oops'"):
        host.activator(wanted).run()
    assert host.acted() == []
    assert host.current() == "r1"
    staged = {path.name: path.read_text() for path in host.places.staged_dir.iterdir()}
    assert staged["serverbench-candidate.service"] == "settings r1\n"
    assert staged[GRANIAN.unit] == "settings\n", "or the next, which brings none, has it serve"
    assert not [name for name in staged if "offered" in name]


def test_what_may_hold_a_secret_is_in_no_difference(host):
    host.deploy(GRANIAN, "r1")
    host.stage(GRANIAN, "r1", environment="A=hunter2\n")
    outcome = host.activator(host.activation(GRANIAN, "r1")).look()
    assert outcome.changed
    assert "hunter2" not in str(outcome)


def test_a_new_release_is_tried_beside_the_old_one_first(host):
    host.deploy(GRANIAN, "r1")
    host.deploy(GRANIAN, "r2")
    assert host.acted() == [*CANDIDATE, f"restart {GRANIAN.unit}", f"start {GRANIAN.unit}"]
    assert host.serving_release(GRANIAN.unit) == "r2"
    assert load_service(host.places.service_file).previous_release == "r1"


@pytest.mark.parametrize("knows", [True, False])
def test_systemd_reads_all_units_anew_only_where_it_does_not_know_the_candidate(host, knows):
    host.deploy(GRANIAN, "r1")
    host.knows_new_units = knows
    host.deploy(GRANIAN, "r2")
    assert host.calls.count("reload") == (0 if knows else 1)
    assert host.serving_release(GRANIAN.unit) == "r2"


def test_a_socket_stays_open_while_its_service_is_restarted(host):
    host.deploy(GUNICORN, "r1")
    host.deploy(GUNICORN, "r2")
    touched = [call for call in host.acted() if GUNICORN.socket_unit in call]
    assert touched == [f"start {GUNICORN.socket_unit} {GUNICORN.unit}"]
    assert f"restart {GUNICORN.unit}" in host.acted()
    assert host.serving_release(GUNICORN.unit) == "r2"


def test_a_release_that_answers_wrongly_never_serves(host):
    host.deploy(GRANIAN, "r1")
    host.broken.add("r2")
    outcome = host.deploy(GRANIAN, "r2", text="new settings")
    assert outcome.failed
    assert "release r2 under granian-wsgi: /h: status 500 instead of 200" in outcome.message
    assert f"nothing was changed: {GRANIAN.unit} serves release r1" in outcome.message
    assert outcome.journal == "last words of serverbench-candidate.service\n"
    assert host.acted() == CANDIDATE
    assert host.current() == "r1"
    assert host.units_on_disk() == {GRANIAN.unit: "settings\n"}
    assert list(host.places.runtime_unit_dir.glob("*.service")) == []


def test_what_fails_on_the_apps_own_port_is_put_back(host):
    host.deploy(GUNICORN, "r1")
    before = host.places.service_file.read_text()
    host.broken.add(("r2", "app"))
    outcome = host.deploy(GUNICORN, "r2", text="new settings", environment="A=2\n")
    assert outcome.failed
    assert f"all is as it was: {GUNICORN.unit} serves release r1" in outcome.message
    assert host.serving_release(GUNICORN.unit) == "r1"
    assert host.current() == "r1"
    assert host.units_on_disk()[GUNICORN.unit] == "settings\n"
    assert (host.places.settings_dir / "app.env").read_text() == "A=1\n"
    assert host.places.service_file.read_text() == before
    # The socket stayed open through both restarts.
    assert not [
        call for call in host.acted() if call.startswith("stop") and GUNICORN.socket_unit in call
    ]
    # And the next attempt is not taken for done.
    host.broken.clear()
    assert host.deploy(GUNICORN, "r2", text="new settings", environment="A=2\n").changed
    assert host.serving_release(GUNICORN.unit) == "r2"


@pytest.fixture
def more_to_answer(host):
    """r2 answers one endpoint more, and fails on the app's own port."""
    host.deploy(GRANIAN, "r1")
    host.unknown_to["r1"] = ["/v2"]
    host.broken.add(("r2", "app"))
    token = {"Authorization": "Bearer hunter2"}
    return (*host.activation(GRANIAN, "r1").endpoints, Endpoint("v2", "/v2", headers=token))


def test_what_serves_again_is_asked_what_it_was_asked_before(host, more_to_answer):
    before = host.places.proof_file.read_text()
    outcome = host.deploy(GRANIAN, "r2", endpoints=more_to_answer, port=9000)
    assert f"all is as it was: {GRANIAN.unit} serves release r1" in outcome.message
    assert not host.places.undo_file.exists()
    assert host.places.proof_file.read_text() == before
    # The next attempt leaves it alone until a candidate answers.
    host.broken.add("r2")
    host.deploy(GRANIAN, "r2", endpoints=more_to_answer)
    assert host.acted() == CANDIDATE


def test_what_is_asked_may_hold_a_secret_and_is_roots_alone(host, more_to_answer):
    host.broken.clear()
    host.deploy(GRANIAN, "r2", endpoints=more_to_answer)
    holding = [p for p in host.places.settings_dir.rglob("*.json") if "hunter2" in p.read_text()]
    assert holding == [host.places.proof_file]
    assert host.places.proof_file.stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_kit_activated_serves_again_with_one_right_answer(host, more_to_answer):
    host.places.proof_file.unlink()
    outcome = host.deploy(GRANIAN, "r2", endpoints=more_to_answer[::-1])
    assert f"all is as it was: {GRANIAN.unit} serves release r1" in outcome.message
    assert not host.places.undo_file.exists()


def test_a_record_of_an_earlier_kit_is_read(host, more_to_answer):
    host.kill_at = f"restart {GRANIAN.unit}"
    with pytest.raises(Killed):
        host.deploy(GRANIAN, "r2", endpoints=more_to_answer)
    record = json.loads(host.places.undo_file.read_text())
    del record["files"][str(host.places.proof_file)]
    host.places.undo_file.write_text(json.dumps(record))
    host.deploy(None, "r3", endpoints=more_to_answer)
    assert host.serving_release(GRANIAN.unit) == "r1"
    assert host.logged == []
    assert not host.places.undo_file.exists()


def test_what_serves_answers_for_later_with_what_it_is_asked_now(host, more_to_answer):
    host.unknown_to.clear()
    assert not host.deploy(GRANIAN, "r1", endpoints=more_to_answer).changed
    assert "/v2" in host.places.proof_file.read_text()
    host.deploy(GRANIAN, "r1", takes_over=False)
    assert "/v2" not in host.places.proof_file.read_text()
    # A release that was never asked answers for nothing.
    host.stop([GRANIAN.unit], 1)
    host.deploy(GRANIAN, "r3", takes_over=False)
    assert not host.places.proof_file.exists()


def test_another_variant_takes_over(host):
    host.deploy(GRANIAN, "r1")
    host.deploy(GUNICORN, "r1")
    assert host.serving() == (GUNICORN.unit, GUNICORN.socket_unit)
    assert host.enabled() == (GUNICORN.unit, GUNICORN.socket_unit)
    assert GRANIAN.unit in host.units_on_disk(), "the files of the others are left alone"


def test_another_variant_that_fails_gives_the_port_back(host):
    host.deploy(GRANIAN, "r1")
    host.broken.add(("r2", "app"))
    outcome = host.deploy(GUNICORN, "r2")
    assert outcome.failed
    assert host.serving() == (GRANIAN.unit,)
    assert host.enabled() == (GRANIAN.unit,)
    assert host.serving_release(GRANIAN.unit) == "r1"
    assert set(host.units_on_disk()) == {GRANIAN.unit}


def test_a_proxied_service_comes_and_goes_with_its_proxy(host):
    host.deploy(GRANIAN, "r1")
    host.deploy(BEHIND_NGINX, "r1")
    unit, socket, proxy = BEHIND_NGINX.unit, BEHIND_NGINX.socket_unit, BEHIND_NGINX.proxy_unit
    assert set(host.serving()) == set(host.enabled()) == {unit, socket, proxy}
    config = host.places.settings_dir / "proxy/uwsgi-wsgi-nginx.nginx"
    assert config.read_text() == "listen\n"
    assert config.stat().st_mode & 0o777 == 0o644, "the proxy's user reads it"
    assert not host.deploy(BEHIND_NGINX, "r1").changed
    host.deploy(GRANIAN, "r1")
    assert host.serving() == host.enabled() == (GRANIAN.unit,)


def test_a_proxy_stays_while_its_server_is_restarted(host):
    host.deploy(BEHIND_NGINX, "r1")
    host.deploy(BEHIND_NGINX, "r2")
    assert not [call for call in host.acted() if "stop" in call and "candidate" not in call]
    assert host.serving_release(BEHIND_NGINX.unit) == "r2"


def test_a_proxy_whose_settings_changed_is_started_anew_and_so_when_they_are_put_back(host):
    host.deploy(BEHIND_NGINX, "r1")
    proxy = BEHIND_NGINX.proxy_unit
    host.deploy(BEHIND_NGINX, "r1", proxy="other\n")
    assert host.processes[proxy][0] == "other\n"
    host.broken.add(("r2", "app"))
    outcome = host.deploy(BEHIND_NGINX, "r2", proxy="third\n")
    assert outcome.failed
    assert "all is as it was" in outcome.message
    assert host.processes[proxy][0] == "other\n"
    assert host.serving_release(BEHIND_NGINX.unit) == "r1"


@pytest.mark.parametrize("moment", ["restart", "start serverbench-gunicorn"])
def test_an_activation_that_was_killed_is_put_right_by_the_next(host, moment):
    first, second = (GUNICORN, GUNICORN) if moment == "restart" else (GRANIAN, GUNICORN)
    host.deploy(first, "r1")
    host.kill_at = moment
    with pytest.raises(Killed):
        host.deploy(second, "r2")
    assert host.current() == "r2", "it was killed half-way"
    host.broken.add("r3")
    outcome = host.deploy(second, "r3")
    assert outcome.failed
    assert host.current() == "r1"
    assert host.serving_release(first.unit) == "r1"
    assert first.unit in host.enabled()
    assert not host.places.undo_file.exists()


def test_a_candidate_that_was_left_is_removed(host):
    host.kill_at = "start serverbench-candidate"
    with pytest.raises(Killed):
        host.deploy(GRANIAN, "r1")
    # `finally` runs in this stand-in for a kill; make it as a real one leaves it.
    (host.places.runtime_unit_dir / "serverbench-candidate.service").write_text("old r0\n")
    assert not host.deploy(GRANIAN, "r1").failed
    assert list(host.places.runtime_unit_dir.glob("*.service")) == []


def test_new_settings_lead_to_a_new_process(host):
    host.deploy(GRANIAN, "r1")
    outcome = host.deploy(GRANIAN, "r1", environment="A=2\n")
    assert f"restart {GRANIAN.unit}" in host.acted()
    assert any("app.env" in line for line in outcome.what)
    (host.places.settings_dir / "secret.env").write_text("KEY=2\n")
    outcome = host.deploy(GRANIAN, "r1", environment="A=2\n")
    assert outcome.what == ("the secrets have changed",)
    assert f"restart {GRANIAN.unit}" in host.acted()
    assert not host.deploy(GRANIAN, "r1", environment="A=2\n").changed
    digest = host.places.environment_digest_file
    assert digest.stat().st_mode & 0o077 == 0


def test_a_service_that_answers_wrongly_is_tried_anew(host):
    host.deploy(GRANIAN, "r1")
    host.broken.add("r1")
    outcome = host.deploy(GRANIAN, "r1")
    assert outcome.failed
    assert host.serving_release(GRANIAN.unit) == "r1"


def test_a_service_that_systemd_restarted_a_week_ago_is_left_alone(host):
    host.deploy(GRANIAN, "r1")
    host.restarts[GRANIAN.unit] = 1
    outcome = host.deploy(GRANIAN, "r1")
    assert (outcome.changed, outcome.what) == (False, ())
    assert host.acted() == []


def test_a_service_that_is_restarted_while_it_is_asked_is_tried_anew(host):
    host.deploy(GRANIAN, "r1")
    host.restarts[GRANIAN.unit] = 1
    host.crashes_when_asked = True
    outcome = host.deploy(GRANIAN, "r1")
    assert "it ended and systemd restarted it 1 times" in outcome.what[0]
    assert f"restart {GRANIAN.unit}" in host.acted()


def test_a_bench_changes_the_release_through_the_gate_and_starts_nothing_that_was_stopped(host):
    host.deploy(GRANIAN, "r1")
    host.deploy(GRANIAN, "r2", takes_over=False)
    assert host.acted()[:2] == CANDIDATE
    assert host.serving_release(GRANIAN.unit) == "r2"
    host.stop([GRANIAN.unit], 1)
    assert not host.deploy(GRANIAN, "r2", takes_over=False).changed
    assert host.deploy(GRANIAN, "r3", takes_over=False).changed
    assert host.current() == "r3"
    assert host.serving() == ()


def test_a_bench_leaves_alone_what_was_started_by_hand(host):
    host.deploy(GUNICORN, "r1")
    host.processes["serverbench-uvicorn-asgi.service"] = ("x", "r1")
    host.broken.add(("r1", "app"))  # Whoever answers there is not asked.
    host.deploy(GUNICORN, "r1", takes_over=False)
    assert "serverbench-uvicorn-asgi.service" in host.serving()


def test_without_a_service_only_the_link_moves(host):
    assert host.deploy(None, "r1").changed
    assert host.current() == "r1"
    assert host.acted() == []
    assert not host.places.service_file.exists()
    assert not host.deploy(None, "r1").changed


def test_a_release_that_is_not_there_is_named_with_those_that_are(host):
    host.deploy(GRANIAN, "r1")
    (host.places.root_dir / "releases/half").mkdir()
    for missing in ("r9", "half"):
        with pytest.raises(ServerbenchError, match=f"app_release: got '{missing}'.*r1, r2, r3"):
            host.deploy(GRANIAN, missing)
    assert host.current() == "r1"


def test_old_releases_go_with_the_environments_that_none_uses(host):
    host.install("r4", "r5")
    host.deploy(GRANIAN, "r1")
    host.deploy(GRANIAN, "r5")  # r1 is the former one: the oldest, and yet it stays.
    left = {path.name for path in (host.places.root_dir / "releases").iterdir()}
    assert left == {"r1", "r4", "r5"}
    venvs = {path.name for path in (host.places.root_dir / "venvs").iterdir()}
    assert venvs == {"v-r1", "v-r4", "v-r5"}


def test_going_back_is_an_activation_like_any_other(host):
    host.deploy(GRANIAN, "r1")
    host.deploy(GRANIAN, "r2")
    host.deploy(GRANIAN, "r1")
    assert host.serving_release(GRANIAN.unit) == "r1"
    assert load_service(host.places.service_file).previous_release == "r2"


def test_a_taken_port_is_named_and_nothing_changes(host):
    host.strangers[CANDIDATE_PORT] = "pid 7 (nc -l 9874)"
    with pytest.raises(ServerbenchError, match=r"service_candidate_port: got 9874.*pid 7"):
        host.deploy(GRANIAN, "r1")
    assert not (host.places.root_dir / "current").exists()


@pytest.mark.parametrize("one", [GRANIAN, GUNICORN])
def test_another_program_on_the_apps_port_is_not_taken_for_the_service(host, one):
    host.strangers[PORT] = "pid 7 (docker-proxy)"
    outcome = host.deploy(one, "r1")
    assert outcome.failed
    assert "port 9875 is taken by pid 7 (docker-proxy), which is not part of" in outcome.message
    assert "end it (systemctl status with its pid says what it is), deploy again" in outcome.message
    assert outcome.message.endswith("all is as it was: nothing serves, and release none is current")
    assert host.acted()[2:] == []
    assert not host.places.service_file.exists()
    host.strangers.clear()
    assert host.deploy(one, "r1").changed


@pytest.mark.parametrize("port", [PORT, PROXY_PORT])
def test_behind_a_proxy_both_ports_have_to_be_free_and_what_ran_before_comes_back(host, port):
    host.deploy(GUNICORN, "r1")
    before = host.serving()
    host.strangers[port] = "pid 7 (x)"
    outcome = host.deploy(BEHIND_NGINX, "r2")
    assert f"port {port} is taken by pid 7 (x)" in outcome.message
    assert f"all is as it was: {GUNICORN.unit} serves release r1" in outcome.message
    assert host.serving() == host.enabled() == before


def test_a_server_on_a_unix_socket_needs_the_port_of_its_proxy_alone(host):
    host.strangers[PORT] = "pid 7 (docker-proxy)"
    hidden = variant("granian-wsgi-nginx", proxy="nginx", knobs={"upstream": "unix"})
    assert host.deploy(hidden, "r1").changed
    assert host.deploy(hidden, "r2").changed


def test_a_service_that_lost_its_port_to_another_program_does_not_serve_by_it(host):
    host.deploy(GRANIAN, "r1")
    host.strangers[PORT] = "pid 7 (python3 manage.py runserver 9875)"
    outcome = host.deploy(GRANIAN, "r2")
    assert "port 9875 is taken by pid 7" in outcome.message
    assert host.current() == "r1"


def test_a_port_that_is_just_being_given_back_is_waited_for(host, monkeypatch):
    host.strangers[PORT] = "pid 7 (the former server)"
    monkeypatch.setattr(host, "sleep", lambda _s: host.strangers.clear())
    assert host.deploy(GRANIAN, "r1").changed


def test_a_server_that_gave_its_socket_up(host):
    daphne = variant("daphne-asgi", socket=True)
    host.deploy(daphne, "r1")
    alone = variant("daphne-asgi")
    host.deploy(alone, "r1", text="one process")
    assert host.serving() == (alone.unit,)
    assert set(host.units_on_disk()) == {alone.unit}
    assert host.enabled() == (alone.unit,)


def test_what_a_run_remembers_is_forgotten_once_something_else_shall_serve(host):
    run = host.places.runs_dir / "run-1"
    run.mkdir()
    (run / "restore.json").write_text(json.dumps({"active": [GUNICORN.unit]}))
    host.deploy(GRANIAN, "r1")
    assert not (run / "restore.json").exists()


def test_a_record_that_cannot_be_read_stops_everything(host):
    host.places.undo_file.write_text("{")
    with pytest.raises(ServerbenchError, match=r"undo\.json.*did not end"):
        host.deploy(GRANIAN, "r1")
