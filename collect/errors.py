"""The one exception tree of the kit.

Every message names the file, variable or host it is about and says what to do next, because it is
printed as it is, on one line, to somebody who did not write this code.
"""

from __future__ import annotations

import reprlib


class ServerbenchError(Exception):
    """Something the user can mend; printed without a traceback, exit status 1."""


class DataError(ServerbenchError):
    """A file or a variable does not hold what its schema says."""


class _Shown(reprlib.Repr):
    """Cuts what is long, and does not walk into what is deep: a few lines of YAML can hold more."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 72, 72
        self.maxlist = self.maxdict = self.maxtuple = 3


_SHOWN = _Shown()


def shown(value: object) -> str:
    """Write a value that was refused, on one line and cut to some eighty characters.

    Not for secrets: whoever refuses one names the variable alone.
    """
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than thirty digits"
    return _SHOWN.repr(value)
