#!/usr/bin/python
"""Ansible module: Debian's and Ubuntu's own archives from a mirror, and back."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: base_apt_mirror
short_description: Take a distribution's packages from a mirror
description:
  - Puts the mirror's address in place of the distribution's own archive in /etc/apt/sources.list,
    and in the .list and .sources files of /etc/apt/sources.list.d. Other sources stay as they are.
  - Each file it changes is kept beside as C(*.serverbench-before), as it was before the first one.
options:
  mirror:
    description: Address above C(debian) or C(ubuntu); empty puts the files back.
    type: str
    required: true
  etc_dir: {description: Folder of apt's configuration., type: path, default: /etc/apt}
attributes:
  check_mode: {description: Says what it would change., support: full}
  diff_mode: {description: Shows the files before and after., support: full}
author: [serverbench]
"""

EXAMPLES = r"""
- name: Take packages from a mirror
  base_apt_mirror:
    mirror: http://mirrors.tencentyun.com
"""

RETURN = r"""
files: {description: The files that were changed., type: list, elements: str, returned: success}
"""

BEFORE = ".serverbench-before"
_NOTE = re.compile(r"# apt_mirror of serverbench: (?P<mirror>\S+) \(before: .*\)\n")
_ARCHIVES = ("debian", "debian-security", "ubuntu", "ubuntu-ports")
_OFFICIAL_HOST = re.compile(r"(.+\.)?(debian\.org|ubuntu\.com)")
_ONE_LINE = re.compile(
    r"^(?P<head>\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?)(?P<uri>\S+)(?P<rest>\s+(?P<suite>\S+)\s+(?P<components>.+))$"
)
_FIELD = re.compile(r"^(?P<name>[A-Za-z-]+):(?P<value>.*(?:\n[ \t#].*)*)", re.MULTILINE)


class MirrorError(Exception):
    """One line that names the variable and the next step."""


def mirrored_uri(uri: str, mirror: str, earlier: str) -> str:
    """Return the address on the mirror of a distribution's archive; any other address as it is.

    `earlier` is the mirror that the file was written for the last time, or nothing.
    """
    # Cloud images: mirror+file:/etc/apt/mirrors/debian-security.list, a file of addresses.
    path = urlsplit(uri).path.rstrip("/")
    if uri.startswith("mirror+file:"):
        path = f"/{Path(path).stem}"
    elif not uri.startswith(("http://", "https://")):
        return uri
    archive = path.lstrip("/")
    if earlier and uri.startswith(f"{earlier}/"):
        archive = uri.removeprefix(f"{earlier}/").rstrip("/")
    host = urlsplit(uri).hostname or ""
    if archive not in _ARCHIVES:
        if not _OFFICIAL_HOST.fullmatch(host):
            return uri
        # security.debian.org has its archive at the top as well; nothing else is known by its host.
        if not host.startswith("security.debian.") or archive:
            return uri
        archive = "debian-security"
    return f"{mirror}/{archive}"


def is_the_distribution(suites: list[str], components: list[str], codename: str) -> bool:
    """Tell whether a source is the distribution's: others have its path, but not its suites too."""
    of_this = re.compile(rf"{re.escape(codename)}(-[a-z-]+)?(/updates)?")
    return "main" in components and all(of_this.fullmatch(suite) for suite in suites)


def rewrite_list(text: str, mirror: str, earlier: str, codename: str) -> str:
    """Return a .list file with its official sources on the mirror."""
    lines = []
    for line in text.splitlines(keepends=True):
        found = _ONE_LINE.match(line.rstrip("\n"))
        if found and is_the_distribution([found["suite"]], found["components"].split(), codename):
            uri = mirrored_uri(found["uri"], mirror, earlier)
            line = f"{found['head']}{uri}{found['rest']}\n"  # noqa: PLW2901 - the line's new form
        lines.append(line)
    return "".join(lines)


def rewrite_sources(text: str, mirror: str, earlier: str, codename: str) -> str:
    """Return a .sources file (deb822) with its official sources on the mirror."""
    parts = re.split(r"(\n[ \t]*\n)", text)
    return "".join(_rewrite_paragraph(part, mirror, earlier, codename) for part in parts)


def _rewrite_paragraph(text: str, mirror: str, earlier: str, codename: str) -> str:
    fields = {
        found["name"].lower(): re.sub(r"(?m)^\s*#.*$", "", found["value"]).split()
        for found in _FIELD.finditer(text)
    }
    if not is_the_distribution(fields.get("suites", [""]), fields.get("components", []), codename):
        return text

    def with_mirror(found: re.Match[str]) -> str:
        if found["name"].lower() != "uris":
            return found[0]
        uris = dict.fromkeys(mirrored_uri(uri, mirror, earlier) for uri in fields["uris"])
        return f"{found['name']}: {' '.join(uris)}"

    return _FIELD.sub(with_mirror, text)


