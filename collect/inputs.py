"""Check and type what a plan is made of: endpoints, load, timing, blocks, numbers and names.

Pure. Everything arrives as Ansible hands it over; what does not fit is a `DataError` that names the
variable, what it got and what is accepted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from collect.decode import decode
from collect.errors import DataError, shown
from collect.model import Endpoint, Load, Stopping, Timing
from collect.patterns import check_expression
from collect.variants import ENVIRONMENT_NAME, is_systemd_text, is_unset, plain

ENDPOINTS = "app_endpoints"
LOAD = "bench_load"
TIMING = "bench_timing"
BLOCKS = "bench_blocks"
DECIDE = "bench_decide"
TIME_BUDGET = "bench_time_budget_s"
RERUNS = "bench_reruns_per_block"

MAX_BLOCKS = 999
_MAX_RERUNS = 999
_MAX_THREADS = 256
_MAX_CONNECTIONS = 50_000
"""Loopback has some 28,000 free ports to one address, and a unit may open 65,536 files."""
_MAX_LOAD_S = 24 * 3600
_MAX_WAIT_S = 3600
_MAX_BUDGET_S = 366 * 24 * 3600
_MIN_INTERVAL_S = 0.05
"""A sample of four processes costs 3.6 ms: below this the sampler is part of the load."""
_MAX_NAME = 40
_MAX_PATH = 8000
"""Of a URL; no server of the six takes a longer request line."""
_MAX_HEADERS = 50
_MAX_BODY_BYTES = 1024 * 1024
_MAX_ENDPOINTS = 100
_NULL = ("", "null", "none")

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ENDPOINT_NAME = re.compile(r"[a-z0-9_-]+")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_METHOD = re.compile(r"(?!CONNECT$)[A-Z]{1,20}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_PATH = re.compile(r"[^!-~]")
_NOT_IN_A_HEADER = re.compile(r"[^\t -~]")
_OF_THE_BODY = ("content-length", "transfer-encoding")


def select_endpoints(endpoints: object, names: object) -> list[Any]:
    """Return the endpoints of these names, in this order; null or nothing returns all.

    Raises:
        DataError: a name is unknown or stands there twice.
    """
    known = plain(endpoints, ENDPOINTS)
    if not isinstance(known, list) or not all(isinstance(item, dict) for item in known):
        raise DataError(f"{ENDPOINTS}: got {type(known).__name__}; accepted: a list of mappings")
    if is_unset(names):
        return known
    wanted = decode(tuple[str, ...], plain(names, "bench_endpoints"), "bench_endpoints")
    by_name = {str(item.get("name")): item for item in known}
    for index, name in enumerate(wanted):
        if name not in by_name or name in wanted[:index]:
            raise DataError(
                f"bench_endpoints[{index}]: got {shown(name)}; "
                f"accepted, each once: {', '.join(by_name)}"
            )
    return [by_name[name] for name in wanted]


def check_endpoints(data: object) -> tuple[Endpoint, ...]:
    """Return the endpoints, each checked; `DataError` names the first that does not fit."""
    endpoints = decode(tuple[Endpoint, ...], plain(data, ENDPOINTS), ENDPOINTS)
    if not endpoints:
        raise DataError(f"{ENDPOINTS}: got nothing; accepted: at least one endpoint")
    if len(endpoints) > _MAX_ENDPOINTS:
        raise DataError(f"{ENDPOINTS}: got {len(endpoints)}; accepted: up to {_MAX_ENDPOINTS}")
    names: list[str] = []
    for index, endpoint in enumerate(endpoints):
        where = f"{ENDPOINTS}[{index}]"
        if not _ENDPOINT_NAME.fullmatch(endpoint.name) or len(endpoint.name) > _MAX_NAME:
            raise DataError(
                f"{where}.name: got {shown(endpoint.name)}; "
                "accepted: a-z, 0-9, hyphen, underscore, "
                f"up to {_MAX_NAME} of them"
            )
        if endpoint.name in names:
            raise DataError(
                f"{where}.name: got {shown(endpoint.name)} twice; accepted: unique names"
            )
        names.append(endpoint.name)
        _check_request(endpoint, where)
        _check_expectation(endpoint, f"{where}.expect")
    return endpoints


def _check_request(endpoint: Endpoint, where: str) -> None:
    path = endpoint.path
    if not path.startswith("/") or _NOT_IN_A_PATH.search(path) or len(path) > _MAX_PATH:
        raise DataError(
            f"{where}.path: got {shown(path)}; accepted: printable ASCII that starts with /, a "
            f"space as %20, up to {_MAX_PATH:,} characters"
        )
    if not _METHOD.fullmatch(endpoint.method):
        raise DataError(f"{where}.method: got {shown(endpoint.method)}; accepted: GET, POST, …")
    _check_headers(endpoint.headers, f"{where}.headers")
    if endpoint.body is not None:
        size = len(endpoint.body.encode())
        if size > _MAX_BODY_BYTES:
            raise DataError(
                f"{where}.body: got {size:,} bytes; accepted: up to {_MAX_BODY_BYTES:,}"
            )


def _check_headers(headers: Mapping[str, str], where: str) -> None:
    """Refuse what is no header; a value may be a token of somebody's, and is not repeated."""
    if len(headers) > _MAX_HEADERS:
        raise DataError(f"{where}: got {len(headers)}; accepted: up to {_MAX_HEADERS}")
    names = [name.lower() for name in headers]
    for index, (name, value) in enumerate(headers.items()):
        if not _HEADER_NAME.fullmatch(name):
            raise DataError(f"{where}: got the name {shown(name)}; accepted: a token (RFC 9110)")
        if name.lower() in _OF_THE_BODY:
            raise DataError(f"{where}.{name}: accepted: any but this, which follows from the body")
        if name.lower() in names[:index]:
            raise DataError(f"{where}.{name}: stands there twice; accepted: each name once")
        if found := _NOT_IN_A_HEADER.search(value):
            # What asks for the right answer would send it as Latin-1, and wrk as UTF-8.
            raise DataError(
                f"{where}.{name}: holds {found[0]!a}; accepted: one line of ASCII, anything else "
                "percent-encoded"
            )
        if len(value) > _MAX_PATH:
            raise DataError(
                f"{where}.{name}: got {len(value):,} characters; accepted: up to {_MAX_PATH:,}"
            )


