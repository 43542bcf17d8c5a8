"""Write docs/reliability.md from the tests that inject each fault: `make docs`.

A fault's docstring in the lab tests begins with its number and what was done to the host; lines
that begin with `Kept:`, `Said:` and `Then:` follow. So the page says what a test has shown, and no
more.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reliability.md"
TESTS = ROOT / "tests/lab"
_FIRST = re.compile(r"(\d+)\. (.+)", re.DOTALL)
_PARTS = ("Kept", "Said", "Then")

HEAD = """\
# When something goes wrong

Each of these was done to a real host by a test (`make test-faults`; 6 and 14 by `make test-vm`,
1, 5 and 11 by `make test`), and this page is made from those tests. *The same command* is the one
that was given at first, with its `bench_run_id`: what was finished is never measured twice, and
what was cut off is never averaged.

| | what happens | what is kept | what is said | what comes next | test |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row."""

    number: int
    what: str
    kept: str
    said: str
    then: str
    test: str


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")


def page() -> str:
    """Return the page."""
    rows = [
        f"| {one.number} | {one.what} | {one.kept} | {one.said} | {one.then} | `{one.test}` |\n"
        for one in faults()
    ]
    return HEAD + "".join(rows)


def faults() -> list[Fault]:
    """Return the faults of all lab tests, by number.

    Raises:
        SystemExit: a docstring lacks a part.
    """
    found = []
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                fault = _fault(text, f"{path.stem}.py::{node.name}")
                found += [fault] if fault else []
    return sorted(found, key=lambda fault: fault.number)


def _fault(text: str, test: str) -> Fault | None:
    first, _, rest = text.partition("\n\n")
    head = _FIRST.fullmatch(first.strip())
    if head is None:
        return None
    parts = dict(re.findall(r"^(\w+): (.+?)(?=^\w+: |\Z)", rest, re.MULTILINE | re.DOTALL))
    if sorted(parts) != sorted(_PARTS):
        sys.exit(f"{test}: its docstring has {', '.join(parts)}; wanted are {', '.join(_PARTS)}")
    kept, said, then = (" ".join(parts[name].split()) for name in _PARTS)
    return Fault(int(head[1]), " ".join(head[2].split()), kept, said, then, test)


if __name__ == "__main__":
    main()
