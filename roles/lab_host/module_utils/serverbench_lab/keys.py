"""The keys between Ansible and a lab host: one to log in with, one per host to know it by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .command import LabError, run, write

if TYPE_CHECKING:
    from pathlib import Path

    from .command import Steps

_LOGIN = "root"
HOST_KEY_NAME = "ssh_host_ed25519_key"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user who runs Ansible, even where the module itself runs as root."""

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make the user own a file or folder."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The user's side: a key pair made for the lab, and the hosts that are known."""

    folder: Path
    owner: Owner

    @property
    def private(self) -> Path:
        """The key Ansible logs in with."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys that are pinned."""
        return self.folder / "known_hosts"

    def ensure(self, steps: Steps) -> None:
        """Make the key pair unless it is there."""
        if self.private.is_file():
            return
        if steps.take(f"Make the key {self.private}"):
            for folder in reversed(_missing(self.folder)):
                folder.mkdir(mode=0o700)
                self.owner.give(folder)
            _generate(self.private, "serverbench lab")
            self.owner.give(self.private)
            self.owner.give(self.public)

    @property
    def public(self) -> Path:
        """The half that lab hosts let in."""
        return self.private.with_suffix(".pub")

    def pin(self, name: str, address: str, public_key: str, login: str, steps: Steps) -> None:
        """Make the host of this name, at this address, be known by this key and no other."""
        line = f"{address},{name} {' '.join(public_key.split()[:2])}"
        if login != _LOGIN:
            # What follows the key is a comment to ssh; here it says whom to log in as.
            line += f" {login}"
        old = self._lines()
        taken = {name, address}
        new = [*(kept for kept in old if not taken & set(_names(kept))), line]
        if line not in old and steps.take(f"Pin the host key of {name} at {address}"):
            self._write(new)

    def forget(self, name: str, steps: Steps) -> None:
        """Unpin the host of this name."""
        old = self._lines()
        new = [line for line in old if name not in _names(line)]
        if new != old and steps.take(f"Forget the host key of {name}"):
            self._write(new)

    def _lines(self) -> list[str]:
        text = self.known_hosts.read_text() if self.known_hosts.is_file() else ""
        return [line for line in text.splitlines() if line.strip()]

    def _write(self, lines: list[str]) -> None:
        """Write the pinned keys, and the settings that make `ssh -F config NAME` work."""
        write(self.known_hosts, "".join(f"{line}\n" for line in lines), 0o600)
        stanzas = []
        for line in lines:
            address, *names = _names(line)
            login = (line.split()[3:] or [_LOGIN])[0]
            stanzas += [f"Host {name}\n  HostName {address}\n  User {login}\n" for name in names]
        stanzas.append(
            f'Host *\n  IdentityFile "{self.private}"\n  IdentitiesOnly yes\n'
            f'  UserKnownHostsFile "{self.known_hosts}"\n  StrictHostKeyChecking yes\n'
        )
        config = self.folder / "config"
        write(config, "\n".join(stanzas), 0o600)
        self.owner.give(self.known_hosts)
        self.owner.give(config)


def _names(line: str) -> list[str]:
    return line.split(maxsplit=1)[0].split(",")


def ensure_host_key(folder: Path) -> Path:
    """Return the host's own key, made once: a reset host is still the same host."""
    key = folder / HOST_KEY_NAME
    if not key.is_file():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _generate(key, folder.parent.name)
    return key


def _generate(path: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
    if not path.is_file():
        raise LabError(f"ssh-keygen made no key at {path}")


def _missing(folder: Path) -> list[Path]:
    found = []
    while not folder.exists():
        found.append(folder)
        folder = folder.parent
    return found
