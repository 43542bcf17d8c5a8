"""Say whether figures can be believed: `valid`, `suspect` or `invalid`, and why.

Each rule looks at one thing and gives at most one reason. A figure that is unknown raises no alarm;
a trial or a text without any figures does. The rules come in four groups:

`load`   what wrk's own figures tell, from a trial or from plain text (`Figures` is the common view)
`rate`   what the figures of a leg at a fixed rate tell
`host`   what the runner saw of the service and the host around one trial
`run`    what only the other trials of a run can tell (the canary)

Standard library, Python 3.10 and `collect.model` only: the host runner ships with this package, to
run invalid trials once more.
"""

from collect.checks.figures import Figures, little_ratio, trial_figures
from collect.checks.host import is_database
from collect.checks.rate import is_missed
from collect.checks.reasons import Reason, Severity, Verdict, VerdictStatus
from collect.checks.verdicts import (
    flag_canaries,
    usual_canaries,
    verdict,
    verdict_of_figures,
    verdicts,
)

__all__ = [
    "Figures",
    "Reason",
    "Severity",
    "Verdict",
    "VerdictStatus",
    "flag_canaries",
    "is_database",
    "is_missed",
    "little_ratio",
    "trial_figures",
    "usual_canaries",
    "verdict",
    "verdict_of_figures",
    "verdicts",
]
