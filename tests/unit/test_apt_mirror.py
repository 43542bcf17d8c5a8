"""Package sources as Debian, Ubuntu and cloud images write them, put on a mirror and back."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location(
    "base_apt_mirror", ROOT / "roles/base/library/base_apt_mirror.py"
)
mirror = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mirror)

NEAR = "http://mirrors.example.com"
DEBIAN_13 = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://ftp.de.debian.org/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: mirror+file:/etc/apt/mirrors/debian-security.list
Suites: trixie-security
Components: main contrib
"""
DEBIAN_12 = """\
# main
deb http://ftp.de.debian.org/debian bookworm main contrib
deb-src [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://ftp.debian.org/debian/ bookworm main
deb http://security.debian.org bookworm-security main
#deb http://ftp.de.debian.org/debian bookworm-backports main
deb https://download.docker.com/linux/debian bookworm stable
deb https://pkg.jenkins.io/debian binary/
"""
UBUNTU = """\
Types: deb
URIs: http://de.archive.ubuntu.com/ubuntu/
 http://mirrors.tencentyun.com/ubuntu
Suites: noble noble-updates noble-backports
Components: main restricted universe

Types: deb
URIs: http://ports.ubuntu.com/ubuntu-ports/
Suites: noble-security
Components: main

Types: deb
URIs: https://ppa.launchpadcontent.net/deadsnakes/ppa/ubuntu/
Suites: noble
Components: main
"""


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def converge(etc, address, codename):
    plan = mirror.planned(etc, address, codename)
    changes = {path: texts for path, texts in plan.items() if texts[0] != texts[1] or not address}
    mirror.apply(changes, put_back=not address)
    return sorted(path.name for path in changes)


def test_deb822_of_debian(etc):
    path = etc / "sources.list.d/debian.sources"
    path.write_text(DEBIAN_13)
    path.chmod(0o640)
    assert converge(etc, NEAR, "trixie") == ["debian.sources"]
    text = path.read_text()
    assert f"\nURIs: {NEAR}/debian\nSuites: trixie trixie-updates\n" in text
    assert f"\nURIs: {NEAR}/debian-security\n" in text
    assert text.startswith(f"# apt_mirror of serverbench: {NEAR} (before: debian.sources.server")
    assert path.stat().st_mode & 0o777 == 0o640
    assert converge(etc, NEAR, "trixie") == []


def test_the_one_line_form_and_only_the_distributions_own(etc):
    path = etc / "sources.list"
    path.write_text(DEBIAN_12)
    converge(etc, NEAR, "bookworm")
    assert path.read_text().splitlines()[1:] == [
        "# main",
        f"deb {NEAR}/debian bookworm main contrib",
        f"deb-src [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] {NEAR}/debian bookworm main",
        f"deb {NEAR}/debian-security bookworm-security main",
        *DEBIAN_12.splitlines()[4:],
    ]


def test_ubuntu_with_two_addresses_and_a_ppa(etc):
    path = etc / "sources.list.d/ubuntu.sources"
    path.write_text(UBUNTU)
    converge(etc, "https://mirrors.example.com/x", "noble")
    text = path.read_text()
    assert "URIs: https://mirrors.example.com/x/ubuntu\nSuites: noble noble-updates" in text
    assert "URIs: https://mirrors.example.com/x/ubuntu-ports\nSuites: noble-security" in text
    assert "URIs: https://ppa.launchpadcontent.net/deadsnakes/ppa/ubuntu/\n" in text


def test_another_mirror_and_then_none(etc):
    path = etc / "sources.list.d/debian.sources"
    path.write_text(DEBIAN_13)
    converge(etc, "https://mirrors.example.com/x", "trixie")
    path.write_text(path.read_text() + "\n# added since\n")
    assert converge(etc, NEAR, "trixie") == ["debian.sources"]
    assert f"\nURIs: {NEAR}/debian\n" in path.read_text()
    assert path.read_text().endswith("# added since\n")
    assert path.read_text().count("apt_mirror of serverbench") == 1
    assert converge(etc, "", "trixie") == ["debian.sources"]
    assert path.read_text() == DEBIAN_13
    assert [p.name for p in (etc / "sources.list.d").iterdir()] == ["debian.sources"]
    assert converge(etc, "", "trixie") == []


def test_what_is_no_source_of_the_distribution_is_not_touched(etc):
    path = etc / "sources.list.d/docker.list"
    path.write_text("deb https://download.docker.com/linux/debian trixie stable\n")
    (etc / "sources.list.d/old.list.disabled").write_text(
        "deb http://ftp.de.debian.org/debian sid main\n"
    )
    assert converge(etc, NEAR, "trixie") == []
    assert mirror.planned(etc, NEAR, "trixie") == {}
