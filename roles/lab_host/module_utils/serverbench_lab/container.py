"""The container kind: a Debian root under an overlay, run by systemd-nspawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from . import base, inherit, keys, network
from .command import LabError, delete_tree, mounts_below, run, write
from .computer import Computer
from .supervisor import Limits, Supervisor, choose_cpus

if TYPE_CHECKING:
    from .records import Record


class Container(Computer):
    """Shares this machine's kernel: up in a second, limits held by a cgroup."""

    kind: ClassVar[str] = "container"
    login: ClassVar[str] = "root"
    answer_timeout_s: ClassVar[float] = 5
    power_off_timeout_s: ClassVar[float] = 30

    @property
    def root(self) -> Path:
        """What the container sees as its file system."""
        return self.wanted.folder / "root"

    @property
    def upper(self) -> Path:
        """The host's own files."""
        return self.wanted.folder / "upper"

    @property
    def work(self) -> Path:
        """Overlayfs wants it beside `upper`."""
        return self.wanted.folder / "work"

    @property
    def limits(self) -> Limits:
        """What was asked for, to the byte."""
        return Limits(choose_cpus(self.wanted.cpus), self.wanted.memory_bytes)

    def check(self) -> None:
        """Try whether this file system carries an overlay."""
        trial = self.wanted.folder / ".trial"
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

    def ensure_base(self) -> str:
        """Have the Debian root."""
        recipe = base.recipe_for(self.kind, self.wanted.release, self.wanted.owner.uid)
        return base.ensure(self.wanted.bases, recipe, _build, self.steps)

    def has_files(self) -> bool:
        """The overlay's upper folder."""
        return self.upper.exists()

    def forget_files(self) -> None:
        """Delete the overlay's upper folder."""
        for folder in (self.upper, self.work):
            delete_tree(folder)

    def assemble(self, record: Record, host_key: Path, public_key: str) -> None:
        """Mount the overlay and write into it: at every start, as the inventory may change."""
        for folder in (self.upper, self.work, self.root):
            folder.mkdir(parents=True, exist_ok=True)
        lower = [self.wanted.layers / layer / "files" for layer in reversed(record.layers)]
        _mount_overlay([*lower, self.wanted.bases / record.base], self.upper, self.work, self.root)
        name = self.wanted.name
        write(self.root / "etc/hostname", f"{name}\n")
        write(self.root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        write(
            self.root / "etc/resolv.conf",
            inherit.resolver_configuration(list(self.wanted.nameservers)),
        )
        write(
            self.root / "etc/systemd/network/10-host0.network",
            network.cable_configuration(
                "host0", self.wanted.address, self.network, inherit.uplink_mtu()
            ),
        )
        (self.root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        write(self._authorized_keys, public_key, 0o600)
        inside = self.root / "etc/ssh" / keys.HOST_KEY_NAME
        write(inside, host_key.read_bytes(), 0o600)
        write(inside.with_suffix(".pub"), host_key.with_suffix(".pub").read_bytes())

    def argv(self, record: Record) -> list[str]:
        """The systemd-nspawn command."""
        return [
            "systemd-nspawn",
            "--quiet",
            "--settings=no",
            "--boot",
            f"--directory={self.root}",
            f"--machine={self.wanted.machine}",
            f"--hostname={self.wanted.name}",
            "--keep-unit",
            "--register=no",
            f"--network-bridge={record.bridge}",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
        ]

    def is_assembled(self) -> bool:
        """The overlay is mounted."""
        return bool(mounts_below(self.root))

    def resize(self, supervisor: Supervisor) -> bool:
        """A cgroup's limits may change at any time."""
        supervisor.set_limits(self.limits)
        return True

    def lets_in(self, public_key: str) -> bool:
        """Look into its root."""
        return (
            self._authorized_keys.is_file()
            and public_key.strip() in self._authorized_keys.read_text().splitlines()
        )

    def let_in(self, public_key: str) -> bool:
        """Write into its root."""
        write(self._authorized_keys, public_key, 0o600)
        return True

    def power_off(self, supervisor: Supervisor) -> None:
        """For nspawn SIGTERM means an orderly power-off."""
        supervisor.terminate(self.power_off_timeout_s)

    def take_apart(self) -> None:
        """Unmount."""
        left = [*mounts_below(self.root)]
        for folder in Path("/run/systemd/nspawn").glob(f"*/{self.wanted.machine}"):
            left += mounts_below(folder)
        for point in left:
            if self.steps.take(f"Unmount {point}"):
                run(["umount", point])

    def freeze(self, target: Path) -> None:
        """The upper folder becomes the layer."""
        self.upper.rename(target / "files")
        # Another host that starts from here must not be taken for this one.
        write(target / "files/etc/machine-id", "")
        delete_tree(self.work)

    @property
    def _authorized_keys(self) -> Path:
        return self.root / "root/.ssh/authorized_keys"


def _build(root: Path, recipe: base.Recipe) -> None:
    base.bootstrap(root, recipe)
    base.settle(root, recipe)


def _mount_overlay(lower: list[Path], upper: Path, work: Path, root: Path) -> None:
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", "overlay", "-o", options, root])
