"""What a lab host is asked to be, and the notes kept beside its files of what it is."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .command import write
from .keys import Owner

# Locks, sockets and the memory of what the kernel was like: they concern this boot, all labs, and
# no one's choice of lab_host_root_dir.
RUN_DIR = Path("/run/serverbench-lab")

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {
        "choices": ["checked", "present", "absent", "reset", "saved", "purged"],
        "default": "present",
    },
    "name": {},
    "kind": {"choices": ["container", "vm"], "default": "container"},
    "address": {},
    "subnet": {},
    "bridge": {},
    "release": {"choices": ["trixie", "bookworm"]},
    "cpus": {"type": "int"},
    "memory_bytes": {"type": "int"},
    "layer": {"default": ""},
    "nameservers": {"type": "list", "elements": "str", "default": []},
    "root_dir": {"type": "path"},
    "ssh_dir": {"type": "path", "no_log": False},
    "owner_uid": {"type": "int"},
    "owner_gid": {"type": "int"},
    "boot_timeout_s": {"type": "float", "default": 60.0},
    "accelerator": {"choices": ["auto", "kvm", "tcg"], "default": "auto"},
}
"""Of the module `lab_host`, which documents them."""
_NEEDED = ["name", "address", "subnet", "bridge", "release", "cpus", "memory_bytes"]
_NEEDED += ["root_dir", "ssh_dir", "owner_uid", "owner_gid"]
REQUIRED_IF = [
    ("state", state, _NEEDED) for state in ("present", "absent", "reset", "saved", "purged")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the inventory asks for."""

    name: str
    kind: str
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
    owner: Owner
    boot_timeout_s: float
    accelerator: str

    @classmethod
    def of(cls, given: dict[str, Any]) -> Wanted:
        """Take what the module was given; `ValueError` for a subnet that is none."""
        return cls(
            name=given["name"],
            kind=given["kind"],
            address=given["address"],
            subnet=str(ipaddress.IPv4Network(given["subnet"])),
            bridge=given["bridge"],
            release=given["release"],
            cpus=given["cpus"],
            memory_bytes=given["memory_bytes"],
            layer=given["layer"],
            nameservers=tuple(given["nameservers"]),
            root_dir=Path(given["root_dir"]),
            ssh_dir=Path(given["ssh_dir"]).resolve(),
            owner=Owner(given["owner_uid"], given["owner_gid"]),
            boot_timeout_s=given["boot_timeout_s"],
            accelerator=given["accelerator"],
        )

    @property
    def machine(self) -> str:
        """The name by which this machine's tools know it."""
        return f"serverbench-{self.name}"

    @property
    def folder(self) -> Path:
        """Where the host's own files live."""
        return self.root_dir / "hosts" / self.name

    @property
    def bases(self) -> Path:
        """Where the bases of all hosts live."""
        return self.root_dir / "base"

    @property
    def layers(self) -> Path:
        """Where the saved layers of all hosts live."""
        return self.root_dir / "layers"


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
    # Records of earlier editions name no kind: there was one.
    kind: str = "container"

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


def flavour(kind: str, release: str) -> str:
    """What bases are told apart by, and their folders' names begin with: `trixie`, `trixie_vm`."""
    return release if kind == "container" else f"{release}_{kind}"


def flavour_of(base: str) -> str:
    """The flavour of a base, from its name."""
    return base.partition("-")[0]
