"""Try a release beside the one that serves, on a port of its own, before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collect.errors import ServerbenchError
from collect.model import Outcome as Answered
from collect.runner.systemd import start_failure
from collect.runner.waiting import ask_until_right
from collect.service import files
from collect.service.files import Proof
from collect.service.host import CANDIDATE

if TYPE_CHECKING:
    from pathlib import Path

    from collect.activation import Activation
    from collect.runner.seams import Asker, Clock
    from collect.service.host import Host

# The candidate of an activation that was killed must not eat the memory of a small host for ever.
_OUTLIVES_S = 60
# One start is all it gets. With a socket, each question would start it again.
_LIMITS = """\
[Unit]
StartLimitIntervalSec=1h
StartLimitBurst=1
[Service]
Restart=no
RuntimeMaxSec={seconds:.0f}
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server is not fit to serve, with its last lines."""

    reason: str
    journal: str


@dataclass(frozen=True, slots=True)
class Asking:
    """One place that is asked."""

    clock: Clock
    asker: Asker


def prove(
    host: Host, unit: str, proof: Proof, limit_s: float, *, former_restarts: int = 0
) -> Refusal | None:
    """Wait until every endpoint gives its right answer; return why not.

    Args:
        host: what is touched.
        unit: the service that shall answer; its end ends the waiting.
        proof: what to ask, and where.
        limit_s: for all of them together.
        former_restarts: how often systemd has restarted it before; once more ends the waiting.
    """
    since_s, deadline_s = host.clock.time(), host.clock.monotonic() + limit_s
    asking = Asking(host.clock, host.asker(proof.address, proof.port))

    def ended() -> Answered | None:
        state = host.units.state(unit)
        restarts = max((state.restarts or 0) - former_restarts, 0)
        problem = start_failure(replace(state, restarts=restarts))
        return None if problem is None else Answered("start_failed", problem)

    for endpoint in proof.endpoints:
        left_s = deadline_s - host.clock.monotonic()
        # Once more at the end: it may have been started a second time between two looks.
        if wrong := ask_until_right(asking, endpoint, left_s, ended) or ended():
            return Refusal(wrong.reason or wrong.status, host.units.journal(unit, since_s - 1))
    return None


def prove_some(host: Host, unit: str, proof: Proof, limit_s: float) -> Refusal | None:
    """As `prove`, but one right answer will do: the release may be older than some endpoints."""
    deadline_s = host.clock.monotonic() + limit_s
    refusal = None
    for endpoint in proof.endpoints:
        left_s = deadline_s - host.clock.monotonic()
        refusal = prove(host, unit, replace(proof, endpoints=(endpoint,)), left_s)
        if refusal is None:
            return None
    return refusal


def try_candidate(wanted: Activation, host: Host) -> Refusal | None:
    """Start the staged candidate, see whether it answers rightly, stop it; return why not.

    Raises:
        ServerbenchError: its unit is not staged, or its port is taken.
    """
    remove_candidate(host, wanted.stop_timeout_s)
    places = host.places
    names = [f"{CANDIDATE}.socket", f"{CANDIDATE}.service"]
    units = {name: text for name in names if (text := files.read(places.staged_dir / name))}
    if f"{CANDIDATE}.service" not in units:
        raise ServerbenchError(f"{places.staged_dir}/{CANDIDATE}.service is missing: deploy again")
    if wanted.service is None or wanted.service.socket_unit is None:
        units.pop(f"{CANDIDATE}.socket", None)
    if owner := host.asker(wanted.address, wanted.candidate_port).port_owner():
        raise ServerbenchError(
            f"service_candidate_port: got {wanted.candidate_port}, which is taken by {owner}; "
            "accepted: a free port"
        )
    try:
        for name, text in units.items():
            files.write(places.runtime_unit_dir / name, text)
        limits = _LIMITS.format(seconds=wanted.ready_timeout_s + _OUTLIVES_S)
        _drop_in(places.runtime_unit_dir).parent.mkdir(parents=True, exist_ok=True)
        files.write(_drop_in(places.runtime_unit_dir), limits)
        # All units would be read anew for it, which takes systemd a tenth of a second and more.
        if not host.units.has_read(list(units), _drop_in(places.runtime_unit_dir)):
            host.units.reload()
        if problem := host.units.start(list(units)):
            return Refusal(problem, "")
        return prove(
            host,
            f"{CANDIDATE}.service",
            Proof(wanted.address, wanted.candidate_port, wanted.endpoints),
            wanted.ready_timeout_s,
        )
    finally:
        remove_candidate(host, wanted.stop_timeout_s)


def remove_candidate(host: Host, stop_timeout_s: float) -> None:
    """Stop the candidate and take its units away, where there are any."""
    folder = host.places.runtime_unit_dir
    left = [
        path for name in ("socket", "service") if (path := folder / f"{CANDIDATE}.{name}").exists()
    ]
    if not left:
        return
    if problem := host.units.stop([path.name for path in left], stop_timeout_s):
        host.log(problem)
    # systemd forgets a unit that has stopped and is referred to by none, and loads the next anew.
    for path in [*left, _drop_in(folder)]:
        path.unlink(missing_ok=True)


def _drop_in(folder: Path) -> Path:
    return folder / f"{CANDIDATE}.service.d" / "limits.conf"
