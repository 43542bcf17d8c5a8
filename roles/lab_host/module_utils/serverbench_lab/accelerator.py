"""Does KVM really work on this machine? /dev/kvm may be there and every boot stall."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .command import LabError, run, write
from .network import BOOT_ID

if TYPE_CHECKING:
    from pathlib import Path

QEMU = "qemu-system-x86_64"
_DEVICE = "/dev/kvm"
# With KVM it takes under two seconds.
_TRIAL_TIMEOUT_S = 20
_OPTIONS = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    # One thread per CPU; the newest instructions, as wheels are compiled for.
    "tcg": ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"],
}


def options(wanted: str, kernel: Path, memory: Path) -> list[str]:
    """Choose how QEMU runs the guest's code: QEMU's options for it.

    Args:
        wanted: `kvm`, `tcg`, or `auto` to find out, once for each boot of this machine.
        kernel: a Linux kernel to try KVM with.
        memory: the file that remembers what was found.
    """
    if wanted != "auto":
        return _OPTIONS[wanted]
    boot_id = BOOT_ID.read_text().strip()
    known = json.loads(memory.read_text()) if memory.is_file() else {}
    if known.get("boot_id") != boot_id:
        known = {"boot_id": boot_id, "accelerator": "kvm" if _kvm_works(kernel) else "tcg"}
        write(memory, json.dumps(known) + "\n")
    return _OPTIONS[known["accelerator"]]


def _kvm_works(kernel: Path) -> bool:
    """Boot a kernel without a root: it panics, and QEMU ends, once it has really run."""
    try:
        with open(_DEVICE, "r+b", buffering=0):  # noqa: PTH123 - a device, opened as QEMU will
            pass
    except OSError:
        return False
    words = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "256"]
    words += ["-kernel", str(kernel), "-append", "panic=-1 root=/dev/none", *_OPTIONS["kvm"]]
    try:
        return run(words, timeout_s=_TRIAL_TIMEOUT_S, check=False) is not None
    except LabError:  # It stalled.
        return False