def _check_expectation(endpoint: Endpoint, where: str) -> None:
    expect = endpoint.expect
    if not 100 <= expect.status <= 599:  # noqa: PLR2004 - what HTTP defines
        raise DataError(f"{where}.status: got {expect.status}; accepted: 100 to 599")
    checks = ("json_exact", "json_subset", "regex")
    given = [name for name in checks if getattr(expect, name) is not None]
    if len(given) > 1:
        raise DataError(f"{where}: got {' and '.join(given)}; accepted: at most one of them")
    try:
        json.dumps([expect.json_exact, expect.json_subset], allow_nan=False)
    except (TypeError, ValueError) as error:
        # No answer could hold it.
        raise DataError(f"{where}.{given[0]}: {error}; accepted: what JSON can say") from error
    if expect.regex is not None:
        check_expression(expect.regex, f"{where}.regex")


def check_load(data: Load | Mapping[str, Any] | None) -> Load:
    """Return the load, defaults filled in; `DataError` where wrk would refuse it."""
    load = data if isinstance(data, Load) else decode(Load, _with_numbers(data), LOAD)
    _check_whole_seconds(load.duration_s, f"{LOAD}.duration_s", 1, _MAX_LOAD_S)
    _check_whole_seconds(load.warmup_s, f"{LOAD}.warmup_s", 0, _MAX_LOAD_S)
    _check_whole_seconds(load.timeout_s, f"{LOAD}.timeout_s", 1, _MAX_WAIT_S)
    if not 1 <= load.threads <= _MAX_THREADS:
        raise DataError(f"{LOAD}.threads: got {load.threads}; accepted: 1 to {_MAX_THREADS}")
    if not load.threads <= load.connections <= _MAX_CONNECTIONS:
        raise DataError(
            f"{LOAD}.connections: got {load.connections}; accepted: at least as many as threads "
            f"({load.threads}), or wrk refuses, and up to {_MAX_CONNECTIONS:,}"
        )
    return load


def check_timing(data: Timing | Mapping[str, Any] | None) -> Timing:
    """Return the timing, defaults filled in; `DataError` for what is not above 0 seconds."""
    timing = data if isinstance(data, Timing) else decode(Timing, _with_numbers(data), TIMING)
    for name in Timing.__slots__:
        value = getattr(timing, name)
        if not 0 < value <= _MAX_WAIT_S:
            raise DataError(
                f"{TIMING}.{name}: got {value}; accepted: seconds above 0 and up to {_MAX_WAIT_S}"
            )
    if timing.sample_interval_s < _MIN_INTERVAL_S:
        raise DataError(
            f"{TIMING}.sample_interval_s: got {timing.sample_interval_s}; accepted: from "
            f"{_MIN_INTERVAL_S}, or the sampler is part of the load"
        )
    return timing


def _check_whole_seconds(value: float, where: str, minimum: int, maximum: int) -> None:
    if not minimum <= value <= maximum or value != int(value):
        # wrk reads `-d1.5s` as an error.
        raise DataError(
            f"{where}: got {value}; accepted: whole seconds from {minimum} to {maximum}"
        )


def _with_numbers(data: object) -> object:
    """Read numbers that came as text: `-e` makes every value a string."""
    value = {} if is_unset(data) else plain(data)
    if not isinstance(value, dict):
        return value
    return {key: _number(item) if isinstance(item, str) else item for key, item in value.items()}


