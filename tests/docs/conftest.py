import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# Runs are fabricated as for the unit tests.
sys.path[:0] = [str(Path(__file__).parent), str(TESTS / "unit")]
