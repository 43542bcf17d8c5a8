"""Read settings from environment variables.

Every failure is an `ImproperlyConfigured` that names the variable and what it accepts, and never
repeats its value: secrets and passwords live in these variables, and the message ends in a log.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def read_required(name: str, hint: str) -> str:
    value = os.environ.get(name, "")
    if not value.strip():
        raise ImproperlyConfigured(f"{name} is not set: {hint}")
    return value


def read_text(name: str, default: str) -> str:
    """Return the variable, or `default` where it is missing or empty."""
    return os.environ.get(name) or default


def read_flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE:
        return True
    if value.strip().lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name}: accepted are 1/true/yes/on and 0/false/no/off")


def read_list(name: str, default: str) -> list[str]:
    """Split the variable at commas; blanks and empty entries are dropped."""
    return [entry.strip() for entry in read_text(name, default).split(",") if entry.strip()]


def read_number(name: str, default: float, *, at_least: float) -> float:
    text = read_text(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    # Written this way round, "not a number" fails the comparison too.
    if not at_least <= number < float("inf"):
        raise ImproperlyConfigured(f"{name}: accepted is a number of at least {at_least:g}")
    return number


def read_database(name: str, default: str) -> dict[str, Any]:
    """Turn a database URL into an entry of Django's `DATABASES`.

    Accepted are `sqlite:///relative.db`, `sqlite:////absolute.db` and
    `postgresql://user:password@host:port/name`; the parts of the latter are percent-decoded, so a
    host may be the folder of a unix socket: `postgresql://user@%2Fvar%2Frun%2Fpostgresql/name`.
    """
    accepted = "accepted are sqlite:////path/to/file and postgresql://user:password@host:port/name"
    try:
        url = urlsplit(read_text(name, default))
        port = url.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a URL: {accepted}") from error
    database = unquote(url.path.removeprefix("/"))
    if not database:
        raise ImproperlyConfigured(f"{name} names no database: {accepted}")
    if url.scheme == "sqlite" and not url.netloc:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database,
            "OPTIONS": {
                # Wait for another process's lock rather than fail at once.
                "timeout": 5,
                # Take the write lock when a transaction begins: one that upgrades from reading to
                # writing later fails at once where another wrote meanwhile, timeout or not.
                "transaction_mode": "IMMEDIATE",
                # Readers do not wait for a writer under WAL, and NORMAL is safe with it: a power
                # cut can lose the last transactions, but not the file.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        }
    if url.scheme in {"postgresql", "postgres"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": unquote(url.hostname or ""),
            "PORT": str(port or ""),
            "OPTIONS": {"connect_timeout": 5},
        }
    raise ImproperlyConfigured(f"{name}: {accepted}")


def bound_connections(
    entry: dict[str, Any], *, max_age_s: int, max_age_name: str, pool_size_name: str
) -> dict[str, Any]:
    """Return an entry of `DATABASES` that keeps connections or shares them in a pool.

    Under ASGI each request in flight has a thread and so a connection of its own; PostgreSQL has
    100 to give. So unless connections are kept (`max_age_s` above 0), those of a process to
    PostgreSQL come from a pool of 4, or of as many as the variable `pool_size_name` says (0: none).
    """
    kept = {**entry, "CONN_MAX_AGE": max_age_s}
    if "postgresql" not in entry["ENGINE"]:
        return kept
    pool_size = int(read_number(pool_size_name, 0 if max_age_s else 4, at_least=0))
    if not pool_size:
        return kept
    if max_age_s:
        raise ImproperlyConfigured(
            f"{pool_size_name} and {max_age_name} are both above 0; accepted: one of them, since a "
            "connection is either handed back after each request or kept"
        )
    # The pool opens the first before it is asked to, and more as requests wait for one.
    pool = {"min_size": 1, "max_size": pool_size}
    return {**kept, "OPTIONS": {**entry["OPTIONS"], "pool": pool}}
