"""What a lab host is asked to be, and the notes kept beside its files of what it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .command import write

if TYPE_CHECKING:
    from .keys import Owner

# Locks, sockets and the memory of what the kernel was like: they concern this boot, all labs, and
# no one's choice of lab_host_root_dir.
RUN_DIR = Path("/run/serverbench-lab")


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
