"""Expand what the inventory asks for into variants: server x interface x proxy x profile.

A line of the matrix may vary a pair under a label: Gunicorn's sync worker beside its gthread one.

Pure. The variables arrive as Ansible hands them over; what does not fit is a `DataError` that names
the variable as the user wrote it (`bench_matrix[2].interface`), what it got and what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from collect.decode import decode
from collect.errors import DataError, shown
from collect.model import Interface, Proxy, Variant

MATRIX = "bench_matrix"
SELECTED = "bench_profiles"
CATALOGUE = "server_catalogue"
PROFILES = "server_profiles"

PER_CORE = "per_core"
DEFAULT_PROFILE = "parity"
"""The one profile that ids leave out, so that a unit's name means one thing on a host for good:
a bench of `tuned` must not rewrite the unit that serves as `granian-wsgi`."""
PROXY_PORT = 9878
"""Where the proxy in front of a variant listens, unless `proxy_port` says otherwise."""
_MAX_PORT = 65535
UPSTREAMS = ("tcp", "unix")
SOCKET_LABEL = "socket"
"""Of a service that deploy.yml gives a socket unit, beside the variant that is measured."""
_NOT_A_LABEL = ("caddy", "nginx", "proxy", "twin", "ladder")
LOOPS = ("asyncio", "uvloop")
MAX_CORES = 1024
MAX_NAME = 40
_MAX_ID = 75
"""`/run/serverbench/<id>/server.sock` has to fit the 107 characters of a unix socket's name."""
_MAX_VALUES = 100_000
"""Of one variable. A few lines of YAML whose aliases hold each other come to more."""
_MAX_DEPTH = 40
_MAX_DIGITS = 300
_TOO_LARGE = 10**_MAX_DIGITS
"""Python neither makes a float of more, nor, beyond some thousand digits, text."""
_MAX_TEXT_BYTES = 100 * 1024
"""Linux hands no longer text to a program (MAX_ARG_STRLEN is 128 KiB, the name included)."""
_HIDDEN = ("environment", "extra_arguments")
"""Knobs whose values no message repeats."""

SAFE_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Ids become unit names, folder names and parts of a URL: nothing in them ever needs quoting."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One neutral setting; its meaning stands in the argument specs of role `server`."""

    accepted: str
    accepts: Callable[[Any], bool]
    default: Any = None


def _is_whole(minimum: int, maximum: int) -> Callable[[Any], bool]:
    # bool is an int in Python, and `workers: yes` is a slip, not one worker.
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and minimum <= v <= maximum


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


_CPU_SET = re.compile(r"(?=.{1,200}$)[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*")


def _is_cpu_set(value: object) -> bool:
    # systemd passes over a range it cannot read, and the server would run on every core.
    return (
        isinstance(value, str)
        and _CPU_SET.fullmatch(value) is not None
        and all(
            int(low) <= int(high or low)
            for low, high in re.findall(r"([0-9]+)(?:-([0-9]+))?", value)
        )
    )


def _is_word(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.]{1,100}", value) is not None


_MODULE_NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
ENTRY_POINT = re.compile(
    rf"(?=.{{3,300}}$)(?P<module>{_MODULE_NAME}):(?P<name>{_MODULE_NAME})", re.ASCII
)


def _is_entry_point(value: object) -> bool:
    return isinstance(value, str) and ENTRY_POINT.fullmatch(value) is not None


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and is_line(v) for v in value)


def _is_environment(value: object) -> bool:
    return isinstance(value, dict) and all(
        ENVIRONMENT_NAME.fullmatch(str(name)) and isinstance(text, str) and is_line(text)
        for name, text in value.items()
    )


ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def is_line(text: str) -> bool:
    """Tell whether a text can stand in a line of a unit file as it is."""
    # A line break could smuggle a setting in.
    return not set("\n\r") & set(text) and is_systemd_text(text)


