"""The words of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VerdictStatus = Literal["valid", "suspect", "invalid"]
Severity = Literal["suspect", "invalid"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why figures are not simply valid."""

    code: str
    severity: Severity
    seen: str
    """One sentence: what was seen."""
    remedy: str
    """One sentence: what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be concluded from one trial, or from one output of wrk."""

    status: VerdictStatus
    reasons: tuple[Reason, ...]
    """The gravest first: where only one can be shown, it is the first."""


_VALID = Verdict("valid", ())


def conclude(reasons: tuple[Reason, ...]) -> Verdict:
    """Let the worst reason decide; the order within a severity stays as it is."""
    if not reasons:
        return _VALID
    ordered = tuple(sorted(reasons, key=lambda reason: reason.severity != "invalid"))
    return Verdict(ordered[0].severity, ordered)


def severity(*, invalid: bool) -> Severity:
    """Name the graver severity where `invalid` holds."""
    return "invalid" if invalid else "suspect"


def percent(share: float) -> str:
    """Write a share with three significant digits, such as `12.5 %`; never in powers of ten."""
    scaled = share * 100
    return f"{scaled:.3g} %" if scaled < 1000 else f"{scaled:,.0f} %"  # noqa: PLR2004 - %g's limit


def number(value: float) -> str:
    """Write a number with three significant digits or all its whole ones."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - %g's limit
