"""Saved layers, and what bases and layers nobody stands on any more."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .command import LabError, Steps, delete_tree, write
from .records import Layer, Record, flavour, flavour_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .records import Wanted


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers all lab hosts share, seen from one host."""

    wanted: Wanted
    steps: Steps

    def saved(self) -> dict[str, Layer]:
        """Every saved layer by the name it was saved as."""
        found = {}
        for current in sorted(self.wanted.layers.glob("*.current")):
            folder = self.wanted.layers / current.read_text().strip()
            fields = json.loads((folder / "layer.json").read_text())
            found[current.stem] = Layer(**{**fields, "layers": tuple(fields["layers"])})
        return found

    def find(self) -> Layer:
        """Return the layer that is asked for.

        Raises:
            LabError: there is none of that name, or it is of another kind or release.
        """
        name = self.wanted.layer
        saved = self.saved()
        if name not in saved:
            raise LabError(
                f"lab_host_layer {name} was never saved (saved: {', '.join(saved) or 'none'}); "
                f"save it with lab_host_state=saved"
            )
        have = flavour_of(saved[name].base)
        asked = flavour(self.wanted.kind, self.wanted.release)
        if have != asked:
            raise LabError(
                f"lab_host_layer {name} is of {have}, and lab_host_release and lab_host_kind ask "
                f"for {asked}; change one of them"
            )
        return saved[name]

    def save(self, record: Record, freeze: Callable[[Path], None]) -> Layer:
        """Keep a host's own files, which `freeze` moves, under the name that is asked for."""
        number = 1
        while (self.wanted.layers / f"{self.wanted.layer}-{number}").exists():
            number += 1
        layer = f"{self.wanted.layer}-{number}"
        target = self.wanted.layers / layer
        target.mkdir(parents=True)
        freeze(target)
        saved = Layer(self.wanted.name, record.base, (*record.layers, layer))
        write(target / "layer.json", json.dumps(asdict(saved)) + "\n")
        write(self.wanted.layers / f"{self.wanted.layer}.current", f"{layer}\n")
        return saved

    def drop_own(self) -> None:
        """Give up the names of the layers saved from this host."""
        for name, layer in self.saved().items():
            if layer.host == self.wanted.name and self.steps.take(f"Drop the layer {name}"):
                (self.wanted.layers / f"{name}.current").unlink()

    def collect_garbage(self) -> None:
        """Delete bases and layers that no host and no saved name stands on any more."""
        bases = self.wanted.bases
        records = map(Record.read, self.wanted.folder.parent.glob("*/host.json"))
        users: list[Record | Layer] = [*filter(None, records), *self.saved().values()]
        used = {name for user in users for name in (user.base, *user.layers)}
        # The newest base of each flavour stays for the next host, whoever uses it.
        for one in {flavour_of(path.name) for path in bases.glob("[a-z]*-*")}:
            used.add(max(bases.glob(f"{one}-*"), key=_built_at).name)
        for folder in [*bases.glob("[a-z]*-*"), *self.wanted.layers.glob("*/")]:
            if folder.name not in used and self.steps.take(f"Delete {folder}"):
                delete_tree(folder)


def _built_at(folder: Path) -> float:
    return folder.stat().st_mtime