def is_systemd_text(text: str) -> bool:
    """Tell whether systemd takes a text: UTF-8 without NUL and the code points that are none.

    Source: `utf8_is_valid` and `unichar_is_valid` in systemd's src/basic/utf8.c; a value with any
    other is left out of the environment with no more than a line in the journal.
    """
    return len(text.encode("utf-8", "surrogatepass")) <= _MAX_TEXT_BYTES and not any(
        char == "\0"
        or "\ud800" <= char <= "\udfff"
        or "\ufdd0" <= char <= "\ufdef"
        or ord(char) & 0xFFFE == 0xFFFE  # noqa: PLR2004 - the last two of each plane
        for char in text
    )


KNOBS: dict[str, Knob] = {
    "workers": Knob(
        f"a whole number from 1 to 1024, or {PER_CORE}",
        lambda v: v == PER_CORE or _is_whole(1, MAX_CORES)(v),
    ),
    "worker_class": Knob("the name of a kind of worker, or null", _is_word),
    "threads": Knob("a whole number from 1 to 1024, or null", _is_whole(1, 1024)),
    "backlog": Knob("a whole number from 1 to 65535, or null", _is_whole(1, 65535)),
    "backpressure": Knob("a whole number from 1 to 65535, or null", _is_whole(1, 65535)),
    "keepalive_s": Knob("whole seconds from 0 (0: none) to 3600, or null", _is_whole(0, 3600)),
    "preload": Knob("true, false or null", _is_switch),
    "socket": Knob("true or false", _is_switch, default=False),
    "access_log": Knob("true or false", _is_switch, default=False),
    "loop": Knob(f"{', '.join(LOOPS)}, or null", lambda v: v in LOOPS),
    "application": Knob("an entry point such as config.asgi:application, or null", _is_entry_point),
    "upstream": Knob(
        f"{' or '.join(UPSTREAMS)}, or null", lambda v: v in UPSTREAMS, default=UPSTREAMS[0]
    ),
    "cpu_set": Knob("cores such as 0-1 or 0,2, or null", _is_cpu_set),
    "extra_arguments": Knob("a list of texts of one line", _is_texts, default=[]),
    "environment": Knob("a mapping of names to texts of one line", _is_environment, default={}),
}
"""Every neutral knob. null (and leaving it out) means: the server's own default stays."""


