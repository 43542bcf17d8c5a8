import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Runs are fabricated as for the unit tests.
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests/unit")]


@pytest.fixture(scope="session")
def script():
    """Return docs/variables.py as a module."""
    return load("variables")


@pytest.fixture(scope="session")
def reliability():
    """Return docs/reliability.py as a module."""
    return load("reliability")


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its own module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
