"""One lab host: how what it is becomes what is asked for, whichever its kind."""

from __future__ import annotations

import ipaddress
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import inherit, keys, network, ssh
from .command import LabError, Steps, delete_tree, locked, mounts_below, run, wait_until
from .container import Container
from .layers import Layers
from .records import RUN_DIR, Layer, Record, Wanted
from .supervisor import PARENT, Supervisor, supervisor_for
from .vm import VirtualMachine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .computer import Computer

# Long enough for another run's base build, start and all.
_HOST_LOCK_TIMEOUT_S = 1500
_SYSTEM_LOCK_TIMEOUT_S = 60
_APPEAR_TIMEOUT_S = 5
_CONSOLE_LINES = 15
_KINDS: dict[str, type[Computer]] = {kind.kind: kind for kind in (Container, VirtualMachine)}


class LabHost:
    """A lab host, running or not."""

    def __init__(self, wanted: Wanted, steps: Steps) -> None:
        """Look at one host; nothing is changed yet."""
        self.wanted = wanted
        self.steps = steps
        self.console = wanted.folder / "console.log"
        self.supervisor: Supervisor = supervisor_for(wanted.name)
        self.keys = keys.ClientKeys(wanted.ssh_dir, wanted.owner)
        self.network = network.Network(
            wanted.bridge, ipaddress.IPv4Network(wanted.subnet), RUN_DIR / "network.json"
        )
        self.layers = Layers(wanted, steps)
        self.computer = self._computer(wanted.kind)
        self._check_address()

    # -- states ---------------------------------------------------------------------------------

    def present(self) -> None:
        """Have the host up and as asked; nothing happens when it is."""
        with self._mine():
            self._refuse_to_lose_files()
            if self._is_up():
                if self._is_as_asked():
                    return
                self._stop()
            else:
                self._clear()
            self._start()

    def absent(self) -> None:
        """Have the host down, with nothing of it left but its files."""
        with self._mine():
            self._stop()
            self._leave()

    def reset(self) -> None:
        """Start the host over: from the bare base, or from a saved layer."""
        with self._mine():
            layer = self.layers.find() if self.wanted.layer else None
            self._stop(files_matter=False)
            self._forget_files()
            self._start(layer)

    def saved(self) -> None:
        """Keep what is on the host now as a layer that resets can start from."""
        if not self.wanted.layer:
            raise LabError("lab_host_state is saved, and lab_host_layer names no layer to save as")
        with self._mine():
            record = self._record()
            if record is None:
                raise LabError(f"{self.wanted.name} was never up, so there is nothing to save")
            self._refuse_to_lose_files()
            self._stop()
            layer = None
            if self.steps.take(f"Save the layer {self.wanted.layer}"):
                with self._system():
                    layer = self.layers.save(record, self.computer.freeze)
            self._start(layer)

    def purged(self) -> None:
        """Have nothing of the host left at all; with the last host, no base either."""
        with self._mine():
            self._stop(files_matter=False)
            self._leave()
            if self.wanted.folder.exists() and self.steps.take(f"Delete {self.wanted.folder}"):
                delete_tree(self.wanted.folder)
            with self._system():
                self.keys.forget(self.wanted.name, self.steps)
                self.layers.drop_own()
                hosts = self.wanted.folder.parent
                if not hosts.is_dir() or not any(hosts.iterdir()):
                    for folder in (self.wanted.layers, self.wanted.bases):
                        if folder.exists() and self.steps.take(f"Delete {folder}"):
                            delete_tree(folder)
                self.layers.collect_garbage()

    # -- looking --------------------------------------------------------------------------------

    def _computer(self, kind: str) -> Computer:
        return _KINDS[kind](self.wanted, self.network, self.steps)

    def _check_address(self) -> None:
        address = ipaddress.IPv4Address(self.wanted.address)
        usable = address in self.network.subnet and address not in (
            self.network.gateway,
            self.network.subnet.network_address,
            self.network.subnet.broadcast_address,
        )
        if not usable:
            raise LabError(
                f"lab_host_address {address} of {self.wanted.name} is not a free address in "
                f"lab_host_subnet {self.network.subnet} ({self.network.gateway} is this machine)"
            )

    def _record(self) -> Record | None:
        return Record.read(self.wanted.folder / "host.json")

    def _refuse_to_lose_files(self) -> None:
        """Compare what the host's files are of with what is asked for.

        Raises:
            LabError: another release, or another kind of host.
        """
        record = self._record()
        if record is None or not self._computer(record.kind).has_files():
            return
        for variable, have, asked in (
            ("lab_host_release", record.release, self.wanted.release),
            ("lab_host_kind", record.kind, self.wanted.kind),
        ):
            if have != asked:
                raise LabError(
                    f"{self.wanted.name} is a {have} host and {variable} asks for {asked}, which "
                    f"would cost all that is on it; to have that, run `make lab-reset` "
                    f"(lab_host_state=reset) with the same variables"
                )

    def _is_up(self) -> bool:
        return (
            self._record() is not None
            and self.supervisor.leader() is not None
            and self.computer.is_assembled()
        )

    def _is_as_asked(self) -> bool:
        """Tell whether a running host is what is wanted, once what may be set is set."""
        record = self._record()
        there = record and (record.address, record.subnet, record.bridge)
        if there != (self.wanted.address, self.wanted.subnet, self.wanted.bridge):
            return False
        if not self.network.exists() or self.network.ports() == []:
            return False
        with self._system():
            self.network.ensure(self.steps)
            self._ensure_keys()
        if not ssh.answers_within(self.wanted.address, self.computer.answer_timeout_s):
            return False
        self._match_mtu()
        limits = self.computer.limits
        if self.supervisor.limits() != limits and self.steps.take(
            f"Set the limits: CPUs {limits.cpu_list}, {self.wanted.memory_bytes} bytes"
        ):
            if not self.computer.resize(self.supervisor):
                return False
            self._check_limits()
        public = self.keys.public.read_text() if self.keys.public.is_file() else ""
        if not self.computer.lets_in(public) and self.steps.take(
            f"Let the key {self.keys.private} in"
        ):
            return self.computer.let_in(public)
        return True

    def _check_limits(self) -> None:
        """Trust nothing: the limits are those the kernel says.

        Raises:
            LabError: the kernel says something else.
        """
        limits = self.computer.limits
        held = self.supervisor.limits()
        # The kernel counts memory in pages.
        page = 4096
        if (
            held is None
            or held.cpus != limits.cpus
            or abs(held.memory_bytes - limits.memory_bytes) >= page
        ):
            raise LabError(
                f"the limits of {self.wanted.name} do not hold: asked for {limits}, the kernel "
                f"says {held}"
            )

    # -- locks ----------------------------------------------------------------------------------

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Keep other runs away from this host."""
        with locked(RUN_DIR / f"{self.wanted.name}.lock", _HOST_LOCK_TIMEOUT_S):
            yield

    @contextmanager
    def _system(self) -> Iterator[None]:
        """Keep other lab hosts away from what they share; held for moments only."""
        with locked(RUN_DIR / "shared.lock", _SYSTEM_LOCK_TIMEOUT_S):
            yield

    # -- up -------------------------------------------------------------------------------------

    def _start(self, layer: Layer | None = None) -> None:
        """Bring a host up that is down; with a layer, on top of that and with no files yet."""
        # A number of CPUs that cannot be had is refused before anything is built.
        _ = self.computer.limits
        record = self._record()
        if not self.steps.check_mode:
            self.computer.check()
        if layer is not None:
            lower, layers = layer.base, layer.layers
        elif record is not None and self.computer.has_files():
            # The host's files belong to the base they were written over, even an older one.
            lower, layers = record.base, record.layers
        else:
            # Files without a record are a start that was cut off, or someone's rm -rf.
            self._forget_files()
            lower, layers = self.computer.ensure_base(), ()
        record = Record(
            release=self.wanted.release,
            base=lower,
            layers=layers,
            address=self.wanted.address,
            subnet=self.wanted.subnet,
            bridge=self.wanted.bridge,
            kind=self.wanted.kind,
        )
        host_key = None
        with self._system():
            if not self.steps.check_mode:
                # Old setuid programs in there are no business of this machine's users.
                self.wanted.root_dir.chmod(0o700)
                host_key = keys.ensure_host_key(self.wanted.folder / "ssh")
            self.network.ensure(self.steps)
            self._ensure_keys()
        if (
            not self.steps.take(
                f"Start {self.wanted.machine} ({record.release} {record.kind}) at {record.address}"
            )
            or host_key is None
        ):
            return
        record.write(self.wanted.folder / "host.json")
        self.computer.assemble(record, host_key, self.keys.public.read_text())
        self._launch(record)
        with self._system():
            self.layers.collect_garbage()

    def _launch(self, record: Record) -> None:
        argv = self.computer.argv(record)
        with self.steps.timed("start_to_ssh"):
            with self._system():
                self.supervisor.start(argv, self.computer.limits, self.console)
                # Until the group holds a process, the last host's end could take it away.
                appeared = wait_until(lambda: bool(self.supervisor.processes()), _APPEAR_TIMEOUT_S)
            up = appeared and self._wait_for_ssh()
        if not up:
            raise LabError(
                f"{self.wanted.name} did not answer SSH at {self.wanted.address} within "
                f"lab_host_boot_timeout_s={self.wanted.boot_timeout_s:g} s; "
                f"{self.console} ends with:\n{_tail(self.console)}"
            )
        self._match_mtu()
        self._check_limits()

    def _match_mtu(self) -> None:
        """Give this end of the cable the MTU of the other one; part of a start, not a step."""
        interface = network.interface_of(self.wanted.machine)
        mtu = str(inherit.uplink_mtu())
        if interface is None or Path(f"/sys/class/net/{interface}/mtu").read_text().strip() == mtu:
            return
        if self.steps.check_mode:
            self.steps.take(f"Give {interface} the MTU of the uplink")
        else:
            run(["ip", "link", "set", interface, "mtu", mtu])

    def _wait_for_ssh(self) -> bool:
        # A fifth of what it may take once it is up is enough to wait for one answer.
        answers = partial(ssh.answers, self.wanted.address, self.computer.answer_timeout_s / 5)
        done = wait_until(
            lambda: answers() or not self.supervisor.processes(), self.wanted.boot_timeout_s
        )
        return done and bool(self.supervisor.processes())

    def _ensure_keys(self) -> None:
        self.keys.ensure(self.steps)
        public = self.wanted.folder / "ssh" / f"{keys.HOST_KEY_NAME}.pub"
        if public.is_file():
            self.keys.pin(
                self.wanted.name,
                self.wanted.address,
                public.read_text(),
                self.computer.login,
                self.steps,
            )

    # -- down -----------------------------------------------------------------------------------

    def _stop(self, *, files_matter: bool = True) -> None:
        """Power the host off, and clear what is left of it."""
        record = self._record()
        # As what it was started, whatever it is to be.
        running = self._computer(record.kind) if record else self.computer
        if self.supervisor.leader() is not None and self.steps.take(
            f"Power off {self.wanted.machine}"
        ):
            with self.steps.timed("power_off"):
                if files_matter:
                    running.power_off(self.supervisor)
                else:
                    running.switch_off(self.supervisor)
        self._clear()

    def _clear(self) -> None:
        """Clear what an end, orderly or not, left behind: processes, cable, mounts, groups."""
        if self.supervisor.processes() and self.steps.take(
            f"End what is left of {self.wanted.machine}"
        ):
            self.supervisor.kill()
        interface = network.interface_of(self.wanted.machine)
        # Connections to the old host would hang in Ansible's kept SSH connections until they time
        # out. Best effort: not every kernel can.
        record = self._record()
        was_there = interface is not None or mounts_below(self.wanted.folder)
        if record is not None and not self.steps.check_mode and was_there:
            run(["ss", "--kill", "--no-header", "dst", record.address], check=False)
        if interface is not None and self.steps.take(f"Delete the interface {interface}"):
            # Gone by itself in the meantime is as good.
            run(["ip", "link", "delete", interface], check=False)
        for kind in _KINDS:
            self._computer(kind).take_apart()
        if not self.steps.check_mode:
            with self._system():
                if self.supervisor.remove():
                    self.steps.take("Remove the cgroups")

    def _leave(self) -> None:
        """Take the network away with the last host that uses it."""
        with self._system():
            if self.network.ports() and not self.steps.check_mode:
                return
            if self.steps.check_mode and self._others_run():
                return
            bridges = [link["ifname"] for link in network.links()]
            ours = [name for name in bridges if name != self.wanted.bridge and _is_lab(name)]
            self.network.remove(self.steps, other_bridges=ours)

    def _others_run(self) -> bool:
        own = network.interface_of(self.wanted.machine)
        return any(port != own for port in self.network.ports())

    def _forget_files(self) -> None:
        for kind in _KINDS:
            computer = self._computer(kind)
            if computer.has_files() and self.steps.take(f"Wipe what is on {self.wanted.name}"):
                computer.forget_files()


def _is_lab(bridge: str) -> bool:
    """Tell whether some lab's rules name this bridge."""
    rules = run(["iptables", "-w", "10", "-t", "nat", "-S", "POSTROUTING"], check=False) or ""
    return f'"{PARENT} {bridge}"' in rules


def _tail(path: Path) -> str:
    if not path.is_file():
        return "(nothing)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-_CONSOLE_LINES:])
