"""Turn pairs that are told apart into tiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def assign_tiers(
    names: Sequence[str], wins: Collection[tuple[str, str]]
) -> tuple[tuple[str, int], ...]:
    """Return each name with its tier, counted from 1, in the order of `names`.

    A new tier begins only where every name before is told apart from every name after. So a name
    is in a better tier than another only if it beat it, and sharing a tier is transitive. Price:
    two that are told apart share a tier when a third, between them, is told apart from neither.

    Args:
        names: from best to worst by estimate.
        wins: (a, b) for each a that is told apart from b, and better.
    """
    # How far down the order each name fails to beat somebody: no tier can end before that.
    tiers = []
    tier, tied_until = 1, 0
    for index, name in enumerate(names):
        if index > tied_until:
            tier, tied_until = tier + 1, index
        tiers.append((name, tier))
        for later in range(len(names) - 1, tied_until, -1):
            if (name, names[later]) not in wins:
                tied_until = later
                break
    return tuple(tiers)
