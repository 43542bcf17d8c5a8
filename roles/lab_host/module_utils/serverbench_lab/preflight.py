"""Can this machine carry a lab host, and what would have to be installed for it?"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from . import supervisor
from .accelerator import QEMU
from .command import SEARCH_PATH

# package: (a program it brings, what it is for)
_PACKAGES = {
    "mmdebstrap": ("mmdebstrap", "builds the lab host's root file system"),
    "debian-archive-keyring": (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "lets apt verify what mmdebstrap downloads",
    ),
    "iproute2": ("ip", "makes the lab's bridge"),
    "iptables": ("iptables", "lets the lab host reach the package mirrors"),
    "openssh-client": ("ssh-keygen", "makes the lab's SSH keys"),
}
_PACKAGES_OF_KIND = {
    "container": {"systemd-container": ("systemd-nspawn", "runs the lab host")},
    "vm": {
        "qemu-system-x86": (QEMU, "runs the lab host, a virtual machine"),
        "qemu-utils": ("qemu-img", "makes the virtual machine's disks"),
        "e2fsprogs": ("mkfs.ext4", "makes the file system on them"),
    },
}
_PYTHON_APT = Path("/usr/lib/python3/dist-packages/apt/__init__.py")
_MACHINES_OF_KIND = {"container": ("x86_64", "aarch64"), "vm": ("x86_64",)}


def look(kind: str) -> dict[str, Any]:
    """Return what is missing: packages that can be installed, and problems that cannot be."""
    machines = _MACHINES_OF_KIND[kind]
    system = f"{platform.system()} on {platform.machine()}"
    problems = []
    missing: dict[str, str] = {}
    if platform.system() != "Linux" or platform.machine() not in machines:
        problems.append(f"Linux on {' or '.join(machines)} (this is {system})")
    else:
        missing = {
            package: purpose
            for package, (program, purpose) in (_PACKAGES | _PACKAGES_OF_KIND[kind]).items()
            if shutil.which(program, path=SEARCH_PATH) is None and not Path(program).is_file()
        }
        if missing and not _PYTHON_APT.is_file():
            missing["python3-apt"] = "lets Ansible drive apt-get"
        if missing and shutil.which("apt-get", path=SEARCH_PATH) is None:
            problems.append(
                f"the programs of {', '.join(missing)} (only Debian and Ubuntu are set up for you)"
            )
        if os.geteuid() != 0 and shutil.which("sudo") is None:
            problems.append("root, or sudo to become root")
        if kind == "container" and not _has_overlay():
            problems.append("the file system overlayfs in the kernel")
        cgroups = supervisor.hierarchies().problem
        if cgroups is not None:
            problems.append(cgroups)
    return {
        "problems": problems,
        "missing_packages": missing,
        "uid": os.getuid(),
        "gid": os.getgid(),
    }


def _has_overlay() -> bool:
    if "overlay" in Path("/proc/filesystems").read_text():
        return True
    folder = Path("/lib/modules") / platform.release() / "kernel"
    return any(folder.rglob("overlay.ko*"))
