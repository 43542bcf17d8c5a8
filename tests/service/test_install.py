"""What is installed and prepared before a release is activated, step by step."""

import errno
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace

import pytest
from service_fakes import FakeHost, installation, variant

from collect.decode import encode
from collect.runner.lock import HostLock
from collect.service.__main__ import main
from collect.service.environment import InstallError
from collect.service.install import Installer

GRANIAN = variant("granian-wsgi")


def packed(**files):
    """An archive of files by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def complete(folder, **changes):
    """A release that needs no unpacking."""
    return installation(folder, unpack=False, **changes)


def installer(wanted, archive=b""):
    return Installer(wanted, io.BytesIO(archive))


def counting(folder):
    """A setup command that says how often it ran."""
    return ("sh", "-c", f"echo ran >> {folder}/ran; touch {folder}/.setup-1")


def test_a_second_time_there_is_nothing_to_do(tmp_path):
    wanted = complete(tmp_path, setup=counting(tmp_path))
    foreseen = installer(wanted).foresee()
    assert list(tmp_path.iterdir()) == []
    assert installer(wanted).bring() == ()
    assert installer(wanted).prepare() == foreseen == ("KEY is made", "app_setup_commands run")
    assert (tmp_path / "secret.env").stat().st_mode & 0o777 == 0o600
    assert installer(wanted).foresee() == installer(wanted).prepare() == ()
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_secret_keeps_its_value_when_another_one_is_asked_for(tmp_path):
    wanted = complete(tmp_path)
    installer(wanted).prepare()
    first = (tmp_path / "secret.env").read_text()
    # A name that begins like another one, or has a meaning to regular expressions, is none of it.
    more = replace(wanted, generated=("KEY", "KE", "K.Y"))
    assert installer(more).prepare() == ("KE is made", "K.Y is made")
    both = (tmp_path / "secret.env").read_text()
    assert both.startswith(first)
    assert [line.partition("=")[0] for line in both.splitlines()] == ["KEY", "KE", "K.Y"]


def test_secrets_that_somebody_opened_up_are_closed(tmp_path):
    wanted = complete(tmp_path)
    installer(wanted).prepare()
    path = tmp_path / "secret.env"
    before = path.read_text()
    path.chmod(0o644)
    assert installer(wanted).prepare() == (f"{path} changes",)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == before


def test_a_setup_command_that_fails_is_named_with_what_it_said(tmp_path):
    last = "app_setup_commands[0] ended with status 1: python manage.py migrate"
    script = f"echo out; printf 'Traceback\\nno such table\\n{last}\\n' >&2; exit 1"
    wanted = complete(tmp_path, setup=("sh", "-c", script))
    with pytest.raises(InstallError) as caught:
        installer(wanted).prepare()
    assert str(caught.value) == last
    # Without the message itself: what stands in it already is not shown a second time.
    assert caught.value.said == "out\nTraceback\nno such table"
    assert not caught.value.temporary


def test_a_release_is_unpacked_over_one_that_was_cut_off(tmp_path):
    wanted = installation(tmp_path)
    # Of the environment nothing is made here: test_environment.py.
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/.complete").touch()
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/python").symlink_to("/bin/true")
    (tmp_path / "release").mkdir()
    (tmp_path / "release/manage.py").write_text("half of")
    whole = packed(**{"manage.py": "ok"})
    with pytest.raises(InstallError, match=f"{tmp_path}/release: tar cannot unpack"):
        installer(wanted, whole[:20]).bring()
    assert not (tmp_path / "release/.complete-1").exists()
    what = installer(wanted, whole).bring()
    assert what == (f"{tmp_path}/release is unpacked and installed",)
    assert (tmp_path / "release/manage.py").read_text() == "ok"
    assert (tmp_path / "release/.complete-1").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "serverbench-test", str(folder)], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("fills", ["release", "environment"])
def test_a_full_disk_is_told_with_what_makes_room(small_disk, fills):
    (small_disk / "serving").write_text("the former release")
    # An archive of zeros is small; an environment has 10 MiB.
    size = 2**23 if fills == "release" else 1
    wanted = installation(small_disk, python=sys.executable)
    with pytest.raises(InstallError) as caught:
        installer(wanted, packed(**{"manage.py": "0" * size})).bring()
    said = str(caught.value)
    assert "df -h" in said
    assert "app_releases_kept" in said
    assert not caught.value.temporary
    # Whatever serves has the room again.
    assert [path.name for path in small_disk.iterdir()] == ["serving"]


def test_a_full_disk_takes_nothing_from_a_release_that_was_there(small_disk):
    wanted = installation(small_disk, python=sys.executable)
    serving = small_disk / "release/manage.py"
    serving.parent.mkdir()
    serving.write_text("ok")
    with pytest.raises(InstallError, match="app_releases_kept make room"):
        installer(wanted, packed(more="0" * 2**23)).bring()
    assert serving.read_text() == "ok"


@pytest.fixture
def host(tmp_path):
    one = FakeHost(tmp_path)
    one.install("r1")
    one.deploy(GRANIAN, "r1")
    one.archive = packed(**{"manage.py": "ok"})
    return one


def bringing(host, release, **changes):
    """What brings a release to the host, with an environment that is there."""
    opt = host.places.root_dir
    venv = opt / "venvs/v-r1"
    (venv / "bin").mkdir(exist_ok=True)
    (venv / "bin/python").unlink(missing_ok=True)
    (venv / "bin/python").symlink_to("/bin/true")
    wanted = installation(
        host.places.settings_dir,
        release_dir=str(opt / "releases" / release),
        venv_dir=str(venv),
        stamp=str(opt / "releases" / release / ".complete-v-r1"),
        **changes,
    )
    staged = {
        "app.env": "A=2\n",
        GRANIAN.unit: "settings\n",
        "serverbench-candidate.service": f"settings {release}\n",
    }
    return host.activation(GRANIAN, release, install=wanted, staged=staged)


def test_a_release_is_brought_and_prepared_before_it_serves(host):
    settings = host.places.settings_dir
    staged, record = host.places.staged_dir / "app.env", settings / "seen"
    script = f"cat {staged} > {record}; readlink {host.places.root_dir}/current >> {record}"
    setup = ("sh", "-c", f"{script}; touch {settings}/.setup-1")
    wanted = bringing(host, "r2", generated=("OTHER",), setup=setup)
    foreseen = host.activator(wanted).look().what
    assert host.current() == "r1"
    outcome = host.activator(wanted).run()
    # Only then are they other secrets than those that the service was started with.
    assert [one for one in outcome.what if one != "the secrets have changed"] == list(foreseen)
    assert foreseen[:3] == (
        f"{host.places.root_dir}/releases/r2 is unpacked and installed",
        "OTHER is made",
        "app_setup_commands run",
    )
    # With the settings that it will serve with, while the former release serves on.
    assert record.read_text().splitlines() == ["A=2", f"{host.places.root_dir}/releases/r1"]
    assert (settings / "app.env").read_text() == "A=2\n"
    assert host.serving_release(GRANIAN.unit) == "r2"
    again = replace(wanted, install=replace(wanted.install, unpack=False))
    assert not host.activator(again).run().changed


def test_what_cannot_be_prepared_leaves_all_as_it_was(host):
    before = host.units_on_disk()
    host.calls.clear()
    with pytest.raises(InstallError):
        host.activator(bringing(host, "r2", setup=("false",))).run()
    assert host.acted() == []
    assert (host.current(), host.units_on_disk()) == ("r1", before)
    assert (host.places.settings_dir / "app.env").read_text() == "A=1\n"
    # The same again, once it is mended.
    assert host.activator(bringing(host, "r2")).run().changed
    assert host.serving_release(GRANIAN.unit) == "r2"


def test_staged_settings_that_somebody_opened_up_are_closed(host):
    host.activator(bringing(host, "r2")).run()
    staged = host.places.staged_dir / "app.env"
    staged.chmod(0o644)
    wanted = bringing(host, "r2", unpack=False)
    assert host.activator(wanted).run().what == (f"{staged} gets its mode back",)
    assert staged.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_fills_while_it_is_activated_is_told_alike(tmp_path, monkeypatch, capsys):
    def run(_activator):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/etc/serverbench/app.env")

    monkeypatch.setattr("collect.service.activate.Activator.run", run)
    wanted = tmp_path / "wanted"
    wanted.write_text(json.dumps(encode(FakeHost(tmp_path).activation(GRANIAN, "r1"))) + "\n")
    assert main([str(wanted), "--lock-file", str(tmp_path / "lock")]) == 1
    said = json.loads(capsys.readouterr().out)["message"]
    assert said.startswith("/etc/serverbench/app.env: No space left on device. df -h on the host")


@pytest.mark.parametrize("holder", ["run 20260101-120000", "deployment of r1"])
def test_a_host_at_work_is_left_alone_and_what_to_do_is_said(tmp_path, capsys, holder):
    lock = tmp_path / "lock"
    held = HostLock(lock, holder, "2026-01-01")
    wanted = tmp_path / "wanted"
    wanted.write_text(json.dumps(encode(FakeHost(tmp_path).activation(GRANIAN, "r2"))) + "\n")
    try:
        assert main([str(wanted), "--lock-file", str(lock)]) == 1
    finally:
        held.release()
    said = json.loads(capsys.readouterr().out)["message"]
    assert said.startswith(f"this host is at work ({holder}, pid {os.getpid()}, since 2026-01-01)")
    assert said.endswith(". Then give the same command again")
