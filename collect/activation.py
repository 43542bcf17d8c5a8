"""What a host shall serve, and what it does serve: said by the control side, kept by the host.

Standard library only, Python 3.10: it ships to the host.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collect.decode import decode, encode
from collect.errors import DataError
from collect.model import Endpoint, Variant  # noqa: TC001 - decode looks them up

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Installation:
    """A release to be brought to the host first, with what it needs before it can serve.

    A package that the project and the kit both need stays at the project's version; a server is
    always the kit's.
    """

    unpack: bool
    """The packed release follows the activation on standard input. False: it is complete."""
    release_dir: str
    root: str
    """Folder in it that the servers work in."""
    venv_dir: str
    stamp: str
    """File that says the release is complete; written last."""
    python: str
    """Interpreter of the host to make the virtual environment with."""
    requirements: str
    """The file that names the packages, for messages."""
    index_url: str
    """Package index instead of pip's own, or empty; may hold a password."""
    cache_dir: str
    """Where pip keeps what it downloaded."""
    generated_file: str
    """Secrets that never leave the host."""
    generated: tuple[str, ...]
    """Their names; one that is there keeps its value."""
    setup: tuple[str, ...]
    """The command that prepares the state."""
    setup_stamp: str
    """File that says it went well."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A release and a variant to serve it with, and the answers that prove that it does."""

    release: str
    releases_kept: int
    """Releases left on the host; the current and the former one are never removed."""
    service: Variant | None
    """None: nothing serves here but what a bench starts; only the release is made current."""
    takes_over: bool
    """The variant becomes the service, whatever was. Otherwise it is the service already: it keeps
    to its state, and what somebody stopped is not started."""
    endpoints: tuple[Endpoint, ...]
    """All must give their right answer, from a candidate first and then from the service."""
    address: str
    port: int
    candidate_port: int
    ready_timeout_s: float
    stop_timeout_s: float
    staged: dict[str, str] = field(default_factory=dict)
    """By name, to be kept with what is staged: unit files of the service and of its candidate, and
    app.env, which may hold secrets. They come along here since a file that Ansible writes by itself
    costs a third of a second."""
    install: Installation | None = None
    """None: the release is on the host, with all that it needs."""


@dataclass(frozen=True, slots=True)
class Service:
    """`service.json`: what this host serves when nothing measures on it."""

    variant: Variant
    release: str
    since: str
    """ISO 8601."""
    previous_release: str | None
    """The one before, for going back to."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that changed, or would; never one that may hold a secret. None: no such file."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an activation did, as one line of JSON on standard output."""

    changed: bool
    what: tuple[str, ...]
    """Each difference that was (or, with `--check`, would be) made, in words."""
    failed: bool = False
    temporary: bool = False
    """Whether it looks like the network's fault, so that trying again may help."""
    message: str = ""
    journal: str = ""
    """The last lines of the server that did not come up, or of what could not be prepared."""
    warnings: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


def load_service(path: Path) -> Service | None:
    """Read `service.json`; None where the host has no service.

    Raises:
        DataError: the file does not hold one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return parse_service(text, str(path))


def parse_service(text: str, where: str) -> Service:
    """Read the text of a `service.json`; `DataError` where it does not hold a service."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); remove it and deploy the service") from error
    return decode(Service, data, where)


def dump(value: Activation | Service | Outcome) -> str:
    """Return the value as one line of JSON."""
    return json.dumps(encode(value), ensure_ascii=False) + "\n"
