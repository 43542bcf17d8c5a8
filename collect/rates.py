"""Add legs at a fixed rate to a plan: latency that no stall of the server can hide.

Pure. Each leg is a trial of its own that follows the capacity trial of its variant and endpoint in
the same start. docs/latency.md says what to set; docs/method.md how it is measured.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from collect.errors import DataError, shown
from collect.ladder import RUNGS
from collect.model import PlannedTrial, Rates
from collect.variants import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collect.model import Endpoint, Variant

RATES = "bench_rates"
SLO = "bench_slo_p99_ms"
DURATION = "bench_rate_duration_s"

OF_CAPACITY = (0.25, 0.5, 0.75)
_MOST_SHARES = 20
_MOST_SHARE = 2.0
_MOST_RPS = 100_000.0
_MOST_DURATION_S = 300
_MOST_LIMIT_MS = 600_000.0
_NOTHING = ("", "null", "none", "false", "no")
_EVERYTHING = ("true", "yes")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_ACCEPTED = "{of_capacity: [25%, 50%, 75%], common: auto}, true (the same), or null"


def check_rates(rates: object, slo_p99_ms: object, duration_s: object) -> Rates | None:
    """Return the legs that every variant and endpoint gets; None without any.

    Args:
        rates: `{of_capacity, common}`, true for both as they are by default, or null.
        slo_p99_ms: the limit of the search in milliseconds, or null for none.
        duration_s: of each leg, whole seconds.

    Raises:
        DataError: one of them does not fit; the message names it.
    """
    shares, common_rps, is_auto = _rates(plain(rates))
    limit_ms = _limit(plain(slo_p99_ms))
    length_s = _number(plain(duration_s))
    if length_s is None or not 1 <= length_s <= _MOST_DURATION_S or length_s != int(length_s):
        raise DataError(
            f"{DURATION}: got {shown(duration_s)}; accepted: whole seconds from 1 to "
            f"{_MOST_DURATION_S}"
        )
    if not shares and common_rps is None and not is_auto and limit_ms is None:
        return None
    return Rates(shares, common_rps, is_auto, limit_ms, float(length_s))


def check_fits(rates: Rates | None, order: str, blocks: int) -> None:
    """Raise `DataError` where `common: auto` would never know its rate."""
    if rates is None or not rates.common_is_auto:
        return
    if order == "sequential" or blocks == 1:
        got = "bench_order: sequential" if order == "sequential" else "one block"
        raise DataError(
            f"{RATES}.common: got 'auto' with {got}; it takes the rate from a whole first block, "
            "and measures from the second on. Accepted here: a number of requests per second"
        )


def legs_of(
    rates: Rates | None, variant: Variant, endpoint: Endpoint, block: int, trial_id: str
) -> Iterator[PlannedTrial]:
    """Yield the legs that follow a capacity trial; their positions are still to be given.

    None for a twin, which shows what noise does to capacity, and none for the ladder's own rungs.
    """
    if rates is None or variant.twin_of is not None or endpoint.rung in RUNGS[:3]:
        return
    names: list[tuple[str, Any, float | None]] = [
        (f"r{share * 100:.6g}", "share", share) for share in rates.of_capacity
    ]
    if rates.common_rps is not None or (rates.common_is_auto and block > 1):
        names.append(("common", "common", None))
    if rates.slo_p99_ms is not None:
        names.append(("slo", "slo", None))
    for suffix, leg, share in names:
        name = f"{trial_id}-{suffix}"
        yield PlannedTrial(name, block, 0, variant.id, endpoint.name, leg, share)


def _rates(value: object) -> tuple[tuple[float, ...], float | None, bool]:
    """Return the shares, the common rate, and whether that is to be found."""
    if value is None or value is False or _is_word(value, _NOTHING):
        return (), None, False
    if value is True or _is_word(value, _EVERYTHING):
        return OF_CAPACITY, None, True
    if not isinstance(value, dict):
        raise DataError(f"{RATES}: got {shown(value)}; accepted: {_ACCEPTED}")
    if unknown := sorted(set(map(str, value)) - {"of_capacity", "common"}):
        raise DataError(f"{RATES}: unknown {', '.join(unknown)}; accepted: of_capacity, common")
    shares = _shares(value.get("of_capacity"))
    common = value.get("common")
    if common is None or _is_word(common, _NOTHING):
        return shares, None, False
    if _is_word(common, ("auto",)):
        return shares, None, True
    rps = _number(common)
    if rps is None or not 1 <= rps <= _MOST_RPS:
        raise DataError(
            f"{RATES}.common: got {shown(common)}; accepted: requests per second from 1 to "
            f"{_MOST_RPS:g}, auto, or null"
        )
    return shares, rps, False


def _shares(value: object) -> tuple[float, ...]:
    if value is None or value == []:
        return ()
    given = value if isinstance(value, list) else [value]
    shares = []
    for index, one in enumerate(given):
        share = _number(one)
        if isinstance(one, str) and (found := _PERCENT.fullmatch(one.strip())):
            share = float(found[1]) / 100
        if share is None or not 0.01 <= share <= _MOST_SHARE:  # noqa: PLR2004 - 1 %
            raise DataError(
                f"{RATES}.of_capacity[{index}]: got {shown(one)}; accepted: a share such as 50% or "
                f"0.5, from 1% to {_MOST_SHARE:.0%}"
            )
        shares.append(round(share, 6))
    if len(set(shares)) < len(shares) or len(shares) > _MOST_SHARES:
        raise DataError(
            f"{RATES}.of_capacity: got {shown(value)}; accepted: up to {_MOST_SHARES}, each once"
        )
    return tuple(sorted(shares))


def _limit(value: object) -> float | None:
    if value is None or _is_word(value, _NOTHING):
        return None
    limit_ms = _number(value)
    if limit_ms is None or not 1 <= limit_ms <= _MOST_LIMIT_MS:
        raise DataError(
            f"{SLO}: got {shown(value)}; accepted: milliseconds from 1 to "
            f"{_MOST_LIMIT_MS:g}, or null"
        )
    return limit_ms


def _number(value: object) -> float | None:
    """Return a number, read from text if need be, as `-e` hands it over; None for anything else."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _is_word(value: object, words: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value.strip().lower() in words
