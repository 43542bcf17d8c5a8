"""Which releases of the project stay on a host."""

import itertools
import os

import pytest

from collect.service.releases import Releases


@pytest.fixture
def install(tmp_path):
    """Return what installs so many releases, oldest first."""

    def make(count):
        for number in range(count):
            (tmp_path / f"releases/r{number}").mkdir(parents=True)
            (tmp_path / f"releases/r{number}/.complete-venv").touch()
            os.utime(tmp_path / f"releases/r{number}", (number, number))
        return Releases(tmp_path)

    return make


@pytest.mark.parametrize(
    ("kept", "installed", "needed"),
    [*itertools.product((1, 2, 3, 5, 7, 100), (1, 2, 4, 6), (1, 2))],
)
def test_as_many_stay_as_are_to_be_kept_and_those_that_are_needed(install, kept, installed, needed):
    releases = install(installed)
    # The oldest are those that are needed: one has gone back to them.
    needs = [f"r{number}" for number in range(min(needed, installed))]
    gone = [path.name for path in releases.superfluous(kept, [*needs, None])]
    assert len(gone) == max(0, installed - max(kept, len(needs)))
    assert gone == [f"r{number}" for number in range(len(needs), len(needs) + len(gone))]
