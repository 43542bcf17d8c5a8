"""What the lab host takes over from this machine, so that apt and pip work inside as they do here.

Package sources, certificate authorities, pip's settings, name servers and the uplink's MTU.
"""

from __future__ import annotations

import configparser
import ipaddress
import json
import os
import platform
import pwd
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .command import LabError, run

CA_FOLDER = Path("/usr/local/share/ca-certificates")
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_DEBIAN_KEYRING = "debian-archive-keyring"
# …/debian, …/debian-security, and the dated folders of a snapshot archive.
_DEBIAN_PATH = re.compile(r"/debian(-security)?(/\d{8}T\d{6}Z)?/*$")
_SUITE_SUFFIXES = ("", "-updates", "-security")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)$")
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "cert")


@dataclass(frozen=True, slots=True)
class AptEntry:
    """One enabled binary package source, whichever form it was written in."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def parse_one_line(text: str) -> list[AptEntry]:
    """Read the one-line form (`deb [signed-by=…] URI suite component…`)."""
    entries = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        suite, *components = match["rest"].split()
        entries.append(
            AptEntry(
                (match["uri"],), (suite,), tuple(components), options.get("signed-by", "").strip()
            )
        )
    return entries


def parse_deb822(text: str) -> list[AptEntry]:
    """Read the paragraph form (`Types:`, `URIs:`, `Suites:`, …)."""
    entries = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        entries.append(
            AptEntry(
                tuple(fields.get("uris", "").split()),
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )
        )
    return entries


def resolve_mirror_list(uri: str, root: Path = Path("/")) -> str:
    """Turn Debian's cloud images' `mirror+file:/…` into the first mirror that file lists."""
    if not uri.startswith("mirror+file:"):
        return uri
    listing = root / urlsplit(uri).path.lstrip("/")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            words = line.split("#", 1)[0].split()
            if words:
                return words[0]
    return ""


def debian_sources(entries: list[AptEntry], codename: str, release: str) -> list[str]:
    """Pick Debian's own archive from the entries and write it for another release.

    Vendors also publish under Debian's suite names, so the suite alone proves nothing: the
    source must be signed with Debian's keyring or, when it names none, look like the archive.
    """
    renamed: dict[str, str] = {}
    for suffix in _SUITE_SUFFIXES:
        for alias in (codename, "stable", "oldstable"):
            renamed[f"{alias}{suffix}"] = f"{release}{suffix}"
    lines = []
    for entry in entries:
        if "main" not in entry.components:
            continue
        for uri in map(resolve_mirror_list, entry.uris):
            if urlsplit(uri).scheme not in {"http", "https"}:
                continue
            if entry.signed_by and _DEBIAN_KEYRING not in entry.signed_by:
                continue
            if not entry.signed_by and not _DEBIAN_PATH.search(uri):
                continue
            # A keyring's path is this machine's business: in the root apt trusts Debian's own.
            lines += [
                f"deb {uri} {renamed[suite]} main" for suite in entry.suites if suite in renamed
            ]
    return list(dict.fromkeys(lines))


def apt_sources(release: str, root: Path = Path("/")) -> list[str]:
    """Name the package sources for the lab host; empty means mmdebstrap's own default."""
    if platform.freedesktop_os_release().get("ID") != "debian":
        return []
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    folder = root / "etc/apt"
    entries = []
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]:
        if path.suffix == ".list" and path.is_file():
            entries += parse_one_line(path.read_text())
        elif path.suffix == ".sources" and path.is_file():
            entries += parse_deb822(path.read_text())
    lines = debian_sources(entries, codename, release)
    # Without the release itself, updates and security alone build nothing.
    return lines if any(line.split()[2] == release for line in lines) else []


def apt_proxy_options() -> list[str]:
    """Return the proxy apt uses here, as lines of apt.conf."""
    said = run(["apt-config", "dump", "--format", '%F "%v";%n'], check=False) or ""
    return [
        line
        for line in said.splitlines()
        if re.match(r"Acquire::https?::Proxy ", line, re.IGNORECASE)
        and (parts := line.split('"', 2)[1])
        and not is_local(parts)
    ]


def is_local(value: str) -> bool:
    """Tell whether an address would mean something else, or nothing, inside the lab host."""
    parts = urlsplit(value if "://" in value else f"//{value}")
    if parts.scheme == "file" or not parts.hostname:
        return True
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def certificates() -> dict[str, str]:
    """Return the certificate authorities someone added to this machine, by file name."""
    return {
        str(path.relative_to(CA_FOLDER)): path.read_text()
        for path in sorted(CA_FOLDER.rglob("*.crt"))
    }


def pip_settings(home: Path, root: Path = Path("/")) -> dict[str, str]:
    """Read pip's settings of this machine and keep what means something inside the lab host.

    The files and PIP_* variables are read directly: this machine need not have pip at all.
    """
    found: dict[str, str] = {}
    paths = [root / "etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    if "PIP_CONFIG_FILE" in os.environ:
        paths.append(Path(os.environ["PIP_CONFIG_FILE"]))
    for path in paths:
        parser = configparser.RawConfigParser()
        if path.is_file():
            parser.read(path)
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name in _PIP_SETTINGS:
        variable = os.environ.get(f"PIP_{name.replace('-', '_').upper()}")
        if variable:
            found[name] = variable
    kept = {}
    for name in _PIP_SETTINGS:
        values = found.get(name, "").split()
        if name in {"index-url", "extra-index-url", "proxy"}:
            values = [value for value in values if not is_local(value)]
        elif name == "cert":
            values = [value for value in values if value == CA_BUNDLE]
        if values:
            kept[name] = "\n    ".join(values)
    if certificates():
        # A pip that brings certificates of its own would not see the ones added here.
        kept["cert"] = CA_BUNDLE
    return kept


def pip_configuration(owner_uid: int) -> str:
    """Write pip's configuration file for the lab host; empty when there is nothing to say."""
    settings = pip_settings(Path(pwd.getpwuid(owner_uid).pw_dir))
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def resolver_configuration(nameservers: list[str], root: Path = Path("/")) -> str:
    """Write resolv.conf for the lab host: the given name servers, or this machine's.

    Raises:
        LabError: none are given and this machine names none that the lab host can reach.
    """
    if nameservers:
        return "".join(f"nameserver {address}\n" for address in nameservers)
    # With systemd-resolved, resolv.conf names a loopback address and this file the real ones.
    for name in ("etc/resolv.conf", "run/systemd/resolve/resolv.conf"):
        path = root / name
        if not path.is_file():
            continue
        kept = []
        for line in path.read_text().splitlines():
            words = line.split()
            useful = words[:1] in (["search"], ["options"])
            if useful or (words[:1] == ["nameserver"] and _is_reachable_server(words[1])):
                kept.append(line)
        if any(line.startswith("nameserver") for line in kept):
            return "\n".join([*kept, ""])
    raise LabError(
        "no name server in /etc/resolv.conf can be reached from the lab host (only loopback "
        "or IPv6 addresses); set lab_host_nameservers, for example to your router's address"
    )


def _is_reachable_server(address: str) -> bool:
    try:
        return not ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False  # IPv6, which the lab's network does not route.


def uplink_mtu() -> int:
    """Return the largest packet, in bytes, that leaves this machine whole."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "default"]) or "[]")
    if not routes:
        return 1500
    uplink = min(routes, key=lambda route: route.get("metric", 0))["dev"]
    return int(Path(f"/sys/class/net/{uplink}/mtu").read_text())
