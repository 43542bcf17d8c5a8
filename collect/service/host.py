"""Where things lie on the host, and what an activation needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from collect.runner.seams import Services

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collect.model import Variant
    from collect.runner.seams import Asker, Clock

CANDIDATE = "serverbench-candidate"


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the host; a test brings its own."""

    root_dir: Path = Path("/opt/serverbench")
    """Releases, virtual environments and the link `current`."""
    settings_dir: Path = Path("/etc/serverbench")
    unit_dir: Path = Path("/etc/systemd/system")
    runtime_unit_dir: Path = Path("/run/systemd/system")
    """Units there are gone after a boot."""
    runs_dir: Path = Path("/var/lib/serverbench/runs")

    @property
    def staged_dir(self) -> Path:
        """What the next activation puts in place, each file by its name; the candidate's too."""
        return self.settings_dir / "service"

    def proxy_config(self, variant: Variant) -> Path:
        """The configuration of the variant's proxy."""
        return self.settings_dir / "proxy" / f"{variant.id}.{variant.proxy}"

    @property
    def service_file(self) -> Path:
        """What this host serves."""
        return self.settings_dir / "service.json"

    @property
    def undo_file(self) -> Path:
        """How it was before an activation that has not ended; only root may read it."""
        return self.staged_dir / "undo.json"

    @property
    def environment_digest_file(self) -> Path:
        """The digest of the secrets that the service was started with; only root may read it."""
        return self.staged_dir / "environment.sha256"

    @property
    def proof_file(self) -> Path:
        """What the service was asked and answered rightly; only root may read it."""
        return self.staged_dir / "proof.json"


class Units(Services, Protocol):
    """systemd, with what changes a host for good. `ServerbenchError` where it refuses."""

    def enabled(self) -> tuple[str, ...]:
        """Return the units of variants and proxies that start at boot."""

    def enable(self, units: Sequence[str]) -> None:
        """Have the units start at boot."""

    def disable(self, units: Sequence[str]) -> None:
        """Have the units not start at boot."""

    def reload(self) -> None:
        """Read the unit files anew."""

    def has_read(self, units: Sequence[str], drop_in: Path) -> bool:
        """Tell whether systemd knows the units as their files are now, that drop-in among them."""

    def verify(self, path: Path, unit: str) -> str | None:
        """Return what systemd would say against the file as that unit; None where it is fine."""

    def restart(self, unit: str, timeout_s: float) -> str | None:
        """Restart the unit, wait for its new process; return what went wrong."""


@dataclass(frozen=True, slots=True)
class Host:
    """All that an activation touches."""

    places: Places
    units: Units
    clock: Clock
    asker: Callable[[str, int], Asker]
    """Makes the one that asks at an address and port."""
    log: Callable[[str], None]
    archive: IO[bytes]
    """The packed release, where one is to be installed."""
