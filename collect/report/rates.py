"""Latency at a fixed rate, and the highest rate within a limit: an endpoint a section.

Figures are medians over blocks. A request that brought no right answer is later than all others, so
a percentile that falls on one stays unknown; a variant that could not keep a rate has no latency at
it at all. Intervals are Student's over blocks, on the log scale; whether two variants differ at a
common rate is decided by their differences inside blocks.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.checks import is_missed
from collect.decide import ALPHA
from collect.decide.student import t_quantile
from collect.lang import N_, _, pgettext, sentences
from collect.model import RateLatency
from collect.report import text
from collect.stats.slo import Carried, carried

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collect.model import Plan, Trial, Variant

TITLE = N_("Latency at a fixed rate")
LEGEND = N_(
    "Requests are sent evenly at the rate asked for, whatever the server does, and each is timed "
    "from when it was due: a stall holds up nobody's question. Medians over blocks, milliseconds; "
    "of p99 the geometric mean with its 95 % interval, from three blocks on. Lag is how late "
    "requests were sent because no connection was free, as the 99th percentile; it is part of the "
    "latency. A "
    "percentile that falls on a request without a right answer is not known. Where the rate was "
    "not kept in half of the blocks there is no latency to speak of: it grows for as long as one "
    "goes on."
)
HEADS = (
    N_("variant"),
    N_("load"),
    N_("asked"),
    N_("answered"),
    "p50",
    "p90",
    "p99",
    N_("95 % interval"),
    "p99.9",
    N_("lag"),
)
SLO_HEADS = (N_("variant"), "req/s", N_("95 % interval"), N_("of its capacity"), N_("blocks"))
_FEWEST_BLOCKS = 3
"""Two give an interval that spans several powers of ten."""
_WIDEST = 100.0
"""An interval that spans more than this factor is not worth the reading."""
_HALF = 0.5
_FEWEST_FOR_P999 = 1_000
"""Requests of a leg."""
_NO_LATENCY = RateLatency(None, None, None, None, None, None)

Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RateRow:
    """One variant at one rate; medians over blocks, None where that is not known."""

    variant: str
    share: float | None
    """Of its own capacity; None at the common rate."""
    rate_rps: float | None
    achieved_rps: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p99_low_ms: float | None
    p99_high_ms: float | None
    p999_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    blocks: int
    missed: int
    """Blocks in which the rate was not kept, or the server failed at it."""
    lost: int
    """Requests without a right answer, in all blocks together."""

    @property
    def is_carried(self) -> bool:
        """Whether most blocks kept the rate; there is no latency otherwise."""
        return self.missed < self.blocks * _HALF


@dataclass(frozen=True, slots=True)
class SloRow:
    """The highest rate of one variant within the limit."""

    variant: str
    limit_p99_ms: float
    found: Carried | None
    """None where the server failed in half of the searches: the rest would be its good ones."""
    capacity_rps: float | None
    """The median of what its searches set out from."""
    searches: int
    failed: int
    """Searches in which the server failed, which have no figure."""


@dataclass(frozen=True, slots=True)
class EndpointRates:
    """What the legs of one endpoint say."""

    endpoint: str
    own: tuple[RateRow, ...]
    """At shares of each variant's own capacity, a variant after the other."""
    common: tuple[RateRow, ...]
    """At one rate for all, the lowest p99 first."""
    slo: tuple[SloRow, ...]
    """The highest rate first."""
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RateTable:
    """One table, ready for any format."""

    title: str
    heads: Cells
    rows: tuple[Cells, ...]


def rates_of(plan: Plan, used: Iterable[Trial]) -> tuple[EndpointRates, ...]:
    """Return what the legs say, an entry for each endpoint that has any.

    Args:
        plan: the host's plan.
        used: its legs that are not invalid, one a cell; and those at which the server failed, which
            count as blocks in which it did not keep the rate.
    """
    legs = list(used)
    found = (
        _endpoint(plan, endpoint.name, [leg for leg in legs if leg.endpoint == endpoint.name])
        for endpoint in plan.endpoints
    )
    return tuple(part for part in found if part is not None)


