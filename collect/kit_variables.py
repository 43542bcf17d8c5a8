"""The variables that this kit declares, and names in an inventory that look like one of them."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from collect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_OURS = "bench_"
"""No other variable begins like this: one that is unknown would change nothing that is measured."""
_ALIKE = 0.88
"""Of `difflib`'s ratio: app_databse_url is a slip, app_domain a variable of somebody's own."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def options(folder: Path) -> tuple[str, ...]:
    """Return the options that a role (or playbooks/) declares, of all its entry points."""
    specs = _load(folder / "meta/argument_specs.yml")["argument_specs"]
    return tuple(name for spec in specs.values() for name in spec.get("options", {}))


def kit_variables(root: Path) -> frozenset[str]:
    """Return each variable that a role, the playbooks or their group_vars declare."""
    folders = [path.parents[1] for path in root.glob("roles/*/meta/argument_specs.yml")]
    names = {name for folder in (*folders, root / "playbooks") for name in options(folder)}
    return frozenset({*names, *own_values(root)})


@cache
def own_values(root: Path) -> Mapping[str, object]:
    """Return what the playbooks' group_vars say of each variable, as it is written there."""
    found: dict[str, object] = {}
    for path in root.glob("playbooks/group_vars/all/*.yml"):
        found |= _load(path)
    return found


def check_names(names: Iterable[str], known: frozenset[str]) -> None:
    """Raise `DataError` for the first name that means nothing to the kit and was meant to.

    Names like that of a variable of the kit, or with the prefix that is its own. Whoever misspells
    one would otherwise measure something else than they think.
    """
    # Ansible takes 1 for the name of a variable as well.
    for name in sorted(map(str, set(names) - known)):
        if name.startswith(("_", "ansible_")):
            continue
        alike = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if not alike and not name.startswith(_OURS):
            continue
        alike = alike or difflib.get_close_matches(name, known, n=3, cutoff=0)
        raise DataError(
            f"{name}: is no variable of this kit; did you mean {' or '.join(alike)}? All of them "
            "stand in docs/variables.md; one of your own needs a name less like these"
        )


def _load(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=_LOADER)  # noqa: S506 - both are safe loaders
    return found
