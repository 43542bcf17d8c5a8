"""What a proxy costs: each variant behind one, against the same server without, inside blocks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collect.model import Order, Plan, Trial, Variant
    from collect.report.ranking import EndpointReport
    from collect.stats import Interval

_NAMES = {"caddy": "Caddy", "nginx": "nginx"}
_FINE = 0.01
"""An interval narrower than a percentage point to each side deserves a decimal."""
_LOPSIDED = 0.1
"""From here on the two sides of an interval differ too much for one figure to stand for both."""
_HOPELESS = 1.0
"""One that is wider than the whole throughput says nothing at all."""


@dataclass(frozen=True, slots=True)
class EndpointCost:
    """On one endpoint."""

    endpoint: str
    rps: Interval | None
    """Req/s behind the proxy over req/s without, for this pair alone; None without two blocks that
    hold both."""
    is_told: bool
    """Whether that differs from nothing, and by more than a twin did."""
    pss_bytes: float | None
    """Peak memory of the proxy itself, the median over blocks."""
    cpu_s_per_request: float | None
    """CPU time of the proxy itself, likewise."""


@dataclass(frozen=True, slots=True)
class ProxyCost:
    """Of one variant behind a proxy."""

    variant: Variant
    direct: Variant | None
    """The same server with the same settings and no proxy; None where the plan has none."""
    endpoints: tuple[EndpointCost, ...]
    order: Order


def proxy_costs(
    plan: Plan, endpoints: Sequence[EndpointReport], used: Sequence[Trial]
) -> tuple[ProxyCost, ...]:
    """Pair each variant behind a proxy with its direct partner.

    Args:
        plan: the host's plan.
        endpoints: its rankings.
        used: its trials that are not invalid, one a cell.
    """
    return tuple(
        ProxyCost(
            variant,
            direct := _partner(plan, variant),
            tuple(_cost(part, variant, direct, used) for part in endpoints),
            plan.order,
        )
        for variant in plan.variants
        if variant.proxy != "none" and variant.twin_of is None
    )


def proxy_cost(found: ProxyCost) -> str:
    """Say what it costs in req/s, and what the proxy itself takes."""
    variant = found.variant
    socket = ", over a unix socket," if variant.knobs.get("upstream") == "unix" else ""
    who = f"{_NAMES[variant.proxy]}{socket} in front of "
    if found.direct is None:
        said = f"{who}{variant.server}-{variant.interface}: nothing to compare it with."
    else:
        said = f"{who}{text.one_line(found.direct.id)} {_says(found.endpoints)}."
        if found.order == "sequential":
            said += " In sequential order that may be the hour's doing."
    return f"{said}{_takes(found.endpoints)}"


def lonely(found: ProxyCost) -> str:
    """Say that nobody can know what the proxy costs, and what to add."""
    variant = found.variant
    return (
        f"{text.one_line(variant.id)} has no direct partner in this run, so what "
        f"{_NAMES[variant.proxy]} costs is not known: add {{server: {variant.server}, interface: "
        f"{variant.interface}}} with the same knobs and no proxy to bench_matrix."
    )


def _partner(plan: Plan, variant: Variant) -> Variant | None:
    wanted = _settings(variant)
    for other in plan.variants:
        if other.proxy == "none" and other.twin_of is None and _settings(other) == wanted:
            return other
    return None


def _settings(variant: Variant) -> tuple[object, ...]:
    # How the proxy reaches it is no setting of the server's.
    knobs = {name: value for name, value in variant.knobs.items() if name != "upstream"}
    return variant.server, variant.interface, variant.profile, knobs


def _cost(
    part: EndpointReport, variant: Variant, direct: Variant | None, used: Sequence[Trial]
) -> EndpointCost:
    ranking = part.rps.ranking
    rps = None if direct is None else ranking.between(variant.id, direct.id)
    floor = ranking.smallest_gap or 0.0
    name = part.endpoint.name
    own = [one for one in used if (one.variant, one.endpoint) == (variant.id, name)]
    taken = [(one.proxy_figures, one.wrk) for one in own if one.proxy_figures]
    return EndpointCost(
        endpoint=name,
        rps=rps,
        is_told=rps is not None
        and not rps.low <= 1 <= rps.high
        and max(rps.ratio, 1 / rps.ratio) > 1 + floor,
        pss_bytes=_median(figures.pss_peak_bytes for figures, _ in taken),
        cpu_s_per_request=_median(
            figures.cpu_s / wrk.requests
            for figures, wrk in taken
            if figures.cpu_s is not None and wrk is not None and wrk.requests > 0
        ),
    )


def _says(costs: Sequence[EndpointCost]) -> str:
    said: list[str] = []
    verb, of = "", " of the req/s"
    for cost in costs:
        gains = cost.is_told and cost.rps is not None and cost.rps.ratio > 1
        before, verb = verb, "gains" if gains else "costs"
        again = "" if verb == before else f"{verb} "
        said.append(f"{again}{_amount(cost)}{of} on {text.one_line(cost.endpoint)}{_doubt(cost)}")
        of = ""
    return ", ".join(said)


def _amount(cost: EndpointCost) -> str:
    if cost.rps is None:
        return "nobody knows how much"
    ends = [cost.rps.low, cost.rps.ratio, cost.rps.high]
    gains = cost.is_told and cost.rps.ratio > 1
    low, share, high = sorted(x - 1 if gains else 1 - x for x in ends)
    half = max(high - share, share - low)
    if half >= _HOPELESS:
        return "nobody knows how much"
    decimals = 0 if half >= _FINE else 1
    # Plus zero: minus nothing is nothing.
    shown, *about = (f"{round(x * 100, decimals) + 0.0:.{decimals}f} %" for x in (share, half))
    if half >= _LOPSIDED:
        about = [f"{x * 100:.0f} %" for x in (low, high)]
    return f"{shown} ± {about[0]}" if len(about) == 1 else f"{shown} ({' to '.join(about)})"


def _doubt(cost: EndpointCost) -> str:
    if cost.rps is None:
        return " (it takes two blocks of both)"
    return "" if cost.is_told else " (cannot be told from nothing)"


def _takes(costs: Sequence[EndpointCost]) -> str:
    memory = max((c.pss_bytes for c in costs if c.pss_bytes is not None), default=None)
    if memory is None:
        return ""
    cpu = [
        f"{text.figure(c.cpu_s_per_request * 1000)} ms on {text.one_line(c.endpoint)}"
        for c in costs
        if c.cpu_s_per_request is not None
    ]
    per_request = f" and, for each request, CPU time of {', '.join(cpu)}" if cpu else ""
    return f" It takes {text.figure(text.mebibytes(memory))} MiB itself{per_request}."


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
