"""A host in a temporary folder: real files and links, a stand-in for systemd and the server."""

from __future__ import annotations

import io
import os
from dataclasses import replace

from collect.activation import Activation, Installation
from collect.model import Endpoint, Expectation, Variant
from collect.runner.seams import Answer, NoAnswerError, UnitState
from collect.service.activate import Activator
from collect.service.host import CANDIDATE, Host, Places

PORT, CANDIDATE_PORT, PROXY_PORT = 9875, 9874, 9878


def variant(name, *, socket=False, proxy="none", **more):
    if proxy != "none":
        more |= {"proxy_unit": f"serverbench-{name}-proxy.service", "port": PROXY_PORT}
    return Variant(
        id=name,
        server=name.split("-")[0],
        interface="wsgi",
        proxy=proxy,
        profile="parity",
        unit=f"serverbench-{name}.service",
        socket_unit=f"serverbench-{name}.socket" if socket else None,
        workers=2,
        **more,
    )


def installation(folder, **changes):
    """A release that is to be unpacked and prepared below the folder."""
    wanted = Installation(
        unpack=True,
        release_dir=str(folder / "release"),
        root="",
        venv_dir=str(folder / "venv"),
        stamp=str(folder / "release/.complete-1"),
        python="python3",
        requirements="pyproject.toml",
        index_url="",
        cache_dir=str(folder / "cache"),
        generated_file=str(folder / "secret.env"),
        generated=("KEY",),
        setup=("touch", str(folder / ".setup-1")),
        setup_stamp=str(folder / ".setup-1"),
    )
    return replace(wanted, **changes)


class Killed(BaseException):
    """The tool is killed at this very moment."""


