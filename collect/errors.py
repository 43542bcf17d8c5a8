"""The one exception tree of the kit.

Every message names the file, variable or host it is about and says what to do next, because it is
printed as it is, on one line, to somebody who did not write this code.
"""


class ServerbenchError(Exception):
    """Something the user can mend; printed without a traceback, exit status 1."""


class DataError(ServerbenchError):
    """A file or a variable does not hold what its schema says."""
