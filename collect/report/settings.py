"""What each server was set to, as far as the plan says, and what it has no setting for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collect.lang import N_, _
from collect.report import text
from collect.variants import KNOBS

if TYPE_CHECKING:
    from collect.model import Plan, Variant

OWN = N_("own")
"""Shown where a knob was left alone."""


_LONGEST_CELL = 10
"""Characters; a longer value would leave no room for the rest and stands below the table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The knobs that somebody set, and what each variant made of them."""

    knobs: tuple[str, ...]
    rows: tuple[tuple[Variant, tuple[str, ...]], ...]
    long_values: tuple[tuple[str, str], ...]
    """The letter that stands in the table, and the value that it stands for."""

    @property
    def shows(self) -> frozenset[str]:
        """Every word or value that stands in a cell."""
        return frozenset(cell for _, cells in self.rows for cell in cells)


def settings_of(plan: Plan) -> Settings:
    """List the knobs that are set for at least one variant; twins are left out."""
    variants = [variant for variant in plan.variants if variant.twin_of is None]
    knobs = tuple(name for name in KNOBS if any(_is_set(variant, name) for variant in variants))
    rows = [(variant, [_cell(variant, name) for name in knobs]) for variant in variants]
    values = dict.fromkeys(cell for _, cells in rows for cell in cells if len(cell) > _LONGEST_CELL)
    letters = {value: f"({_letters(index)})" for index, value in enumerate(values)}
    return Settings(
        knobs,
        tuple(
            (variant, tuple(letters.get(cell, cell) for cell in cells)) for variant, cells in rows
        ),
        tuple((letter, value) for value, letter in letters.items()),
    )


def in_words(variant: Variant) -> str:
    """Say in a line what a variant is set to, and what it has no setting for.

    Values of the environment may be secrets; only how many there are is told.
    """
    told = [
        f"{name.replace('_', ' ')} {_cell(variant, name)}"
        for name in KNOBS
        if _is_set(variant, name)
    ]
    lacking = [name.replace("_", " ") for name in KNOBS if name in variant.not_honoured]
    parts = [", ".join(told) or _("all left at its own defaults")]
    if lacking:
        parts.append(_("no setting for {names}").format(names=", ".join(lacking)))
    return "; ".join(parts)


def _letters(index: int) -> str:
    """Return a to z, then aa, ab and so on."""
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)


def _is_set(variant: Variant, name: str) -> bool:
    value = variant.knobs.get(name)
    return name not in variant.not_honoured and value is not None and value != KNOBS[name].default


def _cell(variant: Variant, name: str) -> str:
    if name in variant.not_honoured:
        return text.UNKNOWN
    value: Any = variant.knobs.get(name)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None or value == KNOBS[name].default:
        return _(OWN)
    if isinstance(value, (list, dict)):
        # Values of the environment are nobody's business, and arguments stand in effective.json.
        return _("{count} set").format(count=len(value))
    return text.one_line(str(value))
