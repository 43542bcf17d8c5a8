"""Who may import whom, read from the source: a cycle or a shortcut shows here first."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import collect

ROOT = Path(collect.__file__).parent
# Each layer may import the ones after it. Modules of one entry do not know each other.
LAYERS = [
    ["__main__"],
    ["cli"],
    ["verify", "simulate", "project", "doctor"],
    ["report"],
    ["changes"],
    # It compares the order of the servers in each window by `stats`.
    ["detective"],
    ["stats", "parse"],
    ["archive"],
    ["store"],
    ["pack"],
    ["variables"],
    ["checkout", "requirements"],
    ["schedule"],
    ["plan", "request", "follow"],
    ["rates"],
    ["inputs", "twin", "ladder"],
    ["variants", "patterns", "documents"],
    ["checks", "decide"],
    ["activation", "quick"],
    ["model"],
    ["decode", "upgrade", "attempts", "sums", "schema", "fingerprint", "kit_variables"],
    ["errors", "lang", "alarm", "foreign", "beside", "files"],
]
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
# What runs on the host: it ships without the rest of the kit.
HOST_SIDE = {"runner", "service"}
SHIPS = {
    "activation",
    "alarm",
    "attempts",
    "checks",
    "decide",
    "decode",
    "errors",
    "files",
    "lang",
    "model",
    "upgrade",
}
HOST_MAY_IMPORT = SHIPS | HOST_SIDE

MODULES = sorted(ROOT.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the dotted names of all modules that the file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names.add(node.module)
            # `from collect import x` imports a module, `from collect.x import y` mostly a name.
            if node.module == "collect":
                found = {alias.name for alias in node.names} & {layer(path) for path in MODULES}
                names |= {f"collect.{name}" for name in found}
    return names


def of_the_kit(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("collect.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    name, names = layer(path), imported(path)
    foreign = {module.split(".")[0] for module in names}
    assert "ansible" not in foreign
    # It starts Ansible as a program and imports nothing of it.
    assert "ansible_runner" not in foreign or path == ROOT / "cli" / "driven.py"
    if name == "__init__":
        assert not names
    elif name in HOST_SIDE:
        assert of_the_kit(names) <= HOST_MAY_IMPORT
        allowed = set(sys.stdlib_module_names) | {"psutil", "collect"}
        assert foreign <= allowed
    else:
        assert name in DEPTH, f"say in LAYERS where collect.{name} belongs"
        for other in of_the_kit(names) - {name}:
            assert other not in HOST_SIDE
            assert DEPTH[other] > DEPTH[name], f"collect.{name} must not import collect.{other}"


def test_what_ships_to_the_host_needs_nothing_but_itself():
    for path in (path for path in MODULES if layer(path) in SHIPS):
        names = imported(path)
        assert of_the_kit(names) <= HOST_MAY_IMPORT
        assert {module.split(".")[0] for module in names} <= {*sys.stdlib_module_names, "collect"}
