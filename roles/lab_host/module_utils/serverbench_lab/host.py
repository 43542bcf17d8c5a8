"""One lab host: what it is asked to be, what it is, and how the one becomes the other."""

from __future__ import annotations

import ipaddress
import json
import socket
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import base, inherit, keys, network
from .command import (
    POLL_S,
    LabError,
    Steps,
    delete_tree,
    locked,
    mounts_below,
    run,
    wait_until,
    write,
)
from .supervisor import PARENT, Limits, Supervisor, choose_limits, supervisor_for

if TYPE_CHECKING:
    from collections.abc import Iterator

# Locks and the memory of what the kernel was like: they concern this boot, all labs, and no one's
# choice of lab_host_root_dir.
RUN_DIR = Path("/run/serverbench-lab")
_SSH_PORT = 22
_BANNER = b"SSH-2.0"
_ANSWER_TIMEOUT_S = 5
_POWER_OFF_TIMEOUT_S = 30
# Long enough for another run's base build, start and all.
_HOST_LOCK_TIMEOUT_S = 1500
_SYSTEM_LOCK_TIMEOUT_S = 60
_CONSOLE_LINES = 15


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the inventory asks for."""

    name: str
    address: str
    subnet: str
    bridge: str
    release: str
    cpus: int
    memory_bytes: int
    layer: str
    nameservers: tuple[str, ...]
    root_dir: Path
    ssh_dir: Path
    owner: keys.Owner
    boot_timeout_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """What a lab host was last started as, kept beside its files."""

    release: str
    base: str
    # The saved layers under the host's own one, the lowest first.
    layers: tuple[str, ...]
    address: str
    subnet: str
    bridge: str

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """Read the record; None when there is none."""
        if not path.is_file():
            return None
        try:
            fields = json.loads(path.read_text())
            return cls(**{**fields, "layers": tuple(fields["layers"])})
        except (ValueError, TypeError, KeyError):
            return None  # Cut off while it was written: as good as none.

    def write(self, path: Path) -> None:
        """Keep the record."""
        write(path, json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Layer:
    """A saved layer, and all that it stands on."""

    host: str
    base: str
    # From the lowest up to this layer itself.
    layers: tuple[str, ...]


class LabHost:
    """A lab host, running or not."""

    def __init__(self, wanted: Wanted, steps: Steps) -> None:
        """Look at one host; nothing is changed yet."""
        self.wanted = wanted
        self.steps = steps
        self.machine = f"serverbench-{wanted.name}"
        self.folder = wanted.root_dir / "hosts" / wanted.name
        self.root = self.folder / "root"
        self.upper = self.folder / "upper"
        self.work = self.folder / "work"
        self.console = self.folder / "console.log"
        self.bases = wanted.root_dir / "base"
        self.layers = wanted.root_dir / "layers"
        self.supervisor: Supervisor = supervisor_for(wanted.name)
        self.keys = keys.ClientKeys(wanted.ssh_dir, wanted.owner)
        self.network = network.Network(
            wanted.bridge, ipaddress.IPv4Network(wanted.subnet), RUN_DIR / "network.json"
        )
        self._check_address()

    # -- states ---------------------------------------------------------------------------------

    def present(self) -> None:
        """Have the host up and as asked; nothing happens when it is."""
        with self._mine():
            if self._is_up_as_asked():
                return
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
            layer = self._wanted_layer() if self.wanted.layer else None
            self._stop()
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
            self._stop()
            layer = None
            if self.steps.take(f"Save the layer {self.wanted.layer}"):
                with self._system():
                    layer = self._freeze(record)
            self._start(layer)

    def purged(self) -> None:
        """Have nothing of the host left at all; with the last host, no base either."""
        with self._mine():
            self._stop()
            self._leave()
            if self.folder.exists() and self.steps.take(f"Delete {self.folder}"):
                delete_tree(self.folder)
            with self._system():
                self.keys.forget(self.wanted.name, self.steps)
                for name, layer in self._saved_layers().items():
                    if layer.host == self.wanted.name and self.steps.take(f"Drop the layer {name}"):
                        (self.layers / f"{name}.current").unlink()
                hosts = self.wanted.root_dir / "hosts"
                if not hosts.is_dir() or not any(hosts.iterdir()):
                    for folder in (self.layers, self.bases):
                        if folder.exists() and self.steps.take(f"Delete {folder}"):
                            delete_tree(folder)
            self._collect_garbage()

    # -- looking --------------------------------------------------------------------------------

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
        return Record.read(self.folder / "host.json")

    def _is_up_as_asked(self) -> bool:
        """Tell whether nothing is to be done but set limits; refuse what would cost files."""
        record = self._record()
        if record is not None and record.release != self.wanted.release and self.upper.exists():
            raise LabError(
                f"{self.wanted.name} is a {record.release} host and lab_host_release asks for "
                f"{self.wanted.release}, which would cost all that is on it; to have that, run "
                f"`make lab-reset` (lab_host_state=reset)"
            )
        if record is None or self.supervisor.leader() is None or not mounts_below(self.root):
            return False
        there = (record.address, record.subnet, record.bridge)
        if there != (self.wanted.address, self.wanted.subnet, self.wanted.bridge):
            return False
        if not self.network.exists() or self.network.ports() == []:
            return False
        with self._system():
            self.network.ensure(self.steps)
            self._ensure_keys()
        if not _answers_within(self.wanted.address, _ANSWER_TIMEOUT_S):
            return False
        self._match_mtu()
        limits = choose_limits(self.wanted.cpus, self.wanted.memory_bytes)
        if self.supervisor.limits() != limits and self.steps.take(
            f"Set the limits: CPUs {limits.cpu_list}, {limits.memory_bytes} bytes"
        ):
            self.supervisor.set_limits(limits)
            self._check_limits()
        public = self.keys.public.read_text() if self.keys.public.is_file() else ""
        authorized = self.root / "root/.ssh/authorized_keys"
        if (
            not authorized.is_file() or public.strip() not in authorized.read_text().splitlines()
        ) and self.steps.take(f"Let the key {self.keys.private} in"):
            write(authorized, public, 0o600)
        return True

    def _check_limits(self) -> None:
        """Trust nothing: the limits are those the kernel says.

        Raises:
            LabError: the kernel says something else.
        """
        limits = choose_limits(self.wanted.cpus, self.wanted.memory_bytes)
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
        limits = choose_limits(self.wanted.cpus, self.wanted.memory_bytes)
        record = self._record()
        if not self.steps.check_mode:
            self._try_overlay()
        if layer is not None:
            lower, layers = layer.base, layer.layers
        elif record is not None and self.upper.exists():
            # The host's files belong to the base they were written over, even an older one.
            lower, layers = record.base, record.layers
        else:
            # Files without a record are a start that was cut off, or someone's rm -rf.
            self._forget_files()
            recipe = base.recipe_for(self.wanted.release, self.wanted.owner.uid)
            lower, layers = base.ensure(self.bases, recipe, self.steps).name, ()
        record = Record(
            release=lower.partition("-")[0],
            base=lower,
            layers=layers,
            address=self.wanted.address,
            subnet=self.wanted.subnet,
            bridge=self.wanted.bridge,
        )
        host_key = None
        with self._system():
            if not self.steps.check_mode:
                # Old setuid programs in there are no business of this machine's users.
                self.wanted.root_dir.chmod(0o700)
                host_key = keys.ensure_host_key(self.folder / "ssh")
            self.network.ensure(self.steps)
            self._ensure_keys()
        if not self.steps.take(f"Start {self.machine} ({record.release}) at {record.address}"):
            return
        record.write(self.folder / "host.json")
        self._mount(record)
        if host_key is not None:
            self._seed(host_key)
        self._launch(limits)
        self._collect_garbage()

    def _launch(self, limits: Limits) -> None:
        with self.steps.timed("start_to_ssh"):
            with self._system():
                self.supervisor.start(self._nspawn(), limits, self.console)
                # Until the group holds a process, the last host's end could take it away.
                appeared = wait_until(lambda: bool(self.supervisor.processes()), _ANSWER_TIMEOUT_S)
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
        interface = network.interface_of(self.machine)
        mtu = str(inherit.uplink_mtu())
        if interface is None or self.steps.check_mode:
            return
        if Path(f"/sys/class/net/{interface}/mtu").read_text().strip() != mtu:
            run(["ip", "link", "set", interface, "mtu", mtu])

    def _wait_for_ssh(self) -> bool:
        done = wait_until(
            lambda: _answers(self.wanted.address) or not self.supervisor.processes(),
            self.wanted.boot_timeout_s,
        )
        return done and bool(self.supervisor.processes())

    def _nspawn(self) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            "--settings=no",
            "--boot",
            f"--directory={self.root}",
            f"--machine={self.machine}",
            f"--hostname={self.wanted.name}",
            "--keep-unit",
            "--register=no",
            f"--network-bridge={self.wanted.bridge}",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
        ]

    def _ensure_keys(self) -> None:
        self.keys.ensure(self.steps)
        public = self.folder / "ssh" / f"{keys.HOST_KEY_NAME}.pub"
        if public.is_file():
            self.keys.pin(self.wanted.name, self.wanted.address, public.read_text(), self.steps)

    def _try_overlay(self) -> None:
        """Find out before minutes of building whether this file system carries an overlay.

        Raises:
            LabError: it does not.
        """
        trial = self.folder / ".trial"
        delete_tree(trial)
        for name in ("lower", "upper", "work", "root"):
            (trial / name).mkdir(parents=True)
        try:
            _mount_overlay([trial / "lower"], trial / "upper", trial / "work", trial / "root")
        except LabError as error:
            raise LabError(
                f"overlayfs cannot be mounted in {self.wanted.root_dir}; set lab_host_root_dir to "
                f"a folder on a local ext4, xfs or btrfs file system, or benchmark this machine "
                f"itself with `-i inventory/localhost`\n{error}"
            ) from error
        finally:
            delete_tree(trial)

    def _mount(self, record: Record) -> None:
        for folder in (self.upper, self.work, self.root):
            folder.mkdir(parents=True, exist_ok=True)
        lower = [self.layers / layer / "files" for layer in reversed(record.layers)]
        _mount_overlay([*lower, self.bases / record.base], self.upper, self.work, self.root)

    def _seed(self, host_key: Path) -> None:
        """Write what makes this host this host: at every start, as the inventory may change."""
        name = self.wanted.name
        mtu = inherit.uplink_mtu()
        public = self.keys.public.read_text()
        write(self.root / "etc/hostname", f"{name}\n")
        write(self.root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        write(
            self.root / "etc/resolv.conf",
            inherit.resolver_configuration(list(self.wanted.nameservers)),
        )
        write(
            self.root / "etc/systemd/network/10-host0.network",
            network.cable_configuration(self.wanted.address, self.network, mtu),
        )
        (self.root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        write(self.root / "root/.ssh/authorized_keys", public, 0o600)
        inside = self.root / "etc/ssh" / keys.HOST_KEY_NAME
        write(inside, host_key.read_bytes(), 0o600)
        write(inside.with_suffix(".pub"), host_key.with_suffix(".pub").read_bytes())

    # -- down -----------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Power the host off, and clear what is left of it."""
        if self.supervisor.leader() is not None and self.steps.take(f"Power off {self.machine}"):
            with self.steps.timed("power_off"):
                self.supervisor.power_off(_POWER_OFF_TIMEOUT_S)
        self._clear()

    def _clear(self) -> None:
        """Clear what an end, orderly or not, left behind: processes, cable, mounts, groups."""
        if self.supervisor.processes() and self.steps.take(f"End what is left of {self.machine}"):
            self.supervisor.kill()
        # Connections to the old host would hang in Ansible's kept SSH connections until they time
        # out. Best effort: not every kernel can.
        record = self._record()
        if record is not None and not self.steps.check_mode and mounts_below(self.root):
            run(["ss", "--kill", "--no-header", "dst", record.address], check=False)
        interface = network.interface_of(self.machine)
        if interface is not None and self.steps.take(f"Delete the interface {interface}"):
            # Gone by itself in the meantime is as good.
            run(["ip", "link", "delete", interface], check=False)
        left = [*mounts_below(self.root)]
        for folder in Path("/run/systemd/nspawn").glob(f"*/{self.machine}"):
            left += mounts_below(folder)
        for point in left:
            if self.steps.take(f"Unmount {point}"):
                run(["umount", point])
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
        own = network.interface_of(self.machine)
        return any(port != own for port in self.network.ports())

    # -- layers ---------------------------------------------------------------------------------

    def _forget_files(self) -> None:
        if self.upper.exists() and self.steps.take(f"Wipe what is on {self.wanted.name}"):
            for folder in (self.upper, self.work):
                delete_tree(folder)

    def _freeze(self, record: Record) -> Layer:
        number = 1
        while (self.layers / f"{self.wanted.layer}-{number}").exists():
            number += 1
        layer = f"{self.wanted.layer}-{number}"
        target = self.layers / layer
        target.mkdir(parents=True)
        self.upper.rename(target / "files")
        # Another host that starts from here must not be taken for this one.
        write(target / "files/etc/machine-id", "")
        saved = Layer(self.wanted.name, record.base, (*record.layers, layer))
        write(target / "layer.json", json.dumps(asdict(saved)) + "\n")
        write(self.layers / f"{self.wanted.layer}.current", f"{layer}\n")
        delete_tree(self.work)
        return saved

    def _saved_layers(self) -> dict[str, Layer]:
        """Every saved layer by the name it was saved as."""
        found = {}
        for current in sorted(self.layers.glob("*.current")):
            folder = self.layers / current.read_text().strip()
            fields = json.loads((folder / "layer.json").read_text())
            found[current.stem] = Layer(**{**fields, "layers": tuple(fields["layers"])})
        return found

    def _wanted_layer(self) -> Layer:
        name = self.wanted.layer
        saved = self._saved_layers()
        if name not in saved:
            raise LabError(
                f"lab_host_layer {name} was never saved (saved: {', '.join(saved) or 'none'}); "
                f"save it with lab_host_state=saved"
            )
        release = saved[name].base.partition("-")[0]
        if release != self.wanted.release:
            raise LabError(
                f"lab_host_layer {name} is of {release} and lab_host_release asks for "
                f"{self.wanted.release}; change one of them"
            )
        return saved[name]

    def _collect_garbage(self) -> None:
        """Delete bases and layers that no host and no saved name stands on any more."""
        with self._system():
            records = [Record.read(path) for path in self.folder.parent.glob("*/host.json")]
            users: list[Record | Layer] = [*filter(None, records), *self._saved_layers().values()]
            used = {name for user in users for name in (user.base, *user.layers)}
            # The newest base of each release stays for the next host, whoever uses it.
            for release in {path.name.partition("-")[0] for path in self.bases.glob("[a-z]*-*")}:
                used.add(max(self.bases.glob(f"{release}-*"), key=_built_at).name)
            for folder in [*self.bases.glob("[a-z]*-*"), *self.layers.glob("*/")]:
                if folder.name not in used and self.steps.take(f"Delete {folder}"):
                    delete_tree(folder)


def _is_lab(bridge: str) -> bool:
    """Tell whether some lab's rules name this bridge."""
    rules = run(["iptables", "-w", "10", "-t", "nat", "-S", "POSTROUTING"], check=False) or ""
    return f'"{PARENT} {bridge}"' in rules


def _built_at(folder: Path) -> float:
    return folder.stat().st_mtime


def _mount_overlay(lower: list[Path], upper: Path, work: Path, root: Path) -> None:
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", "overlay", "-o", options, root])


def _answers(address: str) -> bool:
    """Ask sshd for its banner, the way a client would."""
    try:
        with socket.create_connection((address, _SSH_PORT), timeout=10 * POLL_S) as connection:
            connection.settimeout(1)
            # All of it: closing on unread bytes would be a reset, and an error in sshd's journal.
            return connection.recv(256).startswith(_BANNER)
    except OSError:
        return False


def _answers_within(address: str, timeout_s: float) -> bool:
    return wait_until(lambda: _answers(address), timeout_s)


def _tail(path: Path) -> str:
    if not path.is_file():
        return "(nothing)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-_CONSOLE_LINES:])
