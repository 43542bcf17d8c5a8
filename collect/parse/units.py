"""wrk's own units. Source: src/units.c of wrk 4.1.0; sizes count in 1024, times in 1000 and 60."""

from __future__ import annotations

import re

_TIME_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50}
_SCALED = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-z]{1,2})")
_ASKED = re.compile(r"([0-9]{1,9})(s|m|h)?\b")


def time_ms(text: str) -> float | None:
    """Read a time such as `1.20ms`; None if it is none."""
    match = _SCALED.fullmatch(text)
    return float(match[1]) * _TIME_MS[match[2]] if match and match[2] in _TIME_MS else None


def size_bytes(text: str) -> int | None:
    """Read a size such as `8.16MB`; None if it is none."""
    match = _SCALED.fullmatch(text)
    return round(float(match[1]) * _BYTES[match[2]]) if match and match[2] in _BYTES else None


def asked_s(text: str | None) -> float | None:
    """Read a duration as it is given to wrk: whole seconds, minutes or hours, `30` is seconds."""
    match = _ASKED.match(text or "")
    return float(match[1]) * _TIME_MS[match[2] or "s"] / 1000 if match else None
