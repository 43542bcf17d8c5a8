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
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from collect.errors import DataError, shown

MAX_WHOLE = 2**63 - 1
"""No count of the kit comes near it, and arithmetic with a larger one overflows a float."""
_MAX_NAMED = 200

T = TypeVar("T")
_Reader = Callable[[object], object]


class _WrongError(Exception):
    """Something does not fit; on its way up it gathers where that is.

    So nobody spells out the place of a value that fits: of the time a trial took to be read, that
    was a third.
    """

    def __init__(self, said: str, place: str = "") -> None:
        super().__init__(said)
        self.said, self.place = said, place


def decode(kind: type[T], data: object, where: str) -> T:
    """Build a dataclass of type `kind` from `data`.

    Args:
        kind: a dataclass; its fields are scalars, Literals, tuples, dicts, optionals, dataclasses.
        data: what the JSON parser returned.
        where: names the source in error messages, such as `plan.json`.

    Raises:
        DataError: a key is missing or unknown, or a value has the wrong type.
    """
    try:
        return typing.cast("T", _reader(typing.cast("Any", kind))(data))
    except _WrongError as wrong:
        raise DataError(f"{where}{wrong.place}: {wrong.said}") from None


def encode(value: object) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Turn dataclasses into plain dicts and tuples into lists, ready for `json.dumps`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


@cache
def _reader(kind: Any) -> _Reader:  # noqa: ANN401 - a type expression
    """Return what reads a value of that type.

    Made once for each type, since Python takes long to say what an annotation means: two thirds of
    the time that a trial took to be read.
    """
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if kind is Any:
        return lambda data: data
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _optional_reader(_reader(inner))
    if origin is typing.Literal:
        return _literal_reader(arguments)
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is dict:
        return _dict_reader(_reader(arguments[1]))
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    return _scalar_reader(kind)


def _optional_reader(inner: _Reader) -> _Reader:
    return lambda data: None if data is None else inner(data)


def _literal_reader(accepted: tuple[Any, ...]) -> _Reader:
    def read(data: object) -> object:
        if data not in accepted:
            raise _WrongError(f"got {shown(data)}; accepted: {', '.join(map(str, accepted))}")
        return data

    return read


def _tuple_reader(inner: _Reader) -> _Reader:
    def read(data: object) -> object:
        if not isinstance(data, (list, tuple)):
            raise _WrongError(f"got {_name(data)}; accepted: a list")
        return tuple(_read_at(inner, item, f"[{index}]") for index, item in enumerate(data))

    return read


def _dict_reader(inner: _Reader) -> _Reader:
    def read(data: object) -> object:
        if not isinstance(data, dict):
            raise _WrongError(f"got {_name(data)}; accepted: a mapping")
        return {str(key): _read_at(inner, item, f".{key}") for key, item in data.items()}

    return read


def _read_at(reader: _Reader, data: object, place: str) -> object:
    try:
        return reader(data)
    except _WrongError as wrong:
        raise _WrongError(wrong.said, place[:_MAX_NAMED] + wrong.place) from None


def _dataclass_reader(kind: Any) -> _Reader:  # noqa: ANN401 - see _reader
    hints = typing.get_type_hints(kind)
    fields = {
        field.name: (
            _reader(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }

    def read(data: object) -> object:
        if not isinstance(data, dict):
            raise _WrongError(f"got {_name(data)}; accepted: a mapping")
        if not data.keys() <= fields.keys():
            named = ", ".join(sorted(set(map(str, data)) - set(fields)))[:_MAX_NAMED]
            raise _WrongError(f"unknown {named}; accepted: {', '.join(fields)}")
        values = {}
        name = ""
        try:
            for name, (reader, is_needed) in fields.items():
                if name in data:
                    values[name] = reader(data[name])
                elif is_needed:
                    break
            else:
                return kind(**values)
        except _WrongError as wrong:
            raise _WrongError(wrong.said, f".{name}{wrong.place}") from None
        raise _WrongError(f"{name} is missing")

    return read


def _scalar_reader(kind: type) -> _Reader:
    is_plain = _PLAIN.get(kind, lambda _: False)
    return lambda data: data if type(data) is kind and is_plain(data) else _scalar(kind, data)


def _scalar(kind: type, data: object) -> object:
    if isinstance(data, (dict, list)) or data is None:
        raise _WrongError(f"got {_name(data)}; accepted: {kind.__name__}")
    if not isinstance(data, (kind, int) if kind is float else kind) or (
        isinstance(data, bool) and kind is not bool
    ):
        raise _WrongError(f"got {shown(data)} ({_name(data)}); accepted: {kind.__name__}")
    if isinstance(data, str) and not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError as error:
            half = ascii(data[error.start])
            raise _WrongError(f"holds {half}, half a character; accepted: text") from None
    if isinstance(data, float) and not math.isfinite(data):
        raise _WrongError(f"got {data}; accepted: a finite number")
    # Of a float as well: the square of 1e200 is none.
    if isinstance(data, int | float) and abs(data) > MAX_WHOLE:
        raise _WrongError(f"got a number too large; accepted: {kind.__name__} below 2^63")
    return float(data) if kind is float and isinstance(data, int) else data


def _is_bounded(number: float) -> bool:
    # Neither is what is no number: it compares to nothing.
    return -MAX_WHOLE <= number <= MAX_WHOLE


_PLAIN: dict[type, Callable[[Any], bool]] = {
    float: _is_bounded,
    int: _is_bounded,
    str: str.isascii,
}
"""Of each type the values that need no second look, which is nearly all of them."""


def _name(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