def rewritten(path: Path, text: str, mirror: str, codename: str) -> str:
    """Return a file of apt's sources with a mirror in it, and a first line that says so."""
    found = _NOTE.match(text)
    earlier, body = (found["mirror"], text[found.end() :]) if found else ("", text)
    rewrite = rewrite_list if path.suffix == ".list" else rewrite_sources
    new = rewrite(body, mirror, earlier, codename)
    if new == body and not found:
        return text
    return f"# apt_mirror of serverbench: {mirror} (before: {path.name}{BEFORE})\n{new}"


def planned(etc: Path, mirror: str, codename: str) -> dict[Path, tuple[str, str]]:
    """Return each file that holds a mirror's address, or held one, with its text now and then."""
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    plan = {}
    for path in files:
        if path.suffix not in {".list", ".sources"} or not path.is_file():
            continue
        before = path.with_name(path.name + BEFORE)
        now = path.read_text(encoding="utf-8")
        if mirror:
            then = rewritten(path, now, mirror, codename)
            if then != now or before.is_file():
                plan[path] = (now, then)
        elif before.is_file():
            plan[path] = (now, before.read_text(encoding="utf-8"))
    return plan


def apply(changes: dict[Path, tuple[str, str]], *, put_back: bool) -> None:
    """Write the files, each in one step, with the original aside."""
    for path, (now, then) in changes.items():
        before = path.with_name(path.name + BEFORE)
        if put_back:
            before.replace(path)
            continue
        if not before.exists():
            _write(before, now, path)
        _write(path, then, path)


def _write(path: Path, text: str, like: Path) -> None:
    # With a suffix that apt ignores.
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, suffix=".dpkg-new", delete=False
    ) as new:
        new.write(text)
    Path(new.name).chmod(like.stat().st_mode & 0o777)
    Path(new.name).replace(path)


def check_reachable(uri: str, suite: str) -> None:
    """Raise `MirrorError` unless apt itself can fetch the archive's index of a suite."""
    with tempfile.TemporaryDirectory() as folder:
        # Its unprivileged downloader writes there.
        Path(folder).chmod(0o777)
        done = subprocess.run(
            ["/usr/lib/apt/apt-helper", "-oAcquire::Retries=1", "-oAcquire::http::Timeout=15",
             "-oAcquire::https::Timeout=15", "download-file", f"{uri}/dists/{suite}/InRelease",
             f"{folder}/InRelease"],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    if done.returncode != 0:
        said = [line[3:].strip() for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise MirrorError(
            f"apt_mirror: {uri}/dists/{suite}/InRelease cannot be fetched from this host "
            f"({' '.join(said)}); accepted: the address above debian/ or "
            "ubuntu/. Nothing was changed"
        )


def _names(text: str, uri: str) -> bool:
    return re.search(rf"(?m)^[^#\n]*\s{re.escape(uri)}(\s|$)", text) is not None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "mirror": {"type": "str", "required": True},
            "etc_dir": {"type": "path", "default": "/etc/apt"},
        },
        supports_check_mode=True,
    )
    mirror = module.params["mirror"].rstrip("/")
    if mirror and not re.fullmatch(r"https?://[^\s/]+(/[^\s]*)?", mirror):
        module.fail_json(
            msg=f"apt_mirror: got {mirror!r}; accepted: an address such as "
            "http://mirrors.example.com, above debian/ or ubuntu/"
        )
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r'(?m)^VERSION_CODENAME="?([a-z]+)', release)
    codename = found[1] if found else ""
    try:
        plan = planned(Path(module.params["etc_dir"]), mirror, codename)
        changes = {
            path: texts for path, texts in plan.items() if texts[0] != texts[1] or not mirror
        }
        # Security's archive, whose suites have other names, is beside the main one.
        for name in _ARCHIVES if mirror else ():
            uri = f"{mirror}/{name}"
            if name != "debian-security" and any(_names(then, uri) for _, then in changes.values()):
                check_reachable(uri, codename)
        if not module.check_mode:
            apply(changes, put_back=not mirror)
    except MirrorError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"apt_mirror: {error.filename}: {error.strerror}")
    if mirror and not plan:
        module.fail_json(
            msg=f"apt_mirror: {module.params['etc_dir']} has no source of {codename} that a mirror "
            "could stand in for; nothing was changed"
        )
    module.exit_json(
        changed=bool(changes),
        files=[str(path) for path in changes],
        diff=[
            {"before": now, "after": then, "before_header": str(path), "after_header": str(path)}
            for path, (now, then) in changes.items()
        ],
    )


if __name__ == "__main__":
    main()
