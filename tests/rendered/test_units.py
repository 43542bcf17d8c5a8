"""Every server, interface and profile, rendered and checked by systemd itself."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.plugins.loader import filter_loader
from render import group_vars, render, unit_files

from collect.decode import encode
from collect.variants import KNOBS, expand_variants

VARS = group_vars()
PROFILES = sorted(VARS["server_profiles"])
ALL_PAIRS = VARS["bench_matrix_all_pairs"]
EXECUTABLES = ("uwsgi", "gunicorn", "granian", "uvicorn", "daphne", "hypercorn", "bash")


def every_pair():
    return [
        {"server": server, "interface": interface}
        for server, entry in VARS["server_catalogue"].items()
        for interface in entry["interfaces"]
    ]


def variants(profile, matrix=None, **knobs):
    profiles = {name: {**value} for name, value in VARS["server_profiles"].items()}
    if knobs:
        profiles[profile]["servers"] = {}
        profiles[profile]["knobs"] = profiles[profile]["knobs"] | knobs
    expanded = expand_variants(
        every_pair() if matrix is None else matrix, VARS["server_catalogue"], profiles, [profile], 2
    )
    return {variant.id: encode(variant) for variant in expanded}


def command_line(variant, **more):
    (text,) = [t for name, t in unit_files(variant, **more).items() if name.endswith(".service")]
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def test_a_number_that_was_handed_over_as_text_is_a_number():
    variant = variants("parity")["granian-wsgi"]
    (text,) = unit_files(variant, server_drain_s="5").values()
    assert "TimeoutStopSec=10\n" in text


@pytest.fixture
def home(tmp_path):
    """A release folder with an empty executable for each server, since systemd looks for it."""
    folder = tmp_path / "release/.venv/bin"
    folder.mkdir(parents=True)
    for name in EXECUTABLES:
        (folder / name).touch(mode=0o755)
    return tmp_path / "release"


def verify(folder, names):
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is missing: apt install systemd"
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", *names],
        cwd=folder,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [line for line in done.stderr.splitlines() if "serverbench-" in line]


BINDS = {"tcp": "127.0.0.1:9875", "unix": "unix:/run/serverbench/x/server.sock"}


@pytest.mark.parametrize("bind", BINDS)
@pytest.mark.parametrize("profile", PROFILES)
def test_systemd_has_no_complaint(profile, bind, home, tmp_path):
    names = []
    for kept in (False, True):
        for variant in variants(profile, ALL_PAIRS, socket=kept).values():
            files = unit_files(variant, server_home_dir=str(home), server_bind=BINDS[bind])
            for name, text in files.items():
                path = tmp_path / str(kept) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
                names.append(str(path))
    assert len(names) >= 3 * len(ALL_PAIRS) - 4
    assert verify(tmp_path, names) == []


def test_all_pairs_hold_every_interface_of_every_server():
    assert {(p["server"], p["interface"]) for p in ALL_PAIRS} == {
        (p["server"], p["interface"]) for p in every_pair()
    }


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("bind", BINDS)
def test_every_pair_listens_where_it_is_told(bind, kept):
    for variant in variants("parity", ALL_PAIRS, socket=kept).values():
        files = unit_files(variant, server_bind=BINDS[bind])
        (service,) = [text for name, text in files.items() if name.endswith(".service")]
        sockets = [text for name, text in files.items() if name.endswith(".socket")]
        if variant["knobs"]["socket"]:
            (unit,) = sockets
            assert f"ListenStream={BINDS[bind].removeprefix('unix:')}\n" in unit
            # The address is systemd's business then, and so is the folder.
            assert BINDS[bind] not in service
            assert "RuntimeDirectory=" not in service
        else:
            assert not sockets
            words = "server.sock" if bind == "unix" else "9875"
            assert words in service
            assert ("\nRuntimeDirectory=serverbench/x\n" in service) == (bind == "unix")


def test_uwsgi_speaks_its_own_protocol_where_a_proxy_does():
    (variant,) = variants("parity", [{"server": "uwsgi", "interface": "wsgi"}]).values()
    line = " ".join(command_line(variant, server_bind=BINDS["unix"], server_protocol="uwsgi"))
    assert "--socket=/run/serverbench/x/server.sock --chmod-socket=660" in line
    assert "--http" not in line


def test_unix_sockets_are_asked_for_in_the_words_each_server_knows():
    # Seen on a host: 660 without 0o is decimal to Granian, and Daphne's --fd knows TCP alone.
    (granian,) = variants("parity", [{"server": "granian", "interface": "wsgi"}]).values()
    assert "--uds-permissions=0o660" in command_line(granian, server_bind=BINDS["unix"])
    (daphne,) = variants("parity", [{"server": "daphne", "interface": "asgi"}]).values()
    line = command_line(daphne, server_bind=BINDS["unix"])
    assert "--endpoint=systemd:domain=UNIX:index=0" in line
    assert any("LISTEN_PID=$$BASHPID" in word for word in line)


def test_gunicorn_runs_the_worker_that_the_label_names():
    lines = {i: " ".join(command_line(v)) for i, v in variants("parity", ALL_PAIRS).items()}
    classes = {
        "gunicorn-wsgi": "gthread",
        "gunicorn-wsgi-sync": "sync",
        "gunicorn-asgi": "asgi",
        "gunicorn-asgi-uvicorn-worker": "uvicorn_worker.UvicornWorker",
    }
    for variant, worker in classes.items():
        assert f"--worker-class={worker} " in lines[variant]


@pytest.mark.parametrize("server", VARS["server_catalogue"])
def test_what_loses_requests_is_stopped_in_order_on_a_kept_socket_alone(server):
    needs_it = {"uvicorn", "daphne", "hypercorn", "gunicorn"}
    for interface in VARS["server_catalogue"][server]["interfaces"]:
        pair = [{"server": server, "interface": interface}]
        for kept in (False, True):
            (variant,) = variants("parity", pair, workers=1, socket=kept).values()
            texts = "".join(unit_files(variant).values())
            needed = kept and server in needs_it and (server, interface) != ("gunicorn", "wsgi")
            assert ("ExecStop=" in texts) == needed
            assert ("PYTHONPATH=" in texts) == needed


def test_the_check_itself_sees_a_wrong_key(home, tmp_path):
    variant = variants("parity")["granian-wsgi"]
    ((name, text),) = unit_files(variant, server_home_dir=str(home)).items()
    (tmp_path / name).write_text(text.replace("NoNewPrivileges=", "NoNewPriviledges="))
    assert any("NoNewPriviledges" in line for line in verify(tmp_path, [str(tmp_path / name)]))


@pytest.mark.parametrize("profile", PROFILES)
def test_units_run_unprivileged_and_on_loopback(profile):
    for variant in variants(profile).values():
        for name, text in unit_files(variant).items():
            if name.endswith(".service"):
                assert "\nUser=serverbench\n" in text
                assert "\nProtectSystem=strict\n" in text
            else:
                assert "ListenStream=127.0.0.1:9875" in text


def test_the_study_is_what_its_author_ran():
    study = VARS["server_profiles"]["study"]
    lines = {
        i.removesuffix("-study"): " ".join(command_line(v))
        for i, v in variants("study", study["matrix"]).items()
    }
    assert sorted(lines) == [
        "daphne-asgi",
        "granian-asgi",
        "gunicorn-wsgi",
        "hypercorn-asgi",
        "uvicorn-asgi",
        "uwsgi-wsgi",
    ]
    assert "--http-socket=127.0.0.1:9875" in lines["uwsgi-wsgi"]
    assert "--master" in lines["uwsgi-wsgi"]
    assert "--processes=4 " in lines["uwsgi-wsgi"]
    assert "--threads=2" in lines["uwsgi-wsgi"]
    assert "--workers=4 --worker-class=sync" in lines["gunicorn-wsgi"]
    assert "--preload" not in lines["gunicorn-wsgi"]
    assert "--workers=1" in lines["granian-asgi"]
    assert "bash" not in lines["daphne-asgi"]
    assert "--workers=4" in lines["uvicorn-asgi"]
    assert "--workers=4" in lines["hypercorn-asgi"]
    assert not [line for line in lines.values() if "backlog" in line or "--listen" in line]


def test_parity_gives_everyone_the_same_budget():
    every = variants("parity")
    assert {variant["workers"] for variant in every.values()} == {2}
    lines = {i: " ".join(command_line(v)) for i, v in every.items()}
    assert "--http=127.0.0.1:9875" in lines["uwsgi-wsgi"]
    assert "--worker-class=gthread" in lines["gunicorn-wsgi"]
    assert "--blocking-threads=1" in lines["granian-wsgi"]
    assert "--blocking-threads" not in lines["granian-asgi"]
    assert "i < 2" in lines["daphne-asgi"]
    assert "--fd=3" in lines["daphne-asgi"]


# What each knob changes on each command line: a knob that is "used" but changes nothing would
# be a flattering lie in the report.
CHANGES = {
    "workers": (1, 3),
    "worker_class": (None, "uvicorn"),
    "threads": (None, 7),
    "backlog": (None, 333),
    "backpressure": (None, 99),
    "keepalive_s": (9, 0),
    "preload": (False, True),
    "loop": ("uvloop", "asyncio"),
    "access_log": (False, True),
    "socket": (False, True),
}


@pytest.mark.parametrize("knob", CHANGES)
@pytest.mark.parametrize("server", VARS["server_catalogue"])
def test_a_knob_changes_the_units_or_is_listed_as_not_honoured(server, knob):
    entry = VARS["server_catalogue"][server]
    for interface in entry["interfaces"]:
        lines = []
        for setting in CHANGES[knob]:
            (variant,) = variants(
                "parity", [{"server": server, "interface": interface}], workers=1, socket=False
            ).values()
            # Past the plan, which asks nothing of a server that it cannot honour.
            variant["knobs"] = variant["knobs"] | {knob: setting}
            lines.append(command_line(variant))
        where = f"{server} over {interface}"
        if knob in entry["not_honoured"].get(interface, []):
            assert lines[0] == lines[1], f"{where} lists {knob} as not honoured, yet it matters"
        else:
            assert lines[0] != lines[1], f"{where} neither uses {knob} nor lists it"


def test_the_least_that_a_server_takes_is_its_own():
    least = VARS["server_catalogue"]["granian"]["least"]["backlog"]
    granian = Path(sys.executable).with_name("granian")
    refused = subprocess.run(
        [granian, f"--backlog={least - 1}", "nothing:app"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{least - 1} is not in the range x>={least}" in refused.stderr


def test_every_knob_is_tried():
    by_the_shared_template = {"application", "cpu_set", "environment", "extra_arguments"}
    # Where a server binds: playbooks/group_vars/all/proxy.yml, and test_proxy_files.py.
    by_the_playbook = {"upstream"}
    assert set(CHANGES) | by_the_shared_template | by_the_playbook == set(KNOBS)


def test_nasty_values_reach_the_server_unharmed():
    (variant,) = variants("parity", [{"server": "granian", "interface": "wsgi"}]).values()
    nasty = ["--name=a b", 'quo"te', "back\\slash", "100%", "$HOME ${x}", "semi;colon"]
    variant["knobs"] = variant["knobs"] | {
        "extra_arguments": nasty,
        "environment": {"GREETING": 'a "b" %h $c \\d'},
    }
    ((_, text),) = unit_files(variant).items()
    assert '"--name=a b" "quo\\"te" "back\\\\slash" 100%% "$$HOME $${x}" "semi;colon"' in text
    assert 'Environment="GREETING=a \\"b\\" %%h $c \\\\d"' in text


def test_a_line_break_cannot_smuggle_a_setting_in():
    (variant,) = variants("parity", [{"server": "granian", "interface": "wsgi"}]).values()
    variant["knobs"] = variant["knobs"] | {"environment": {"A": "1\nExecStartPre=/bin/true"}}
    with pytest.raises(Exception, match="line break"):
        unit_files(variant)


def test_a_secret_that_cannot_be_quoted_is_in_no_message():
    for name in ("systemd_quote", "systemd_quote_environment_file", "systemd_quote_exec"):
        quote = filter_loader.get(name).j2_function
        with pytest.raises(Exception, match="cannot hold") as caught:
            quote("canary\0")
        assert "canary" not in str(caught.value)


def test_an_environment_file_keeps_lines_and_quotes():
    variables = {
        "ansible_managed": "x",
        "__app_environment": {"KEY": 'one "1"\n\\two $x %y\n', "NUMBER": 5, "EMPTY": ""},
    }
    text = render("app", "app.env.j2", variables)
    assert 'KEY="one \\"1\\"\n\\\\two $x %y\n"\n' in text
    assert "NUMBER=5\n" in text
    assert 'EMPTY=""\n' in text


def test_systemd_takes_a_unit_full_of_nasty_values(home, tmp_path):
    values = [
        "100% %h %n", "$HOME ${x} $$", "\"both\" 'kinds'", "back\\slash\\", "  spaces  ",
        "tab\there",
        "# no comment", "; | & < > * ?", "größe \u202e \N{ROCKET}", "", "\x1b[31m\x7f",
    ]  # fmt: skip
    for server in VARS["server_catalogue"]:
        pair = {"server": server, "interface": VARS["server_catalogue"][server]["interfaces"][0]}
        (variant,) = variants("parity", [pair]).values()
        variant["knobs"] = variant["knobs"] | {
            "extra_arguments": values,
            "environment": {f"NAME_{index}": value for index, value in enumerate(values)},
        }
        for name, text in unit_files(variant, server_home_dir=str(home)).items():
            (tmp_path / name).write_text(text)
    names = [str(path) for path in tmp_path.glob("serverbench-*")]
    assert len(names) >= 6
    assert verify(tmp_path, names) == []
