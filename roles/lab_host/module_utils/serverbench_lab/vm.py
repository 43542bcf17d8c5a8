"""The virtual machine kind: a disk over the base's, run by QEMU."""

from __future__ import annotations

import hashlib
import io
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from . import accelerator, base, image, inherit, keys, network, qmp
from .command import LabError, run, wait_until
from .computer import Computer
from .records import RUN_DIR
from .supervisor import Limits, Supervisor, choose_cpus

if TYPE_CHECKING:
    from .records import Record

_MIB = 1024**2
# QEMU itself, and the code it has translated where there is no KVM.
_EMULATOR_BYTES = 1024 * _MIB
_HOME = f"home/{image.LOGIN}"
_AUTHORIZED_KEYS = f"{_HOME}/.ssh/authorized_keys"
_LOGIN_UID = 1000
_PULLED_TIMEOUT_S = 10


class VirtualMachine(Computer):
    """Has a kernel of its own: cgroup v2 with every controller, real reboots."""

    kind: ClassVar[str] = "vm"
    login: ClassVar[str] = image.LOGIN
    # Without KVM sshd needs seconds for its greeting, and a reboot half a minute.
    answer_timeout_s: ClassVar[float] = 60
    power_off_timeout_s: ClassVar[float] = 120

    @property
    def disk(self) -> Path:
        """The host's own files: what differs from the base's disk."""
        return self.wanted.folder / "disk.qcow2"

    @property
    def seed(self) -> Path:
        """A second disk, whose content the guest unpacks at boot."""
        return self.wanted.folder / "seed.tar"

    @property
    def control_socket(self) -> Path:
        """Where QEMU takes commands; here, since a socket's path must be short."""
        return RUN_DIR / f"{self.wanted.name}.qmp"

    @property
    def limits(self) -> Limits:
        """The guest's memory is QEMU's to hold; the cgroup's is that and what QEMU needs."""
        return Limits(choose_cpus(self.wanted.cpus), self.wanted.memory_bytes + _EMULATOR_BYTES)

    def check(self) -> None:
        """QEMU needs a device of this kernel for the network."""
        if not Path("/dev/net/tun").exists():
            raise LabError(
                "this machine has no /dev/net/tun, which a virtual machine's network card needs; "
                "load it with `modprobe tun`, or use lab_host_kind=container"
            )

    def ensure_base(self) -> str:
        """Have the base's disk and kernel."""
        recipe = base.recipe_for(self.kind, self.wanted.release, self.wanted.owner.uid)
        return base.ensure(self.wanted.bases, recipe, image.build, self.steps)

    def has_files(self) -> bool:
        """The disk."""
        return self.disk.exists()

    def forget_files(self) -> None:
        """Delete the disk."""
        self.disk.unlink(missing_ok=True)

    def assemble(self, record: Record, host_key: Path, public_key: str) -> None:
        """Make the disk unless there is one, the seed, and the network card's other end."""
        if not self.disk.exists():
            lower = self.wanted.bases / record.base / image.DISK
            form = "raw"
            if record.layers:
                lower, form = self.wanted.layers / record.layers[-1] / self.disk.name, "qcow2"
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", lower, "-F", form, self.disk])
        self._write_seed(host_key, public_key)
        network.plug_tap(self.wanted.machine, record.bridge)

    def argv(self, record: Record) -> list[str]:
        """The QEMU command."""
        folder = self.wanted.bases / record.base
        mark = hashlib.sha256(self.wanted.machine.encode()).hexdigest()
        mac = ":".join(("52:54:00", *(mark[at : at + 2] for at in (0, 2, 4))))
        tap = network.interface_of(self.wanted.machine)
        # The machine's id is the host's, not the disk's: hosts may start from the same layer.
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, self.wanted.machine).hex
        words = ["root=/dev/vda", "rw", "console=ttyS0", "loglevel=4", "panic=10"]
        words += [f"systemd.hostname={self.wanted.name}", f"systemd.machine_id={identity}"]
        return [
            accelerator.QEMU,
            *("-name", self.wanted.machine),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            # Without controllers that would only be probed.
            *("-machine", "q35,sata=off,smbus=off"),
            *accelerator.options(
                self.wanted.accelerator, folder / image.KERNEL, RUN_DIR / "kvm.json"
            ),
            *("-smp", str(self.wanted.cpus)),
            *("-m", f"{self.wanted.memory_bytes // _MIB}M"),
            *("-kernel", str(folder / image.KERNEL), "-initrd", str(folder / image.INITRD)),
            *("-append", " ".join(words)),
            # Nothing on it has to survive a power cut, so no write need wait for this disk.
            *("-drive", f"file={_escaped(self.disk)},if=virtio,format=qcow2,cache=unsafe"),
            *("-drive", f"file={_escaped(self.seed)},if=virtio,format=raw,readonly=on"),
            *("-netdev", f"tap,id=cable,ifname={tap},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=cable,mac={mac}"),
            *("-device", "virtio-rng-pci"),
            *("-serial", "stdio"),
            *("-qmp", f"unix:{self.control_socket},server=on,wait=off"),
        ]

    def is_assembled(self) -> bool:
        """The network card's other end is there."""
        return network.interface_of(self.wanted.machine) is not None

    def resize(self, supervisor: Supervisor) -> bool:  # noqa: ARG002 - the container kind can
        """A machine is built with its CPUs and memory."""
        return False

    def lets_in(self, public_key: str) -> bool:
        """Look into the seed it was started with."""
        if not self.seed.is_file():
            return False
        with tarfile.open(self.seed) as seed:
            member = seed.extractfile(_AUTHORIZED_KEYS)
            return member is not None and member.read().decode() == public_key

    def let_in(self, public_key: str) -> bool:  # noqa: ARG002 - the container kind can
        """The seed is read at boot."""
        return False

    def power_off(self, supervisor: Supervisor) -> None:
        """Press its power button; its systemd does the rest."""
        if qmp.ask(self.control_socket, "system_powerdown"):
            wait_until(lambda: not supervisor.processes(), self.power_off_timeout_s)

    def switch_off(self, supervisor: Supervisor) -> None:
        """For QEMU SIGTERM means to pull the plug."""
        supervisor.terminate(_PULLED_TIMEOUT_S)

    def take_apart(self) -> None:
        """The network card's other end goes with every kind's; here, the control socket."""
        if self.control_socket.exists() and self.steps.take(f"Delete {self.control_socket}"):
            self.control_socket.unlink()

    def freeze(self, target: Path) -> None:
        """The disk becomes the layer."""
        self.disk.rename(target / self.disk.name)

    def _write_seed(self, host_key: Path, public_key: str) -> None:
        name = self.wanted.name
        mtu = inherit.uplink_mtu()
        with tarfile.open(self.seed, "w") as seed:

            def add(path: str, content: str | bytes, mode: int = 0o644, uid: int = 0) -> None:
                data = content.encode() if isinstance(content, str) else content
                member = tarfile.TarInfo(path)
                member.size, member.mode, member.uid, member.gid = len(data), mode, uid, uid
                seed.addfile(member, io.BytesIO(data))

            add("etc/hostname", f"{name}\n")
            add("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
            add(
                "etc/resolv.conf",
                inherit.resolver_configuration(list(self.wanted.nameservers)),
            )
            add(
                "etc/systemd/network/10-lab.network",
                network.cable_configuration("en*", self.wanted.address, self.network, mtu),
            )
            inside = f"etc/ssh/{keys.HOST_KEY_NAME}"
            add(inside, host_key.read_bytes(), 0o600)
            add(f"{inside}.pub", host_key.with_suffix(".pub").read_bytes())
            ssh = tarfile.TarInfo(f"{_HOME}/.ssh")
            ssh.type, ssh.mode, ssh.uid, ssh.gid = tarfile.DIRTYPE, 0o700, _LOGIN_UID, _LOGIN_UID
            seed.addfile(ssh)
            add(_AUTHORIZED_KEYS, public_key, 0o600, _LOGIN_UID)
        self.seed.chmod(0o600)


def _escaped(path: Path) -> str:
    """Write a path for QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
