"""The command line: `serverbench-runner.pyz activate FILE`, one line of JSON as the answer.

The first line of the file is the activation; a packed release may follow it.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from collect.activation import Activation, Outcome, dump
from collect.decode import decode
from collect.errors import ServerbenchError
from collect.runner.answers import HttpAsker
from collect.runner.lock import LOCK_FILE, HostBusyError, HostLock
from collect.runner.seams import SystemClock, iso
from collect.runner.systemd import Systemd
from collect.service.activate import Activator
from collect.service.environment import InstallError
from collect.service.host import Host, Places
from collect.service.install import MAKE_ROOM

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the activation in the file (`-`: standard input); return the exit status."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    os.umask(0o022)
    try:
        if str(options.file) == "-":
            outcome = _activate(options, sys.stdin.buffer)
        else:
            with options.file.open("rb") as given:
                outcome = _activate(options, given)
    except InstallError as error:
        outcome = _failure(error, journal=error.said, temporary=error.temporary)
    except HostBusyError as error:
        outcome = _failure(f"{error}. Then give the same command again")
    except ServerbenchError as error:
        outcome = _failure(error)
    except OSError as error:
        outcome = _failure(_words(error))
    sys.stdout.write(dump(outcome))
    return 1 if outcome.failed else 0


def _activate(options: argparse.Namespace, given: IO[bytes]) -> Outcome:
    try:
        wanted = decode(Activation, json.loads(given.readline()), str(options.file))
    except ValueError as error:
        raise ServerbenchError(f"{options.file}: not JSON ({error})") from error
    host = Host(Places(), Systemd(), SystemClock(), HttpAsker, _log, archive=given)
    if options.check:
        return Activator(wanted, host).look()
    lock = HostLock(options.lock_file, f"deployment of {wanted.release}", iso(time.time()))
    try:
        return Activator(wanted, host).run()
    finally:
        lock.release()


def _words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    room = f". {MAKE_ROOM}" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{where}{error.strerror or error}{room}"


def _failure(error: Exception | str, *, journal: str = "", temporary: bool = False) -> Outcome:
    return Outcome(
        changed=False,
        what=(),
        failed=True,
        message=str(error),
        journal=journal,
        temporary=temporary,
    )


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - shown with the task's output


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="serverbench-runner activate",
        description="Make a release current and a variant the service of this host. Nothing changes"
        " unless a candidate answers rightly first; what fails later is put back.",
    )
    parser.add_argument(
        "file",
        type=Path,
        help="a line of JSON that says what shall be, then the packed release it brings, if any;"
        " - reads standard input",
    )
    parser.add_argument("--check", action="store_true", help="only say what would be changed")
    parser.add_argument(
        "--lock-file", type=Path, default=LOCK_FILE, help="one per host (default: %(default)s)"
    )
    return parser.parse_args(arguments[1:] if arguments[:1] == ["activate"] else arguments)


if __name__ == "__main__":
    sys.exit(main())
