"""Names of re-runs: `b01-granian-wsgi-health--2` is the second attempt of that planned trial.

Ships with the host runner: standard library, Python 3.10.
"""

from __future__ import annotations

import re

_RERUN = re.compile(r"(?P<planned>.+)--(?P<attempt>[2-9]|[1-9][0-9]+)")


def rerun_id(planned_id: str, attempt: int) -> str:
    """Return the trial id of an attempt; the first one bears the planned trial's own."""
    return planned_id if attempt == 1 else f"{planned_id}--{attempt}"


def split_attempt(trial_id: str) -> tuple[str, int]:
    """Return the planned trial's id and the number of the attempt."""
    match = _RERUN.fullmatch(trial_id) if "--" in trial_id else None
    return (trial_id, 1) if match is None else (match["planned"], int(match["attempt"]))


def looks_like_rerun(trial_id: str) -> bool:
    """Tell whether a planned trial must not bear this id, as a re-run might."""
    return _RERUN.fullmatch(trial_id) is not None