def tables(part: EndpointRates) -> list[RateTable]:
    """Return the endpoint's tables."""
    name = text.one_line(part.endpoint)
    found = []
    if part.own:
        title = _("{endpoint}: at shares of each variant's own capacity").format(endpoint=name)
        found.append(_rates_table(title, part.own))
    if part.common:
        title = _("{endpoint}: at one rate for all").format(endpoint=name)
        found.append(_rates_table(title, part.common))
    if part.slo:
        limit = text.figure(part.slo[0].limit_p99_ms)
        title = _("{endpoint}: highest rate with p99 up to {limit} ms").format(
            endpoint=name, limit=limit
        )
        rows = tuple(_slo_cells(row) for row in part.slo)
        found.append(RateTable(title, tuple(map(_, SLO_HEADS)), rows))
    return found


def _endpoint(plan: Plan, name: str, legs: Sequence[Trial]) -> EndpointRates | None:
    own, common, slo = [], [], []
    common_rps = _common_rps(plan, [leg for leg in legs if leg.leg == "common"])
    for variant in plan.variants:
        mine = [leg for leg in legs if leg.variant == variant.id]
        shares = sorted({leg.share for leg in mine if leg.share is not None})
        own += [
            _row(variant, [leg for leg in mine if leg.share == share], share) for share in shares
        ]
        at_common = [leg for leg in mine if leg.leg == "common"]
        common.append(_row(variant, at_common, None, common_rps))
        slo.append(_slo(plan, variant, [leg for leg in mine if leg.leg == "slo"]))
    known_own = tuple(row for row in own if row)
    known_common = sorted((row for row in common if row), key=_by_p99)
    known_slo = sorted((row for row in slo if row), key=_by_rate)
    if not known_own and not known_common and not known_slo:
        return None
    said = [
        *_common_said([leg for leg in legs if leg.leg == "common"], known_common, name),
        *(_slo_said(row, name) for row in known_slo),
    ]
    return EndpointRates(name, known_own, tuple(known_common), tuple(known_slo), tuple(said))


def _common_rps(plan: Plan, legs: Iterable[Trial]) -> float | None:
    """Return what all were asked; None where no leg that had to find it out has noted it."""
    if plan.rates is not None and plan.rates.common_rps is not None:
        return plan.rates.common_rps
    return _median(leg.rate.rate_rps for leg in legs if leg.rate is not None)


