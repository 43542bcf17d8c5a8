"""The base of virtual machines: a disk with Debian as a cloud's image has it, and its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import base
from .command import delete_tree, run, write

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = "ubuntu"
DISK = "root.img"
KERNEL = "vmlinuz"
INITRD = "initrd.img"
SEED_DEVICE = "/dev/vdb"
# Sparse: on this machine it takes what is written.
_DISK_BYTES = 10 * 1024**3
_BUILD_TIMEOUT_S = 600
# As cloud-init does on a cloud: what makes this machine this machine comes from outside, at boot.
_SEED_UNIT = f"""\
# Written by serverbench's role lab_host.
[Unit]
Description=Take name, address and keys from the disk the lab host was started with
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target sysinit.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/tar --extract --file={SEED_DEVICE} --directory=/ --no-overwrite-dir

[Install]
WantedBy=sysinit.target
"""
_SSHD = "# Written by serverbench's role lab_host.\nPermitRootLogin no\n"
# What belongs to the machine is not called serverbench*: teardown.yml takes that away.
# The hardware is known, and a small initrd is loaded sooner.
_INITRAMFS = {
    "etc/initramfs-tools/conf.d/lab-machine": "MODULES=list\n",
    "usr/share/initramfs-tools/modules.d/lab-machine.conf": "virtio_pci\nvirtio_blk\next4\n",
}


def build(folder: Path, recipe: base.Recipe) -> None:
    """Make the disk and lay the kernel beside it, where QEMU loads it from."""
    before = folder / "before"
    for name, content in _INITRAMFS.items():
        write(before / name, content)
    root = folder / "root"
    base.bootstrap(root, recipe, before)
    base.settle(root, recipe)
    _let_a_user_in(root)
    write(root / "etc/systemd/system/lab-machine-seed.service", _SEED_UNIT)
    run(["chroot", root, "systemctl", "enable", "lab-machine-seed.service"])
    for name, pattern in ((KERNEL, "vmlinuz-*"), (INITRD, "initrd.img-*")):
        (found,) = (root / "boot").glob(pattern)
        run(["cp", found, folder / name])
    disk = folder / DISK
    run(["truncate", f"--size={_DISK_BYTES}", disk])
    run(["mkfs.ext4", "-q", "-d", root, disk], timeout_s=_BUILD_TIMEOUT_S)
    for done in (before, root):
        delete_tree(done)


def _let_a_user_in(root: Path) -> None:
    run(["chroot", root, "useradd", "--create-home", "--shell=/bin/bash", "--groups=sudo", LOGIN])
    write(root / "etc/sudoers.d/90-serverbench-lab", f"{LOGIN} ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    # Read before the one of all lab hosts: sshd takes the first word it finds.
    write(root / "etc/ssh/sshd_config.d/05-serverbench-vm.conf", _SSHD)
