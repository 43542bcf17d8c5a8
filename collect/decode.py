"""Turn parsed JSON into the frozen dataclasses of `collect.model`, and back.

Standard library only: the host runner uses it too. Nothing that was read is trusted: a missing key,
an unknown key or a value of the wrong type is a `DataError` that names where it stands.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from collect.errors import DataError

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
            raise DataError(f"{where}: got {data!r}; accepted: {', '.join(map(str, arguments))}")
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
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(map(str, data)) - set(fields)):
        raise DataError(f"{where}: unknown {', '.join(unknown)}; accepted: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _decode(hints[name], data[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DataError(f"{where}: {name} is missing")
    return kind(**values)


def _decode_scalar(kind: type, data: object, where: str) -> object:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError:
            raise DataError(f"{where}: got a number too large; accepted: float") from None
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise DataError(f"{where}: got {data!r} ({_name(data)}); accepted: {kind.__name__}")
    return data


def _name(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