def _row(
    variant: Variant, legs: Sequence[Trial], share: float | None, asked_rps: float | None = None
) -> RateRow | None:
    """Return the row; one without any latency where the server failed in every block.

    Args:
        variant: whose legs they are.
        legs: those at this rate.
        share: of its capacity, if that is what the rate was.
        asked_rps: the rate, where a leg at which the server failed has not noted it.
    """
    figures = [leg.rate for leg in legs if leg.rate is not None and leg.outcome.status == "ok"]
    failed = sum(leg.outcome.status != "ok" for leg in legs)
    if not figures and not failed:
        return None
    # A block that missed the rate counts as later than all others, too.
    latencies = [_NO_LATENCY if is_missed(one) else one.latency_ms for one in figures]
    latencies += [_NO_LATENCY] * failed
    missed = sum(map(is_missed, figures)) + failed
    p99, low, high = _p99([one.p99 for one in latencies])
    noted = figures or [leg.rate for leg in legs if leg.rate is not None]
    return RateRow(
        variant=variant.id,
        share=share,
        rate_rps=_median(one.rate_rps for one in noted) if noted else asked_rps,
        achieved_rps=_median(one.achieved_rps for one in figures),
        p50_ms=_median(one.p50 for one in latencies),
        p90_ms=_median(one.p90 for one in latencies),
        p99_ms=p99,
        p99_low_ms=low,
        p99_high_ms=high,
        # Of fewer requests it is the slowest one, and with luck none of the slow ones.
        p999_ms=_median(
            one.p999
            for one in latencies
            if min((one.requests for one in figures), default=0) >= _FEWEST_FOR_P999
        ),
        lag_p99_ms=_median(one.lag_p99_ms for one in figures),
        lag_max_ms=_median(one.lag_max_ms for one in figures),
        blocks=len(latencies),
        missed=missed,
        lost=sum(one.requests - one.answered for one in figures),
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median, an unknown one being later than all others; None where it is unknown."""
    known = [math.inf if value is None else value for value in values]
    found = statistics.median(known) if known else math.inf
    return found if math.isfinite(found) else None


def _p99(
    values: Sequence[float | None],
) -> tuple[float | None, float | None, float | None]:
    """Return the geometric mean with its interval; the median where there is none to speak of."""
    known = [math.log(value) for value in values if value is not None and value > 0]
    if len(known) < _FEWEST_BLOCKS or len(known) < len(values):
        return _median(values), None, None
    mean, half = statistics.fmean(known), _half(known, ALPHA)
    if 2 * half > math.log(_WIDEST):
        return _median(values), None, None
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _half(logs: Sequence[float], alpha: float) -> float:
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return t_quantile(alpha, len(logs) - 1) * error


def _slo(plan: Plan, variant: Variant, legs: Sequence[Trial]) -> SloRow | None:
    searches = [leg.search for leg in legs if leg.search is not None and leg.outcome.status == "ok"]
    failed = sum(leg.outcome.status != "ok" for leg in legs)
    limit_ms = None if plan.rates is None else plan.rates.slo_p99_ms
    if limit_ms is None or not (searches or failed):
        return None
    found = carried(searches) if failed < (len(searches) + failed) * _HALF else None
    if found is None and not failed:
        return None
    return SloRow(
        variant=variant.id,
        limit_p99_ms=limit_ms,
        found=found,
        capacity_rps=_median(search.capacity_rps for search in searches),
        searches=len(searches) + failed,
        failed=failed,
    )


def _by_rate(row: SloRow) -> float:
    """Put what carries most first, and last what nobody can say of."""
    return math.inf if row.found is None else -row.found.rate_rps


def _by_p99(row: RateRow) -> tuple[bool, float]:
    return not row.is_carried, math.inf if row.p99_ms is None else row.p99_ms


def _common_said(legs: Sequence[Trial], rows: Sequence[RateRow], endpoint: str) -> list[str]:
    """Say who answers soonest at the common rate, and who cannot carry it."""
    if not rows:
        return []
    said = []
    rate = text.figure(rows[0].rate_rps)
    name = text.one_line(endpoint)
    carrying = [row for row in rows if row.is_carried]
    known = [row for row in carrying if row.p99_ms is not None]
    unknown = [row for row in carrying if row.p99_ms is None]
    if known:
        first, *others = known
        ties = [row for row in others if not _is_apart(legs, first, row, len(others))]
        figure = _p99_said(first)
        if not others:
            words = _("At {rate} req/s on {endpoint}, {variant} has a p99 of {p99}.")
        elif not ties:
            words = _("At {rate} req/s for all on {endpoint}, {variant} has the lowest p99, {p99}.")
        else:
            words = _(
                "At {rate} req/s for all on {endpoint}, {variant} has the lowest p99, {p99}; "
                "{others} cannot be told from it."
            )
        said.append(
            words.format(
                rate=rate,
                endpoint=name,
                variant=text.one_line(first.variant),
                p99=figure,
                others=_names(ties),
            )
        )
        # One that is unknown is later than all of them.
        if (
            others
            and not unknown
            and all(_is_apart(legs, row, known[-1], len(others)) for row in known[:-1])
        ):
            said.append(
                _("The highest is that of {variant}, {p99}.").format(
                    variant=text.one_line(others[-1].variant), p99=_p99_said(others[-1])
                )
            )
    else:
        words = _("At {rate} req/s for all on {endpoint}, no p99 is known.")
        if rows[0].rate_rps is None:
            words = _("The one rate for all on {endpoint} is not known, and no p99 at it.")
        said.append(words.format(rate=rate, endpoint=name))
    if unknown:
        said.append(
            _("Later than what was measured, and so not known, is that of {variants}.").format(
                variants=_names(unknown)
            )
        )
    said += [
        _("{variant} did not keep it in {missed} of {blocks} blocks.").format(
            variant=text.one_line(row.variant), missed=row.missed, blocks=row.blocks
        )
        for row in carrying
        if row.missed
    ]
    if lost := [row for row in rows if not row.is_carried]:
        said.append(_("Not carried by {variants}.").format(variants=_names(lost)))
    return [sentences(*said)]


def _names(rows: Iterable[RateRow]) -> str:
    return text.both([text.one_line(row.variant) for row in rows])


def _is_apart(legs: Sequence[Trial], a: RateRow, b: RateRow, pairs: int) -> bool:
    """Tell whether two variants' p99 differ, by their log-ratios inside blocks.

    Bonferroni over the pairs that are looked at. Nothing is said for one that did not keep the rate
    in every block: the blocks that are left would be its good ones.
    """
    if a.missed:
        return False
    by_block: dict[int, dict[str, float]] = {}
    for leg in legs:
        if leg.rate is None or leg.outcome.status != "ok" or is_missed(leg.rate):
            continue
        if leg.rate.latency_ms.p99:
            by_block.setdefault(leg.block, {})[leg.variant] = math.log(leg.rate.latency_ms.p99)
    logs = [
        cells[b.variant] - cells[a.variant]
        for cells in by_block.values()
        if a.variant in cells and b.variant in cells
    ]
    if len(logs) < _FEWEST_BLOCKS:
        return False
    return abs(statistics.fmean(logs)) > _half(logs, ALPHA / pairs)


def _p99_said(row: RateRow) -> str:
    figure = text.figure(row.p99_ms)
    if row.p99_low_ms is None or row.p99_high_ms is None:
        return _("{p99} ms").format(p99=figure)
    return _("{p99} ms [{low}, {high}]").format(
        p99=figure, low=text.figure(row.p99_low_ms), high=text.figure(row.p99_high_ms)
    )


def _slo_said(row: SloRow, endpoint: str) -> str:
    found = row.found
    if found is None:
        words = _(
            "{variant} failed in {failed} of {searches} searches on {endpoint}: nobody can say "
            "what it carries with p99 up to {limit} ms."
        )
    elif found.end == "above":
        words = _(
            "{variant} carries more than {rate} req/s on {endpoint} with p99 up to {limit} ms."
        )
    elif found.end == "below":
        words = _(
            "{variant} does not even carry {rate} req/s on {endpoint} with p99 up to {limit} ms."
        )
    elif found.low_rps is None or found.high_rps is None:
        words = _(
            "{variant} carries about {rate} req/s on {endpoint} with p99 up to {limit} ms; from "
            "one block, so nobody can say how sure that is."
        )
    else:
        words = _(
            "{variant} carries {rate} req/s [{low}, {high}] on {endpoint} with p99 up to {limit} "
            "ms."
        )
    if found is not None and row.failed:
        words = sentences(
            words, _("It failed in {failed} of {searches} searches, which the figure leaves out.")
        )
    return words.format(
        variant=text.one_line(row.variant),
        rate=text.figure(None if found is None else found.rate_rps),
        low=text.figure(None if found is None else found.low_rps),
        high=text.figure(None if found is None else found.high_rps),
        endpoint=text.one_line(endpoint),
        limit=text.figure(row.limit_p99_ms),
        failed=row.failed,
        searches=row.searches,
    )


def _rates_table(title: str, rows: Sequence[RateRow]) -> RateTable:
    # The load is a share of each one's own capacity: at a common rate there is none to show.
    places = [place for place, head in enumerate(HEADS) if head != "load" or rows[0].share]
    return RateTable(
        title,
        tuple(_(HEADS[place]) for place in places),
        tuple(tuple(_cells(row)[place] for place in places) for row in rows),
    )


def _cells(row: RateRow) -> Cells:
    load = "" if row.share is None else f"{row.share * 100:.3g} %"
    start = (
        text.one_line(row.variant),
        load,
        text.figure(row.rate_rps),
        text.figure(row.achieved_rps),
    )
    lag = text.figure(row.lag_p99_ms)
    if not row.is_carried:
        # In the widest column, so that it costs the others no room.
        return (*start, "", "", "", pgettext("a rate", "not carried"), "", lag)
    interval = ""
    if row.p99_low_ms is not None and row.p99_high_ms is not None:
        interval = f"[{text.figure(row.p99_low_ms)}, {text.figure(row.p99_high_ms)}]"
    elif row.missed:
        interval = _("{missed} of {blocks} not kept").format(missed=row.missed, blocks=row.blocks)
    figures = (row.p50_ms, row.p90_ms, row.p99_ms)
    return (*start, *map(text.figure, figures), interval, text.figure(row.p999_ms), lag)


def _slo_cells(row: SloRow) -> Cells:
    found = row.found
    blocks = str(row.searches)
    if row.failed:
        blocks = _("{failed} of {searches} failed").format(failed=row.failed, searches=row.searches)
    if found is None:
        return (text.one_line(row.variant), text.UNKNOWN, "", "", blocks)
    rate = text.figure(found.rate_rps)
    if found.end == "above":
        rate = _("more than {rate}").format(rate=rate)
    elif found.end == "below":
        rate = _("less than {rate}").format(rate=rate)
    interval = ""
    if found.low_rps is not None and found.high_rps is not None:
        interval = f"[{text.figure(found.low_rps)}, {text.figure(found.high_rps)}]"
    share = text.percent(found.rate_rps / row.capacity_rps) if row.capacity_rps else text.UNKNOWN
    return (text.one_line(row.variant), rate, interval, share, blocks)
