"""Turn parsed JSON into the frozen dataclasses of `collect.model`, and back.

Standard library only: the host runner uses it too. Nothing that was read is trusted: a missing key,
an unknown key, a value of the wrong type or a number that nobody can reckon with is a `DataError`
that names where it stands.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from functools import cache
from typing import Any, TypeVar

from collect.errors import DataError, shown

MAX_WHOLE = 2**63 - 1
"""No count of the kit comes near it, and arithmetic with a larger one overflows a float."""
_MAX_NAMED = 200

T = TypeVar("T")


def decode(kind: type[T], data: object, where: str) -> T:
    """Build a dataclass of type `kind` from `data`.

    Args:
        kind: a dataclass; its fields are scalars, Literals, tuples, dicts, optionals, dataclasses.
        data: what the JSON parser returned.
        where: names the source in error messages, such as `plan.json`.

    Raises:
        DataError: a key is missing or unknown, or a value has the wrong type.
    """
    return typing.cast("T", _decode(kind, data, where))


def encode(value: object) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Turn dataclasses into plain dicts and tuples into lists, ready for `json.dumps`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def _decode(kind: Any, data: object, where: str) -> object:  # noqa: ANN401 - a type expression
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if kind is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _decode(inner, data, where)
    if origin is typing.Literal:
        if data not in arguments:
            raise DataError(
                f"{where}: got {shown(data)}; accepted: {', '.join(map(str, arguments))}"
            )
        return data
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise DataError(f"{where}: got {_name(data)}; accepted: a list")
        return tuple(_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if origin is dict:
        if not isinstance(data, dict):
            raise DataError(f"{where}: got {_name(data)}; accepted: a mapping")
        return {str(k): _decode(arguments[1], v, f"{where}.{k}") for k, v in data.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, where)
    return _decode_scalar(kind, data, where)


def _decode_dataclass(kind: Any, data: object, where: str) -> object:  # noqa: ANN401 - see _decode
    if not isinstance(data, dict):
        raise DataError(f"{where}: got {_name(data)}; accepted: a mapping")
    fields = _fields(kind)
    if unknown := sorted(set(map(str, data)) - set(fields)):
        named = ", ".join(unknown)[:_MAX_NAMED]
        raise DataError(f"{where}: unknown {named}; accepted: {', '.join(fields)}")
    values = {}
    for name, (hint, is_needed) in fields.items():
        if name in data:
            values[name] = _decode(hint, data[name], f"{where}.{name}")
        elif is_needed:
            raise DataError(f"{where}: {name} is missing")
    return kind(**values)


@cache
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:  # noqa: ANN401 - see _decode
    """Return each field's type, and whether it must be given.

    Kept, since Python evaluates the annotations anew at each question: two thirds of the time that
    a trial took to be read.
    """
    hints = typing.get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }


def _decode_scalar(kind: type, data: object, where: str) -> object:
    if isinstance(data, (dict, list)) or data is None:
        raise DataError(f"{where}: got {_name(data)}; accepted: {kind.__name__}")
    if not isinstance(data, (kind, int) if kind is float else kind) or (
        isinstance(data, bool) and kind is not bool
    ):
        raise DataError(f"{where}: got {shown(data)} ({_name(data)}); accepted: {kind.__name__}")
    if isinstance(data, str) and not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError as error:
            half = ascii(data[error.start])
            raise DataError(f"{where}: holds {half}, half a character; accepted: text") from None
    if isinstance(data, int) and abs(data) > MAX_WHOLE:
        raise DataError(f"{where}: got a number too large; accepted: {kind.__name__} below 2^63")
    if isinstance(data, float) and not math.isfinite(data):
        raise DataError(f"{where}: got {data}; accepted: a finite number")
    return float(data) if kind is float and isinstance(data, int) else data


def _name(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