@dataclass(frozen=True, slots=True)
class MatrixEntry:
    """One line of `bench_matrix`."""

    server: str
    interface: Interface
    proxy: Proxy = "none"
    label: str | None = None
    """Names a variation of the pair, made by `knobs`."""
    knobs: dict[str, Any] = field(default_factory=dict)
    """Win over those of the profile."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What the kit knows about one server."""

    package: str
    interfaces: tuple[Interface, ...]
    not_honoured: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By interface: the knobs it has no setting for there."""
    least: dict[str, int] = field(default_factory=dict)
    """By knob: the lowest value it starts with, where that is more than the kit's own."""
    prefork: bool = False
    """It has no workers of its own: several are several processes on one systemd socket."""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of neutral knobs, with overrides for a server or a server-interface pair."""

    knobs: dict[str, Any]
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    matrix: tuple[MatrixEntry, ...] = ()
    notes: str = ""


def expand_variants(
    matrix: object,
    catalogue: object,
    profiles: object,
    selected_profiles: object,
    cores: int,
    proxy_port: int | str = PROXY_PORT,
    *,
    is_labelled_here: bool = False,
) -> tuple[Variant, ...]:
    """Return the variants to deploy and measure, in the order of the matrix, profile by profile.

    Args:
        matrix: list of `{server, interface, proxy}`; null or empty takes each profile's own.
        catalogue: `{server: {package, interfaces, not_honoured, notes}}`.
        profiles: `{name: {knobs, servers, matrix, notes}}`. The most specific knob wins: first
            `servers.granian-wsgi`, then `servers.granian`, then `knobs`.
        selected_profiles: names of profiles; one name alone is accepted too.
        cores: processor cores of the host, for `workers: per_core`.
        proxy_port: where the proxies listen, one at a time.
        is_labelled_here: the labels are the kit's own, which nobody else may take.

    Raises:
        DataError: a variable does not fit; the message names it.
    """
    port = _port(proxy_port)
    servers = _catalogue(catalogue)
    known = _profiles(profiles, servers)
    selected = _selected(selected_profiles, known)
    if isinstance(cores, bool) or not isinstance(cores, int) or not 1 <= cores <= MAX_CORES:
        raise DataError(
            f"cores: got {shown(cores)}; accepted: a whole number from 1 to {MAX_CORES}"
        )
    lines = [] if is_unset(matrix) else plain(matrix, MATRIX)
    own = decode(tuple[MatrixEntry, ...], lines, MATRIX)
    if not is_labelled_here:
        _check_entries(own, MATRIX, known)
    seen: dict[str, str] = {}
    variants: list[Variant] = []
    for name in selected:
        profile = known[name]
        where = MATRIX if own else f"{PROFILES}.{name}.matrix"
        entries = own or profile.matrix
        if not entries:
            raise DataError(
                f"{MATRIX}: got nothing, and profile {name} has no matrix of its own; "
                "accepted: a list of {server, interface, proxy}"
            )
        for index, entry in enumerate(entries):
            place = f"{where}[{index}]"
            variant = _variant(entry, place, servers, (name, profile), cores)
            if variant.id in seen:
                raise DataError(
                    f"{place}: variant {variant.id} stands in {seen[variant.id]} already; "
                    "accepted: each server, interface, label and proxy once"
                )
            seen[variant.id] = place
            variants.append(variant if variant.proxy_unit is None else replace(variant, port=port))
    return tuple(variants)


def is_unset(value: object) -> bool:
    """Tell whether a variable is null or empty and so leaves the default; `false` and 0 do not."""
    return value is None or (isinstance(value, (str, Sequence, Mapping)) and not value)


def plain(value: object, where: str = "a variable") -> Any:  # noqa: ANN401 - JSON is any of six types
    """Copy `value` with exact built-in types: Ansible tags its strings, numbers and containers.

    Raises:
        DataError: it holds more than a hundred thousand values or a number of hundreds of digits,
            or is nested too deep; `where` is named.
    """
    return _Copy(where).of(value, 0)


class _Copy:
    """One copy, with how much is in it so far."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._count = 0

    def of(self, value: object, depth: int) -> Any:  # noqa: ANN401 - a return a type
        self._count += 1
        if self._count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise DataError(
                f"{self._where}: holds more than {_MAX_VALUES:,} values, or is nested deeper than "
                f"{_MAX_DEPTH} levels; accepted: less; are there YAML aliases (*name) that hold "
                "each other?"
            )
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            if abs(value) >= _TOO_LARGE:
                raise DataError(
                    f"{self._where}: holds a number of more than {_MAX_DIGITS} digits; accepted: "
                    "smaller ones"
                )
            return int(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, Mapping):
            return {
                self.of(key, depth + 1): self.of(item, depth + 1) for key, item in value.items()
            }
        if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
            return [self.of(item, depth + 1) for item in value]
        return value


def _catalogue(data: object) -> dict[str, CatalogueEntry]:
    servers = decode(dict[str, CatalogueEntry], plain(data, CATALOGUE), CATALOGUE)
    for name, entry in servers.items():
        _check_name(name, CATALOGUE)
        for interface, knobs in entry.not_honoured.items():
            where = f"{CATALOGUE}.{name}.not_honoured"
            if interface not in entry.interfaces:
                raise DataError(
                    f"{where}: got {shown(interface)}; accepted: {', '.join(entry.interfaces)}"
                )
            if unknown := [knob for knob in knobs if knob not in KNOBS]:
                raise DataError(
                    f"{where}.{interface}: got {', '.join(unknown)}; accepted: {', '.join(KNOBS)}"
                )
        _check_knobs(entry.least, f"{CATALOGUE}.{name}.least")
    return servers


