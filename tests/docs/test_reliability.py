"""docs/reliability.md says what the lab tests show, of every fault there is."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAULTS = range(1, 19)


def test_the_page_is_current(reliability):
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert page == reliability.page(), "docs/reliability.md is not current: run `make docs`"


def test_each_fault_has_its_test(reliability):
    assert [fault.number for fault in reliability.faults()] == list(FAULTS)