class FakeHost:
    """A unit's process knows which release and which settings it was started with."""

    def __init__(self, root):
        self.places = Places(
            root_dir=root / "opt",
            settings_dir=root / "etc",
            unit_dir=root / "units",
            runtime_unit_dir=root / "run",
            runs_dir=root / "runs",
        )
        for folder in (
            self.places.root_dir / "releases",
            self.places.root_dir / "venvs",
            self.places.staged_dir,
            self.places.settings_dir / "proxy",
            self.places.unit_dir,
            self.places.runtime_unit_dir,
            self.places.runs_dir,
        ):
            folder.mkdir(parents=True)
        (self.places.settings_dir / "secret.env").write_text("KEY=1\n")
        self.now = 1000.0
        self.calls = []
        self.logged = []
        self.boot = set()
        self.processes = {}
        """Unit file text and release of each unit that runs."""
        self.broken = set()
        """Releases that answer wrongly, by themselves or where named as (release, "app")."""
        self.unknown_to = {}
        """Paths that the app has not got yet, by release."""
        self.refused = {}
        """What systemd says against unit files, by a text that they hold."""
        self.restarts = {}
        """How often systemd has restarted a unit since it was started."""
        self.crashes_when_asked = False
        self.strangers = {}
        """Other programs, by the port that they listen on. They answer as the app does."""
        self.kill_at = None
        self.ages = 0
        self.archive = b""
        self.knows_new_units = True
        """systemd finds a new unit by itself; an old one it has to be told about."""

    # Setting the scene
    def install(self, *releases):
        for name in releases:
            folder = self.places.root_dir / "releases" / name
            folder.mkdir()
            (folder / f".complete-v-{name}").touch()
            venv = self.places.root_dir / "venvs" / f"v-{name}"
            venv.mkdir()
            (venv / ".complete").touch()
            # Where the project lies deeper in its release, so does the link.
            (folder / "backend").mkdir()
            (folder / "backend/.venv").symlink_to(venv)
            self.ages += 1
            os.utime(folder, (self.ages, self.ages))

    def stage(self, one, release, text="settings", environment="A=1\n", proxy="listen\n"):
        staged = self.places.staged_dir
        (staged / "app.env").write_text(environment)
        (staged / "app.env").chmod(0o600)
        if one is None:
            return
        (staged / one.unit).write_text(f"{text}\n")
        (staged / f"{CANDIDATE}.service").write_text(f"{text} {release}\n")
        if one.socket_unit:
            (staged / one.socket_unit).write_text("socket\n")
            (staged / f"{CANDIDATE}.socket").write_text("candidate's socket\n")
        if one.proxy_unit:
            (staged / one.proxy_unit).write_text("proxy\n")
            (staged / self.places.proxy_config(one).name).write_text(proxy)

    def activation(self, one, release, **changes):
        wanted = Activation(
            release=release,
            releases_kept=3,
            service=one,
            takes_over=one is not None,
            endpoints=(Endpoint("health", "/h", expect=Expectation(json_subset={"status": "ok"})),),
            address="127.0.0.1",
            port=PORT,
            candidate_port=CANDIDATE_PORT,
            ready_timeout_s=10.0,
            stop_timeout_s=5.0,
        )
        return replace(wanted, **changes)

    def activator(self, wanted):
        host = Host(
            self.places,
            self,
            self,
            lambda _address, port: Door(self, port),
            self.logged.append,
            io.BytesIO(self.archive),
        )
        return Activator(wanted, host)

    def deploy(
        self, one, release, *, text="settings", environment="A=1\n", proxy="listen\n", **changes
    ):
        self.stage(one, release, text, environment, proxy)
        self.calls.clear()
        return self.activator(self.activation(one, release, **changes)).run()

    # What a test looks at
    def current(self):
        return (self.places.root_dir / "current").resolve().name

    def serving_release(self, unit):
        return self.processes[unit][1]

    def units_on_disk(self):
        return {p.name: p.read_text() for p in self.places.unit_dir.iterdir()}

    def acted(self):
        return [call for call in self.calls if not call.startswith(("reload", "journal"))]

    # Clock
    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    # Units
    def _act(self, call):
        self.calls.append(call)
        if self.kill_at and self.kill_at in call:
            self.kill_at = None
            raise Killed

    def _begin(self, unit):
        folder = (
            self.places.runtime_unit_dir if unit.startswith(CANDIDATE) else self.places.unit_dir
        )
        text = (folder / unit).read_text()
        if unit.endswith("-proxy.service"):
            config = unit.removeprefix("serverbench-").removesuffix("-proxy.service")
            text = (self.places.settings_dir / f"proxy/{config}.nginx").read_text()
        release = text.split()[-1] if unit == f"{CANDIDATE}.service" else self.current()
        self.processes[unit] = (text, release)
        self.restarts[unit] = 0

    def stop(self, units, _timeout_s):
        self._act(f"stop {' '.join(units)}")
        for unit in units:
            self.processes.pop(unit, None)

    def start(self, units):
        self._act(f"start {' '.join(units)}")
        for unit in units:
            if unit not in self.processes:
                self._begin(unit)

    def restart(self, unit, _timeout_s):
        self._act(f"restart {unit}")
        self._begin(unit)

    def verify(self, path, _unit):
        text = path.read_text()
        return next((said for words, said in self.refused.items() if words in text), None)

    def has_read(self, _units, _drop_in):
        return self.knows_new_units

    def reload(self):
        self._act("reload")

    def enable(self, units):
        self._act(f"enable {' '.join(units)}")
        self.boot |= set(units)

    def disable(self, units):
        self._act(f"disable {' '.join(units)}")
        self.boot -= set(units)

    def enabled(self):
        return tuple(sorted(self.boot))

    def serving(self):
        return tuple(sorted(u for u in self.processes if not u.startswith(CANDIDATE)))

    def active(self, units):
        return tuple(unit for unit in units if unit in self.processes)

    def state(self, unit):
        active = "active" if unit in self.processes else "failed"
        restarts = self.restarts.get(unit, 0)
        return UnitState(active, "sub", "success", 1, restarts, None, False, {"Id": unit})

    def listener(self, port):
        """The unit that holds the port: the socket where there is one."""
        running = [unit for unit in self.processes if not unit.startswith(CANDIDATE)]
        proxies = [unit for unit in running if "-proxy" in unit]
        servers = sorted((u for u in running if u not in proxies), key=lambda u: u[-6:] != "socket")
        return next(iter({PORT: servers, PROXY_PORT: proxies}.get(port, ())), None)

    def is_shutting_down(self):
        return False

    def journal(self, unit, _since_s):
        self.calls.append(f"journal {unit}")
        return f"last words of {unit}\n"


class Door:
    def __init__(self, host, port):
        self.host = host
        self.port = port

    def ask(self, endpoint, timeout_s):
        host = self.host
        if self.port in host.strangers:
            return Answer(200, b'{"status": "ok"}')
        if self.port == CANDIDATE_PORT:
            running = [p for u, p in host.processes.items() if u == f"{CANDIDATE}.service"]
        else:
            running = [
                p
                for u, p in host.processes.items()
                if u.endswith(".service") and not u.startswith(CANDIDATE) and "-proxy" not in u
            ]
        if self.port == PROXY_PORT and not any("-proxy" in unit for unit in host.processes):
            running = []
        if not running:
            host.now += timeout_s
            raise NoAnswerError("Connection refused")
        (_, release), *_ = running
        if host.crashes_when_asked:
            host.crashes_when_asked = False
            host.restarts = {unit: count + 1 for unit, count in host.restarts.items()}
        where = "candidate" if self.port == CANDIDATE_PORT else "app"
        if endpoint.path in host.unknown_to.get(release, ()):
            return Answer(404, b"")
        wrong = release in host.broken or (release, where) in host.broken
        return Answer(500 if wrong else 200, b'{"status": "ok"}')

    def port_owner(self, own=None):
        if stranger := self.host.strangers.get(self.port):
            return stranger
        unit = self.host.listener(self.port)
        is_own = own is not None and own.properties["Id"] == unit
        return None if unit is None or is_own else f"pid 1 ({unit})"
