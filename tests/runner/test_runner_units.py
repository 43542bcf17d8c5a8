"""What systemd says of several units, and what is made of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from collect.runner import systemd

UNITS = ("a.service", "b.socket", "c.service", "d.service")


@pytest.fixture
def says(monkeypatch):
    """Put an answer in the place of systemctl's."""

    def answer(text, status=0):
        done = None if text is None else subprocess.CompletedProcess([], status, text, "")
        monkeypatch.setattr(systemd, "_call", lambda *_: done)

    return answer


def test_what_comes_up_goes_down_or_is_about_to_counts_as_running(says):
    says(
        "Id=a.service\nActiveState=inactive\nJob=17\n\n"
        "Id=b.socket\nActiveState=active\n\n"
        "Id=c.service\nActiveState=failed\n\n"
        "Id=d.service\nActiveState=deactivating\nJob=0\n"
    )
    assert systemd.Systemd().active(UNITS) == ("a.service", "b.socket", "d.service")


@pytest.mark.parametrize(("text", "status"), [(None, 0), ("", 1)])
def test_whatever_may_run_counts_as_running_while_systemd_does_not_answer(says, text, status):
    says(text, status)
    assert systemd.Systemd().active(UNITS) == UNITS


DROP_IN = Path("/run/systemd/system/a.service.d/limits.conf")
READ = f"LoadState=loaded\nDropInPaths=/etc/x.conf {DROP_IN}\nNeedDaemonReload=no\n"


@pytest.mark.parametrize(
    ("text", "knows"),
    [
        (READ, True),
        (f"LoadState=loaded\nDropInPaths=\nNeedDaemonReload=no\n\n{READ}", True),
        (f"LoadState=loaded\nDropInPaths=\nNeedDaemonReload=yes\n\n{READ}", False),
        (READ.replace("=no", "=yes"), False),
        (READ.replace("=loaded", "=not-found"), False),
        (READ.replace(str(DROP_IN), ""), False),
        ("", False),
    ],
)
def test_a_unit_is_read_once_nothing_of_it_is_older_than_its_files(says, text, knows):
    says(text)
    assert systemd.Systemd().has_read(["a.socket", "a.service"], DROP_IN) is knows
