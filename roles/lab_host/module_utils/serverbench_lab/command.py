"""Small tools the other parts share: run a program, wait, hold a lock, note a step."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Tools of the administrator are not always on a user's PATH (Debian: /usr/sbin).
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_S = 0.02
_LAST_LINES = 12


class LabError(Exception):
    """Something the user has to know; the message names what is wrong and the next step."""


class Steps:
    """What was done, or would be done in check mode."""

    def __init__(self, *, check_mode: bool) -> None:
        """Start with nothing done; in check mode nothing ever is."""
        self.check_mode = check_mode
        self.actions: list[str] = []
        self.timings_s: dict[str, float] = {}

    def take(self, action: str) -> bool:
        """Note an action; true when it may really be done."""
        self.actions.append(action)
        return not self.check_mode

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how many seconds the block took."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.timings_s[name] = round(time.monotonic() - started, 2)


def run(argv: Sequence[str | Path], *, timeout_s: float = 60, check: bool = True) -> str | None:
    """Run a program and return what it printed.

    Returns None when it failed and `check` is off.

    Raises:
        LabError: it is missing, failed or took longer than `timeout_s`.
    """
    words = [str(word) for word in argv]
    # The machine's proxies may be needed to fetch packages; its language is not.
    environment = {**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except FileNotFoundError as error:
        raise LabError(f"the program {words[0]} is missing on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"gave up on `{' '.join(words)}` after {timeout_s:g} s") from error
    if done.returncode == 0:
        return done.stdout
    if not check:
        return None
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_LAST_LINES:]
    raise LabError(f"`{' '.join(words)}` failed ({done.returncode}):\n" + "\n".join(said))


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask again and again until the condition holds; false when time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


@contextmanager
def locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold a lock between processes; the kernel frees it when its holder dies.

    Raises:
        LabError: someone else held it for longer than `timeout_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:

        def try_once() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not wait_until(try_once, timeout_s):
            raise LabError(
                f"another run holds {path} for over {timeout_s:g} s; "
                f"see who with `fuser -v {path}`, then try again"
            )
        yield


def write(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Give a file this content, by writing a new one beside it; false when it had it already."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    fresh.chmod(mode)
    fresh.replace(path)
    return True


def mounts_below(path: Path) -> list[Path]:
    """Every mount point at or below a folder, the deepest first."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        # The kernel writes blanks in paths as octal.
        point = Path(line.split()[1].replace("\\040", " "))
        if point == path or path in point.parents:
            found.append(point)
    return found[::-1]


def delete_tree(path: Path) -> None:
    """Delete a folder and never anything that is mounted in it."""
    for point in mounts_below(path):
        run(["umount", point])
    if path.exists():
        run(["rm", "-rf", "--one-file-system", "--", path], timeout_s=300)
