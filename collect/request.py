"""What `deploy.yml -e server=…` asks for, and what it means for a host. Pure.

What does not fit is a `DataError` that names the variable as it was given on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from collect.activation import Activation, Installation, Service, parse_service
from collect.decode import decode
from collect.errors import DataError, shown
from collect.inputs import ENDPOINTS, check_endpoints, check_folder_name, check_whole
from collect.model import Proxy
from collect.variants import (
    CATALOGUE,
    MATRIX,
    PROFILES,
    PROXY_PORT,
    SELECTED,
    SOCKET_LABEL,
    check_variant,
    expand_variants,
    is_unset,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collect.model import Endpoint, Variant

_READS = ("GET", "HEAD")
_SERVICE_FILE = "/etc/serverbench/service.json"


def requested_variant(variables: Mapping[str, Any], cores: int) -> Variant | None:
    """Return the variant that shall be the service; None where `server` is empty.

    A service takes its listening socket from systemd wherever its server can: connections wait
    while it is redeployed. Where the profile leaves that off, this is a variation of its own, under
    the label `socket`, so that the unit that a bench measures is not rewritten.

    Args:
        variables: `server`, `interface`, `proxy`, `profile`, `label` as given on the command line,
            and the inventory's catalogue, profiles and matrix; its endpoints where they are to be
            looked at too.
        cores: processor cores of the host.

    Raises:
        DataError: one of them is unknown.
    """
    if ENDPOINTS in variables:
        # What proves a release is asked for at its end, when the host has changed already.
        named, measured = "service_endpoints", "bench_endpoints"
        _proofs(
            check_endpoints(variables[ENDPOINTS]),
            plain(variables.get(named), named),
            plain(variables.get(measured), measured),
        )
    given = {
        name: str(plain(variables.get(name), name) or "")
        for name in ("server", "interface", "proxy", "profile", "label")
    }
    if not given["server"]:
        for name in ("interface", "profile", "label"):
            if given[name]:
                raise DataError(
                    f"{name}: got {shown(given[name])} without a server; add -e server=…"
                )
        return None
    catalogue, profiles = plain(variables[CATALOGUE]), plain(variables[PROFILES])
    server = _one_of("server", given["server"], catalogue)
    interfaces = catalogue[server]["interfaces"]
    interface = _one_of("interface", given["interface"] or interfaces[0], interfaces)
    proxy = _one_of("proxy", given["proxy"] or "none", get_args(Proxy))
    selected = plain(variables.get(SELECTED)) or ["parity"]
    first = selected if isinstance(selected, str) else selected[0]
    profile = _one_of("profile", given["profile"] or first, profiles)
    entry: dict[str, Any] = {"server": server, "interface": interface, "proxy": proxy}
    if given["label"]:
        own = variables.get(MATRIX)
        lines = plain(profiles[profile].get("matrix") if is_unset(own) else own, MATRIX) or []
        entry |= _labelled(given["label"], server, interface, lines)
    port = variables.get("proxy_port", PROXY_PORT)
    (variant,) = expand_variants([entry], catalogue, profiles, [profile], cores, port)
    if variant.knobs["socket"] or "socket" in variant.not_honoured:
        return variant
    entry["knobs"] = {**entry.get("knobs", {}), "socket": True}
    entry["label"] = "-".join(filter(None, (given["label"], SOCKET_LABEL)))
    (variant,) = expand_variants(
        [entry], catalogue, profiles, [profile], cores, port, is_labelled_here=True
    )
    return variant


def _one_of(name: str, got: str, accepted: Sequence[str] | Mapping[str, Any]) -> str:
    if got not in accepted:
        raise DataError(f"{name}: got {shown(got)}; accepted: {', '.join(accepted)}")
    return got


def _labelled(
    label: str, server: str, interface: str, lines: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return label and knobs of the matrix line that bears the label."""
    mine = [
        line
        for line in lines
        if line.get("server") == server and line.get("interface") == interface
    ]
    for line in mine:
        if line.get("label") == label:
            return {"label": label, "knobs": dict(line.get("knobs") or {})}
    known = sorted({str(line["label"]) for line in mine if line.get("label")})
    raise DataError(
        f"label: got {shown(label)}; accepted for {server}-{interface}: "
        f"{', '.join(known) or f'none, as no line of {MATRIX} has one'}"
    )