def _number(text: str) -> object:
    if re.fullmatch(r"[+-]?[0-9]{1,15}", text.strip()):
        return int(text)
    if re.fullmatch(r"[+-]?[0-9]{1,15}\.[0-9]{1,15}", text.strip()):
        return float(text)
    return text


def check_blocks(
    blocks: object, decide: object, time_budget_s: object, reruns_per_block: object
) -> tuple[int, Stopping]:
    """Return the most blocks to run, and when a run may end before that.

    Args:
        blocks: a whole number, or `{min, max}`.
        decide: `{gap: 5%}` (or 0.05), or null.
        time_budget_s: whole seconds, or null.
        reruns_per_block: a whole number from 0.

    Raises:
        DataError: one of them does not fit; the message names it.
    """
    known = plain(blocks)
    if isinstance(known, dict):
        _check_keys(known, BLOCKS, ("min", "max"))
        most = check_whole(known["max"], f"{BLOCKS}.max", 1, MAX_BLOCKS)
        least = check_whole(known["min"], f"{BLOCKS}.min", 1, most)
    else:
        try:
            most = least = check_whole(known, BLOCKS, 1, MAX_BLOCKS)
        except DataError as error:
            raise DataError(f"{error}, or {{min: 5, max: 10}}") from None
    budget = None
    if not _is_null(time_budget_s):
        budget = float(check_whole(time_budget_s, TIME_BUDGET, 1, _MAX_BUDGET_S))
    reruns = check_whole(reruns_per_block, RERUNS, 0, _MAX_RERUNS)
    return most, Stopping(least, _check_gap(decide), budget, reruns)


def _check_gap(decide: object) -> float | None:
    if _is_null(decide):
        return None
    known = plain(decide)
    if not isinstance(known, dict):
        raise DataError(f"{DECIDE}: got {shown(known)}; accepted: {{gap: 5%}}, or null")
    _check_keys(known, DECIDE, ("gap",))
    if _is_null(known["gap"]):
        return None
    value = _number(known["gap"]) if isinstance(known["gap"], str) else known["gap"]
    if isinstance(value, str) and (found := _PERCENT.fullmatch(value.strip())):
        value = float(found[1]) / 100
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    raise DataError(
        f"{DECIDE}.gap: got {shown(known['gap'])}; "
        "accepted: a share such as 5% or 0.05, above 0 and "
        "below 100%, or null"
    )


def _check_keys(data: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    if unknown := sorted(set(map(str, data)) - set(names)):
        raise DataError(f"{where}: unknown {', '.join(unknown)}; accepted: {', '.join(names)}")
    for name in names:
        if name not in data:
            raise DataError(f"{where}: {name} is missing; accepted: {{{', '.join(names)}}}")


def _is_null(value: object) -> bool:
    """Tell whether nothing was given; `-e bench_decide=null` hands over text."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _NULL)


def check_whole(
    value: object, where: str, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return a whole number, read from text if need be; `DataError` outside the bounds."""
    number = _number(value) if isinstance(value, str) else plain(value)
    if isinstance(number, int) and not isinstance(number, bool):
        above = minimum is None or number >= minimum
        below = maximum is None or number <= maximum
        if above and below:
            return number
    bounds = "" if minimum is None else f" from {minimum}"
    bounds += "" if maximum is None else f" to {maximum}"
    raise DataError(f"{where}: got {shown(value)}; accepted: a whole number{bounds}")


def check_folder_name(name: object, where: str) -> None:
    """Raise `DataError` unless `name` is safe as the name of a folder."""
    if not isinstance(name, str) or not _FOLDER_NAME.fullmatch(name):
        raise DataError(
            f"{where}: got {shown(name)}; accepted: up to 100 of A-Z a-z 0-9 . _ -, not starting "
            "with "
            "a dot or hyphen"
        )


def check_environment(variables: object, name: str = "app_environment") -> None:
    """Raise `DataError` for what no environment file can hold; the message repeats no value.

    A line feed is kept: private keys come as several lines, and systemd takes them in quotes. A
    carriage return would not arrive as one.
    """
    if not isinstance(variables, Mapping):
        raise DataError(f"{name}: accepted: a mapping of names to values")
    for key, value in variables.items():
        if not isinstance(key, str) or not ENVIRONMENT_NAME.fullmatch(key):
            raise DataError(
                f"{name}: got the name {shown(key)}; accepted: letters, digits, underscores"
            )
        if not isinstance(value, (str, int, float)) or "\r" in str(value):
            raise DataError(f"{name}.{key}: accepted: text, a number or true/false")
        if not is_systemd_text(str(value)):
            raise DataError(
                f"{name}.{key}: accepted: UTF-8 of up to 100 KiB, without NUL and what is no "
                "character of Unicode"
            )


def check_date(text: object) -> None:
    """Raise `DataError` unless `text` is an ISO 8601 date."""
    try:
        datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"created_at: got {shown(text)}; accepted: an ISO 8601 date") from error
