"""What makes a deployment go through all its tasks again, and what does not."""

from __future__ import annotations

import pytest

from collect.fingerprint import Converged, fingerprint, kit_digest, read_converged


@pytest.fixture
def kit(tmp_path):
    for name in ("collect/plan.py", "roles/base/tasks/main.yml", "playbooks/bench.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    return tmp_path


def test_every_file_of_the_kit_counts(kit):
    before = kit_digest(kit)
    assert kit_digest(kit) == before
    for name in ("collect/plan.py", "roles/base/tasks/main.yml", "playbooks/bench.yml"):
        (kit / name).write_text("changed")
        after = kit_digest(kit)
        assert after != before
        before = after
    (kit / "roles/base/files").mkdir()
    (kit / "roles/base/files/new").write_text("")
    assert kit_digest(kit) != before


def test_a_file_that_only_has_another_name_counts(kit):
    before = kit_digest(kit)
    (kit / "collect/plan.py").rename(kit / "collect/other.py")
    assert kit_digest(kit) != before


def test_what_python_leaves_behind_and_translations_do_not_count(kit):
    before = kit_digest(kit)
    (kit / "collect/__pycache__").mkdir()
    (kit / "collect/__pycache__/plan.cpython-311.pyc").write_bytes(b"x")
    (kit / "collect/serverbench.po").write_text("x")
    (kit / "tests").mkdir()
    (kit / "tests/test_plan.py").write_text("x")
    assert kit_digest(kit) == before


def test_values_count_and_their_order_does_not():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert fingerprint({"b": [1, 2]}) != fingerprint({"b": [2, 1]})


@pytest.mark.parametrize("text", ["", "one", "one two", "one two three four"])
def test_a_note_that_is_no_note_is_none(text):
    assert read_converged(text) == Converged()


def test_a_note_is_three_words():
    assert read_converged("p d s ") == Converged("p", "d", "s")
