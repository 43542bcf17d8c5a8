"""What a host is like, as JSON: run there by a test, before and after.

Read with nothing but the standard library, since a bare host has no more.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

FOLDERS = ["/etc", "/opt", "/usr/local", "/var/lib", "/var/cache", "/root", "/srv", "/home"]
# Not files of the kit, and no host is without them: what apt and dpkg keep of the archive, of past
# states and of their own caches; what the system writes about itself; Ansible's own folder.
PASSING = (
    "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-",
    "/etc/ld.so.cache",
    "/var/cache/apt/archives/partial", "/var/lib/apt/lists", "/var/lib/apt/periodic",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin", "/var/cache/debconf", "/var/cache/ldconfig",
    "/var/cache/man",
    "/var/lib/dpkg/lock", "/var/lib/dpkg/available", "/var/lib/dpkg/triggers",
    "/var/lib/dpkg/status-old", "/var/lib/dpkg/diversions-old", "/var/lib/dpkg/statoverride-old",
    "/var/lib/systemd", "/var/lib/private", "/var/lib/dbus", "/var/lib/ucf",
    "/root/.ansible",
)  # fmt: skip


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def files():
    found = {}
    for top in FOLDERS:
        for folder, names, plain in os.walk(top):
            names[:] = [name for name in names if not f"{folder}/{name}".startswith(PASSING)]
            for name in [*names, *plain]:
                path = f"{folder}/{name}"
                if path.startswith(PASSING):
                    continue
                status = os.lstat(path)
                what = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
                if Path(path).is_symlink():
                    what += f" -> {Path(path).readlink()}"
                elif Path(path).is_file():
                    what += f" {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
                found[path] = what
    return found


def listening():
    found = set()
    for protocol in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        found |= {f"{protocol} {field[1]}" for field in fields if field[3] == "0A"}
    return sorted(found)


def names(path):
    return sorted(line.split(":")[0] for line in Path(path).read_text().splitlines())


json.dump(
    {
        "packages": said(
            "dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${binary:Package}\n"
        ),
        "auto": said("apt-mark", "showauto"),
        "unit files": [
            " ".join(line.split()[:2])
            for line in said("systemctl", "list-unit-files", "--no-legend", "--no-pager")
        ],
        "failed units": said("systemctl", "list-units", "--failed", "--no-legend", "--plain"),
        "active services": [
            line.split()[0]
            for line in said(
                "systemctl", "list-units", "--no-legend", "--plain", "--state=active",
                "--type=service,socket,timer",
            )
            if not line.startswith(("session-", "user"))
        ],
        "users": names("/etc/passwd"),
        "groups": names("/etc/group"),
        "listening": listening(),
        "sysctls": [
            line
            for line in said("sysctl", "-a")
            if line.startswith(("net.core", "net.ipv4.tcp", "net.ipv4.ip_local", "vm.over"))
        ],
        "files": files(),
    },
    sys.stdout,
)  # fmt: skip
