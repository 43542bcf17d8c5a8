"""What a proxy costs: each variant behind one, against the same server without, inside blocks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.lang import _, sentences
from collect.report import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    plan: Plan, endpoints: Sequence[EndpointReport], used: Mapping[tuple[str, str], Sequence[Trial]]
) -> tuple[ProxyCost, ...]:
    """Pair each variant behind a proxy with its direct partner.

    Args:
        plan: the host's plan.
        endpoints: its rankings.
        used: by variant and endpoint, its trials that are not invalid, one a cell.
    """
    return tuple(
        ProxyCost(
            variant,
            direct := _partner(plan, variant),
            tuple(
                _cost(part, variant, direct, used.get((variant.id, part.endpoint.name), []))
                for part in endpoints
            ),
            plan.order,
        )
        for variant in plan.variants
        if variant.proxy != "none" and variant.twin_of is None
    )


def proxy_cost(found: ProxyCost) -> str:
    """Say what it costs in req/s, and what the proxy itself takes."""
    variant = found.variant
    if variant.knobs.get("upstream") == "unix":
        pair = _("{proxy}, over a unix socket, in front of {server}")
    else:
        pair = _("{proxy} in front of {server}")
    if found.direct is None:
        server = f"{variant.server}-{variant.interface}"
        said = _("{pair}: nothing to compare it with.")
    else:
        server = text.one_line(found.direct.id)
        said = _("{pair} {costs}.")
    doubt = ""
    if found.direct is not None and found.order == "sequential":
        doubt = _("In sequential order that may be the hour's doing.")
    return sentences(
        said.format(
            pair=pair.format(proxy=_NAMES[variant.proxy], server=server),
            costs=_says(found.endpoints),
        ),
        doubt,
        _takes(found.endpoints),
    )


def lonely(found: ProxyCost) -> str:
    """Say that nobody can know what the proxy costs, and what to add."""
    variant = found.variant
    return _(
        "{variant} has no direct partner in this run, so what {proxy} costs is not known: add "
        "{line} with the same knobs and no proxy to bench_matrix."
    ).format(
        variant=text.one_line(variant.id),
        proxy=_NAMES[variant.proxy],
        line=f"{{server: {variant.server}, interface: {variant.interface}}}",
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
    part: EndpointReport, variant: Variant, direct: Variant | None, own: Sequence[Trial]
) -> EndpointCost:
    ranking = part.rps.ranking
    rps = None if direct is None else ranking.between(variant.id, direct.id)
    floor = ranking.smallest_gap or 0.0
    taken = [(one.proxy_figures, one.wrk) for one in own if one.proxy_figures]
    return EndpointCost(
        endpoint=part.endpoint.name,
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
    before: bool | None = None
    for cost in costs:
        gains = cost.is_told and cost.rps is not None and cost.rps.ratio > 1
        said.append(
            _clause(gains=gains, is_first=before is None, is_again=gains == before).format(
                amount=_amount(cost), endpoint=text.one_line(cost.endpoint), doubt=_doubt(cost)
            )
        )
        before = gains
    return text.clauses(said)


def _clause(*, gains: bool, is_first: bool, is_again: bool) -> str:
    if is_again:
        return _("{amount} on {endpoint}{doubt}")
    if gains:
        if is_first:
            return _("gains {amount} of the req/s on {endpoint}{doubt}")
        return _("gains {amount} on {endpoint}{doubt}")
    if is_first:
        return _("costs {amount} of the req/s on {endpoint}{doubt}")
    return _("costs {amount} on {endpoint}{doubt}")


def _amount(cost: EndpointCost) -> str:
    if cost.rps is None:
        return _("nobody knows how much")
    ends = [cost.rps.low, cost.rps.ratio, cost.rps.high]
    gains = cost.is_told and cost.rps.ratio > 1
    low, share, high = sorted(x - 1 if gains else 1 - x for x in ends)
    half = max(high - share, share - low)
    if half >= _HOPELESS:
        return _("nobody knows how much")
    decimals = 0 if half >= _FINE else 1
    # Plus zero: minus nothing is nothing.
    shown, *about = (f"{round(x * 100, decimals) + 0.0:.{decimals}f} %" for x in (share, half))
    if half >= _LOPSIDED:
        about = [f"{x * 100:.0f} %" for x in (low, high)]
    if len(about) == 1:
        return f"{shown} ± {about[0]}"
    return _("{share} ({low} to {high})").format(share=shown, low=about[0], high=about[1])


def _doubt(cost: EndpointCost) -> str:
    if cost.rps is None:
        return _(" (it takes two blocks of both)")
    return "" if cost.is_told else _(" (cannot be told from nothing)")


def _takes(costs: Sequence[EndpointCost]) -> str:
    memory = max((c.pss_bytes for c in costs if c.pss_bytes is not None), default=None)
    if memory is None:
        return ""
    cpu = [
        _("{time} ms on {endpoint}").format(
            time=text.figure(c.cpu_s_per_request * 1000), endpoint=text.one_line(c.endpoint)
        )
        for c in costs
        if c.cpu_s_per_request is not None
    ]
    if cpu:
        said = _("It takes {memory} MiB itself and, for each request, CPU time of {times}.")
    else:
        said = _("It takes {memory} MiB itself.")
    return said.format(memory=text.figure(text.mebibytes(memory)), times=text.comma(cpu))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