def recorded_service(text: object, host: str, catalogue: object) -> Service | None:
    """Return what the host serves by its own record; None where it has none.

    The host is not trusted with it: the variant names the role that is run, and its units.

    Args:
        text: of the record, or nothing.
        host: named in messages.
        catalogue: `server_catalogue`.

    Raises:
        DataError: the record cannot be read, or holds what no inventory could have asked for.
    """
    known = str(plain(text) or "").strip()
    if not known:
        return None
    where = f"{host}: {_SERVICE_FILE}"
    service = parse_service(known, where)
    try:
        check_variant(service.variant, catalogue)
        check_folder_name(service.release, "release")
    except DataError as error:
        raise DataError(f"{where}: {error}; remove the file and deploy the service") from error
    return service


def make_activation(  # noqa: PLR0913 - the parts of one message; all are passed by name
    *,
    release: str,
    releases_kept: object,
    variant: Variant | None,
    takes_over: bool,
    endpoints: object,
    names: object,
    measured: object,
    ports: Mapping[str, Any],
    ready_timeout_s: object,
    stop_timeout_s: object,
    staged: object = None,
    install: object = None,
) -> Activation:
    """Return what the host is told to serve.

    Args:
        release: id of the release.
        releases_kept: `app_releases_kept`.
        variant: the service, or None.
        takes_over: whether it was asked for, rather than being the service already.
        endpoints: `app_endpoints`.
        names: `service_endpoints`: which of them prove that a release works; null takes those that
            are measured and only read.
        measured: `bench_endpoints`.
        ports: `{address, port, candidate_port}`.
        ready_timeout_s: `service_ready_timeout_s`.
        stop_timeout_s: how long a server may take to finish what it has.
        staged: text by name of the files that changed or may have; null for none.
        install: what brings the release, as the app role says it; null where it is there.
    """
    port = check_whole(ports["port"], "port", 1, 65535)
    candidate_port = check_whole(ports["candidate_port"], "service_candidate_port", 1, 65535)
    if candidate_port in (port, None if variant is None else variant.port):
        raise DataError(
            f"service_candidate_port: got {candidate_port}, where the service itself listens; "
            "accepted: a port of its own, for a release that is tried beside it"
        )
    return Activation(
        release=str(plain(release)),
        releases_kept=check_whole(releases_kept, "app_releases_kept", 1),
        service=variant,
        takes_over=bool(takes_over),
        endpoints=_proofs(check_endpoints(endpoints), plain(names), plain(measured)),
        address=str(plain(ports["address"])),
        port=port,
        candidate_port=candidate_port,
        ready_timeout_s=float(check_whole(ready_timeout_s, "service_ready_timeout_s", 1)),
        stop_timeout_s=float(check_whole(stop_timeout_s, "service_stop_timeout_s", 1)),
        staged=decode(dict[str, str], plain(staged) or {}, "staged"),
        install=decode(Installation, plain(install), "install") if install else None,
    )


def _proofs(endpoints: Sequence[Endpoint], names: Any, measured: Any) -> tuple[Endpoint, ...]:  # noqa: ANN401 - lists of names, or null
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    if not is_unset(names):
        wanted = decode(
            tuple[str, ...], [names] if isinstance(names, str) else names, "service_endpoints"
        )
        return tuple(by_name[_one_of("service_endpoints", name, by_name)] for name in wanted)
    # A release that is tried must not write into the data of the one that serves.
    for pool in ([measured] if isinstance(measured, str) else measured or [], by_name):
        found = tuple(by_name[n] for n in pool if n in by_name and by_name[n].method in _READS)
        if found:
            return found
    raise DataError(
        f"service_endpoints: got nothing, and no endpoint of {ENDPOINTS} only reads; accepted: "
        f"names out of {', '.join(by_name)}, to be asked at each deployment"
    )
