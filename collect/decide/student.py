"""Student's t distribution, which the standard library lacks; whole degrees of freedom only."""

from __future__ import annotations

import math
from functools import lru_cache

_FAR = 1e12
_NOTHING_LEFT = 38.0
"""A share of exp(-37.5) is the last bit of a float; each term is a smaller share of the first."""


def t_two_sided(t: float, freedom: int) -> float:
    """Return P(|T| > t) of Student's t: Abramowitz and Stegun, 1964, 26.7.3 and 26.7.4."""
    if not t > 0:
        return 1.0
    angle = math.atan(t / math.sqrt(freedom))
    cos2 = math.cos(angle) ** 2
    odd = freedom % 2
    # As many terms as there are, or until they are too small to change the sum.
    count = math.ceil(_NOTHING_LEFT / -math.log(cos2)) if 0 < cos2 < 1 else freedom
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, min(freedom, 2 * count + 3), 2):
        total += term
        term *= cos2 * k / (k + 1)
    inside = math.sin(angle) * total
    return max(0.0, 1 - (2 / math.pi * (angle + inside) if odd else inside))


@lru_cache(maxsize=65536)
def t_quantile(level: float, freedom: int) -> float:
    """Return the t that |T| exceeds with probability `level`, above 0 and below 1."""
    low, high = 0.0, 1.0
    while t_two_sided(high, freedom) > level and high < _FAR:
        low, high = high, high * 2
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        if t_two_sided(middle, freedom) > level:
            low = middle
        else:
            high = middle
    return high
