"""Make the data of a page small: rows as columns, and each text once. page.js turns it back."""

from __future__ import annotations

import json
from typing import Any

_DIGITS = 6
"""Significant digits of a drawn number; what is read as text has been rounded before."""


def pack_spec(spec: Any) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Return the specification with every list of rows under `values` packed."""
    if isinstance(spec, dict):
        return {
            key: pack_rows(value) if key == "values" and _are_rows(value) else pack_spec(value)
            for key, value in spec.items()
        }
    if isinstance(spec, list):
        return [pack_spec(item) for item in spec]
    return spec


def _are_rows(values: Any) -> bool:  # noqa: ANN401 - JSON is any of six types
    """Tell data from the values that an axis names."""
    return isinstance(values, list) and all(isinstance(row, dict) for row in values)


def pack_rows(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return a column for each field: `{field: [[distinct values], [places in them]]}`.

    A column in which hardly anything repeats is `{field: [values]}`.
    """
    fields = dict.fromkeys(field for row in rows for field in row)
    return {field: _pack_column([_short(row.get(field)) for row in rows]) for field in fields}


class Texts:
    """Each text once, by its place."""

    def __init__(self) -> None:
        """Begin without any."""
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Return the place of the text, a new one where it is new."""
        return self._places.setdefault(text, len(self._places))

    @property
    def all(self) -> list[str]:
        """Every text in its place."""
        return list(self._places)


def _pack_column(values: list[Any]) -> list[Any]:
    distinct = list(dict.fromkeys(values))
    places = {value: index for index, value in enumerate(distinct)}
    packed = [distinct, [places[value] for value in values]]
    return packed if len(json.dumps(packed)) < len(json.dumps([values])) else [values]


def _short(value: Any) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Round a number to what a drawing can show; a moment in milliseconds keeps its seconds."""
    if not isinstance(value, float):
        return value
    if value.is_integer():
        return int(value)
    return float(f"{value:.{_DIGITS}g}") if abs(value) < 10**_DIGITS else round(value)
