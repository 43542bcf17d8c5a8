"""Ask the server, and judge its answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import psutil

from collect.alarm import time_limit
from collect.runner.processes import find_pids
from collect.runner.seams import Answer, NoAnswerError

if TYPE_CHECKING:
    from collect.model import Endpoint, Expectation
    from collect.runner.seams import UnitState

BODY_LIMIT_BYTES = 1024 * 1024
REGEX_LIMIT_S = 2.0
REGEX_LIMIT_CHARS = 128 * 1024
"""Of a body. A step of the matching reads all of it, and takes memory for what it may go back "
"to."""
_EXCERPT = 120


class HttpAsker:
    """The `Asker` seam over one fresh connection per request."""

    def __init__(self, address: str, port: int) -> None:
        """Keep where the server listens."""
        self._address = address
        self._port = port

    def at(self, port: int) -> HttpAsker:
        """Return one that asks at that port."""
        return HttpAsker(self._address, port)

    def ask(self, endpoint: Endpoint, timeout_s: float) -> Answer:
        """Make the request; see `Asker.ask`."""
        deadline = time.monotonic() + timeout_s
        connection = http.client.HTTPConnection(self._address, self._port, timeout=timeout_s)
        try:
            body = None if endpoint.body is None else endpoint.body.encode()
            headers = {"Connection": "close", **endpoint.headers}
            connection.request(endpoint.method, endpoint.path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, _read(response, deadline))
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(_describe(error)) from error
        finally:
            connection.close()

    def port_owner(self, own: UnitState | None = None) -> str | None:
        """Name the process that listens on the port; see `Asker.port_owner`."""
        known = () if own is None else find_pids(own.control_group, own.main_pid)
        # A Java program, say, listens on IPv4 through a socket of IPv6.
        places = (self._address, f"::ffff:{self._address}", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
        owner = None
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port != self._port:
                continue
            if connection.laddr.ip not in places:
                continue
            # Another may have the port on IPv6 alone, beside the unit.
            if connection.pid in known:
                return None
            if connection.laddr.ip == "::" and self._is_free_on_ipv4():
                continue
            owner = owner or _name(connection.pid)
        return owner

    def _is_free_on_ipv4(self) -> bool:
        with socket.socket() as probe:
            # As servers do: what waits for a last packet is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._address, self._port))
            except OSError:
                return False
        return True


def mismatch(expect: Expectation, answer: Answer) -> str | None:
    """Say in one line how the answer differs from what is expected; None when it is right."""
    if answer.body is None:
        return f"the body is larger than {BODY_LIMIT_BYTES} bytes"
    if answer.status != expect.status:
        return f"status {answer.status} instead of {expect.status}; {_excerpt(answer.body)}"
    if expect.regex is not None:
        return _regex_mismatch(expect.regex, answer.body)
    if expect.json_exact is None and expect.json_subset is None:
        return None
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        return f"the body is not JSON; {_excerpt(answer.body)}"
    if expect.json_exact is not None:
        return _difference(expect.json_exact, data, "$", subset=False)
    return _difference(expect.json_subset, data, "$", subset=True)


def _name(pid: int | None) -> str:
    # psutil takes None for this very process.
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            return f"pid {pid} ({' '.join(psutil.Process(pid).cmdline())[:_EXCERPT]})"
    return "a process that cannot be seen from here"


def _difference(want: Any, got: Any, where: str, *, subset: bool) -> str | None:  # noqa: ANN401 - JSON
    if isinstance(want, dict) and isinstance(got, dict):
        if missing := [key for key in want if key not in got]:
            return f"{where}: {missing[0]!r} is missing"
        if not subset and (extra := [key for key in got if key not in want]):
            return f"{where}: {extra[0]!r} is not expected"
        for key, value in want.items():
            if found := _difference(value, got[key], f"{where}.{key}", subset=subset):
                return found
        return None
    if isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            return f"{where}: {len(got)} items instead of {len(want)}"
        for index, (left, right) in enumerate(zip(want, got)):  # noqa: B905 - same length
            # Lists are compared exactly, also inside a subset: an item has no name to be left out.
            if found := _difference(left, right, f"{where}[{index}]", subset=False):
                return found
        return None
    # In Python True == 1; in JSON they differ.
    if isinstance(want, bool) is not isinstance(got, bool) or want != got:
        return f"{where}: got {_short(got)}; expected {_short(want)}"
    return None


def _regex_mismatch(pattern: str, body: bytes) -> str | None:
    text = body.decode("utf-8", "replace")[:REGEX_LIMIT_CHARS]
    try:
        with time_limit(REGEX_LIMIT_S):
            found = re.search(pattern, text)
    except TimeoutError:
        return f"the regular expression {pattern!r} took longer than {REGEX_LIMIT_S:g} s"
    except (re.error, OverflowError, RecursionError) as error:
        # Python 3.11 knows more than 3.10 does: possessive repetitions, atomic groups.
        return f"the host's Python does not read the regular expression {pattern!r} ({error})"
    if found:
        return None
    where = "" if len(text) < REGEX_LIMIT_CHARS else f" in the first {REGEX_LIMIT_CHARS} characters"
    return f"{pattern!r} is not found{where}; {_excerpt(body)}"


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes | None:
    """Read the body; None when it is too large. A body that drips in is cut at the deadline."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError("the body did not end in time")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"not a whole HTTP answer ({type(error).__name__})"


def _excerpt(body: bytes) -> str:
    return f"body begins {body[:_EXCERPT].decode('utf-8', 'replace')!r}"


def _short(value: object) -> str:
    # Half of a surrogate pair is fine in JSON, and in no file.
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