def _profiles(data: object, servers: Mapping[str, CatalogueEntry]) -> dict[str, Profile]:
    profiles = decode(dict[str, Profile], plain(data, PROFILES), PROFILES)
    targets = [*servers, *(f"{s}-{i}" for s, entry in servers.items() for i in entry.interfaces)]
    for name, profile in profiles.items():
        _check_name(name, PROFILES)
        where = f"{PROFILES}.{name}"
        _check_knobs(profile.knobs, f"{where}.knobs")
        _check_entries(profile.matrix, f"{where}.matrix", profiles)
        for target, knobs in profile.servers.items():
            if target not in targets:
                raise DataError(
                    f"{where}.servers: got {shown(target)}; accepted: {', '.join(targets)}"
                )
            _check_knobs(knobs, f"{where}.servers.{target}")
    return profiles


def _check_entries(entries: Sequence[MatrixEntry], where: str, profiles: Iterable[str]) -> None:
    taken = (*_NOT_A_LABEL, *profiles)
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        _check_knobs(entry.knobs, f"{place}.knobs")
        if entry.label is not None:
            _check_name(entry.label, f"{place}.label")
            # What deploy.yml itself would make is welcome: so the service can be measured.
            is_like_the_service = entry.knobs.get("socket") is True and (
                entry.label != SOCKET_LABEL or len(entry.knobs) == 1
            )
            is_ours = f"-{entry.label}".endswith(f"-{SOCKET_LABEL}") and not is_like_the_service
            if entry.label in taken or is_ours:
                raise DataError(
                    f"{place}.label: got {shown(entry.label)}, which means something else in an "
                    f"id; accepted: any other name than {', '.join(taken)}, and {SOCKET_LABEL} "
                    "with the knobs {socket: true} alone"
                )
        elif entry.knobs:
            raise DataError(
                f"{place}: has knobs of its own and no label; accepted: a label that names them, "
                "which becomes part of the variant's id"
            )


def _port(value: object) -> int:
    # `-e proxy_port=8080` hands over text.
    number = plain(value)
    if isinstance(number, str) and re.fullmatch(r"[0-9]{1,5}", number):
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _MAX_PORT:
        raise DataError(f"proxy_port: got {shown(value)}; accepted: 1 to {_MAX_PORT}")
    return number


def _selected(data: object, known: Mapping[str, Profile]) -> tuple[str, ...]:
    names = plain([data] if isinstance(data, str) else data, SELECTED)
    selected = decode(tuple[str, ...], names, SELECTED)
    if not selected:
        raise DataError(f"{SELECTED}: got nothing; accepted: {', '.join(known)}")
    for index, name in enumerate(selected):
        if name not in known:
            raise DataError(f"{SELECTED}[{index}]: got {shown(name)}; accepted: {', '.join(known)}")
        if name in selected[:index]:
            raise DataError(
                f"{SELECTED}[{index}]: got {shown(name)} twice; accepted: each name once"
            )
    return selected


