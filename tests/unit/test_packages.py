"""What apt installed, by its own words."""

import pytest

from collect.packages import newly_installed

SAID = """\
Reading package lists...
Building dependency tree...
The following additional packages will be installed:
  libluajit-5.1-2 libluajit-5.1-common
Suggested packages:
  redis-tools
The following NEW packages will be installed:
  libluajit-5.1-2 libluajit-5.1-common
  wrk libc6-i386:amd64
0 upgraded, 4 newly installed, 0 to remove and 3 not upgraded.
Inst wrk (4.1.0-4 Debian:13/stable [amd64])
"""


@pytest.mark.parametrize(
    ("said", "asked", "expected"),
    [
        (SAID, ["wrk", "redis-server", "redis-tools"], ["wrk"]),
        (SAID.replace("\n", "\r\n"), ["wrk=4.1.0-4", "libc6-i386:amd64"], ["wrk", "libc6-i386"]),
        # Upgraded, or marked as asked for: it was there.
        ("The following packages will be upgraded:\n  wrk\n1 upgraded", ["wrk"], []),
        ("", ["wrk"], []),
    ],
)
def test_only_what_was_not_there_is_new(said, asked, expected):
    assert newly_installed(said, asked) == expected
