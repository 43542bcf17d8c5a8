"""The base: what lab hosts of one kind and release share, built once; here, its Debian root."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from . import inherit
from .command import delete_tree, locked, run, write
from .records import flavour

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .command import Steps

# What a bare cloud host has, and not one package more: what the roles forget to install must fail.
_PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "python3",
    "systemd",
    "systemd-sysv",
)
# They would take apt's lock, and time on the two CPUs, in the middle of things.
_MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    # There is no terminal: getty would fail and be restarted.
    "console-getty.service",
    "getty.target",
)
_SSHD = """\
# Written by serverbench's role lab_host: by key only, with the one pinned host key.
PasswordAuthentication no
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ed25519_key
"""
_BUILD_TIMEOUT_S = 1200
# A virtual machine brings a kernel, lets you in as a cloud's does, unprivileged with sudo, and has
# what the unattended upgrades of clouds' images bring along.
_PACKAGES_OF_KIND = {
    "container": (),
    "vm": ("initramfs-tools", "kmod", "linux-image-cloud-amd64", "python3-apt", "sudo", "udev"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that goes into a base; two bases with the same recipe are the same."""

    kind: str
    release: str
    packages: tuple[str, ...]
    sources: tuple[str, ...]
    apt_options: tuple[str, ...]
    certificates: dict[str, str]
    pip_configuration: str
    # Raise it when what is done to the root changes.
    edition: int = 2

    @property
    def name(self) -> str:
        """The base's folder: its flavour and a fingerprint of the whole recipe."""
        text = json.dumps(asdict(self), sort_keys=True)
        return (
            f"{flavour(self.kind, self.release)}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        )


def recipe_for(kind: str, release: str, owner_uid: int) -> Recipe:
    """Read from this machine what a base of this kind and release is to be made of."""
    return Recipe(
        kind=kind,
        release=release,
        packages=(*_PACKAGES, *_PACKAGES_OF_KIND[kind]),
        sources=tuple(inherit.apt_sources(release)),
        apt_options=tuple(inherit.apt_proxy_options()),
        certificates=inherit.certificates(),
        pip_configuration=inherit.pip_configuration(owner_uid),
    )


def ensure(
    folder: Path, recipe: Recipe, build: Callable[[Path, Recipe], None], steps: Steps
) -> str:
    """Return the base's name, having it built if it is not there yet.

    Two lab hosts that start together build it once: the second waits for the first.
    """
    root = folder / recipe.name
    if root.is_dir():
        return recipe.name
    if steps.check_mode:
        steps.take(f"Build the base {recipe.name}")
        return recipe.name
    with locked(folder / ".lock", _BUILD_TIMEOUT_S):
        if root.is_dir():
            return recipe.name
        # Whoever holds the lock is the only builder, so what is half built was given up.
        for remains in folder.glob(".building-*"):
            delete_tree(remains)
        steps.take(f"Build the base {recipe.name}")
        with steps.timed("base"):
            building = folder / f".building-{recipe.name}"
            build(building, recipe)
            building.rename(root)
    return recipe.name


def bootstrap(root: Path, recipe: Recipe, before: Path | None = None) -> None:
    """Install Debian into a folder, over the files of `before`."""
    options = [f"--aptopt={line}" for line in recipe.apt_options]
    if before is not None:
        options.append(f'--setup-hook=cp -a {shlex.quote(str(before))}/. "$1"')
    run(
        [
            "mmdebstrap",
            "--mode=root",
            "--format=directory",
            "--variant=minbase",
            f"--include={','.join(recipe.packages)}",
            # A throw-away root need not survive a power cut: half the time is spent in fsync.
            "--dpkgopt=force-unsafe-io",
            *options,
            recipe.release,
            root,
            *recipe.sources,
        ],
        timeout_s=_BUILD_TIMEOUT_S,
    )


def settle(root: Path, recipe: Recipe) -> None:
    """Have the root trust, and be reached, as a lab host is."""
    for name, content in recipe.certificates.items():
        write(root / "usr/local/share/ca-certificates" / name, content)
    if recipe.certificates:
        run(["chroot", root, "update-ca-certificates"])
    if recipe.pip_configuration:
        write(root / "etc/pip.conf", recipe.pip_configuration)
    write(root / "etc/ssh/sshd_config.d/10-serverbench.conf", _SSHD)
    for key in (root / "etc/ssh").glob("ssh_host_*_key*"):
        # Made while installing; every lab host gets its own, which is pinned.
        key.unlink()
    run(["systemctl", f"--root={root}", "enable", "systemd-networkd.service"])
    run(["systemctl", f"--root={root}", "mask", *_MASKED_UNITS])
    write(root / "etc/machine-id", "")