def _variant(
    entry: MatrixEntry,
    place: str,
    servers: Mapping[str, CatalogueEntry],
    named_profile: tuple[str, Profile],
    cores: int,
) -> Variant:
    profile_name, profile = named_profile
    if entry.server not in servers:
        raise DataError(
            f"{place}.server: got {shown(entry.server)}; accepted: {', '.join(servers)}"
        )
    known = servers[entry.server]
    if entry.interface not in known.interfaces:
        raise DataError(
            f"{place}.interface: got {shown(entry.interface)}, which {entry.server} does not "
            "speak; "
            f"accepted: {', '.join(known.interfaces)}"
        )
    pair = f"{entry.server}-{entry.interface}"
    sources: dict[str, dict[str, Any]] = {
        f"{PROFILES}.{profile_name}.knobs": profile.knobs,
        f"{PROFILES}.{profile_name}.servers.{entry.server}": profile.servers.get(entry.server, {}),
        f"{PROFILES}.{profile_name}.servers.{pair}": profile.servers.get(pair, {}),
        f"{place}.knobs": entry.knobs,
    }
    origins = {name: source for source, some in sources.items() for name in some}
    knobs = {name: value for some in sources.values() for name, value in some.items()}
    for name, least in known.least.items():
        if isinstance(knobs.get(name), int) and knobs[name] < least:
            raise DataError(
                f"{origins[name]}.{name}: got {knobs[name]}, with which {entry.server} does not "
                f"start; accepted: {least} or more; for it alone under "
                f"{PROFILES}.{profile_name}.servers.{entry.server}"
            )
    not_honoured = known.not_honoured.get(entry.interface, ())
    # What a server cannot honour is not asked of it, so that nothing acts on it by half.
    knobs = {
        name: knob.default if knobs.get(name) is None or name in not_honoured else knobs[name]
        for name, knob in KNOBS.items()
    }
    if knobs["workers"] is None:
        # The report compares workers seen with workers asked for, so somebody has to ask.
        raise DataError(
            f"{PROFILES}.{profile_name}.knobs.workers: missing for {pair}; "
            f"accepted: {KNOBS['workers'].accepted}"
        )
    if knobs["workers"] == PER_CORE:
        knobs["workers"] = cores
    if entry.proxy == "none":
        # Without a proxy nobody could reach it on a unix socket: the load comes over TCP.
        knobs["upstream"] = KNOBS["upstream"].default
    if known.prefork and knobs["workers"] > 1:
        knobs["socket"] = True
    parts = [
        pair,
        entry.label,
        None if entry.proxy == "none" else entry.proxy,
        None if profile_name == DEFAULT_PROFILE else profile_name,
    ]
    variant_id = "-".join(part for part in parts if part)
    check_id(variant_id, place)
    return Variant(
        id=variant_id,
        server=entry.server,
        interface=entry.interface,
        proxy=entry.proxy,
        profile=profile_name,
        unit=f"serverbench-{variant_id}.service",
        socket_unit=f"serverbench-{variant_id}.socket" if knobs["socket"] else None,
        proxy_unit=None if entry.proxy == "none" else f"serverbench-{variant_id}-proxy.service",
        workers=knobs["workers"],
        knobs=knobs,
        not_honoured=not_honoured,
        label=entry.label,
    )


def check_id(variant_id: str, where: str) -> None:
    """Raise `DataError` for an id that the name of a unix socket has no room for."""
    if len(variant_id) > _MAX_ID:
        raise DataError(
            f"{where}: gives the id {variant_id} of {len(variant_id)} characters; accepted: up to "
            f"{_MAX_ID}; shorten the label or the profile's name"
        )


def check_variant(variant: Variant, catalogue: object) -> None:
    """Raise `DataError` for a variant that `expand_variants` could not have returned."""
    known = _catalogue(catalogue).get(variant.server)
    if known is None or variant.interface not in known.interfaces:
        raise DataError(f"server: got {shown(variant.server)} over {variant.interface}")
    if not SAFE_ID.fullmatch(variant.id) or len(variant.id) > _MAX_ID:
        raise DataError(f"id: got {shown(variant.id)}")
    unit = f"serverbench-{variant.id}"
    for name, got, wanted in (
        ("unit", variant.unit, f"{unit}.service"),
        ("socket_unit", variant.socket_unit, f"{unit}.socket"),
        ("proxy_unit", variant.proxy_unit, f"{unit}-proxy.service"),
    ):
        if got not in (wanted, None if name != "unit" else wanted):
            raise DataError(f"{name}: got {shown(got)}; accepted: {wanted}")
    _check_knobs(variant.knobs, "knobs")


def _check_name(name: str, where: str) -> None:
    if not SAFE_ID.fullmatch(name) or len(name) > MAX_NAME:
        raise DataError(
            f"{where}: got {shown(name)}; accepted: names of a-z and 0-9, joined by single "
            "hyphens, "
            f"up to {MAX_NAME} characters"
        )


def _check_knobs(knobs: Mapping[str, Any], where: str) -> None:
    for name, value in knobs.items():
        if name not in KNOBS:
            raise DataError(f"{where}: got {shown(name)}; accepted: {', '.join(KNOBS)}")
        if value is not None and not KNOBS[name].accepts(value):
            got = "" if name in _HIDDEN else f"got {shown(value)}; "
            raise DataError(f"{where}.{name}: {got}accepted: {KNOBS[name].accepted}")
