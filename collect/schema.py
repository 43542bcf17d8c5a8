"""A JSON Schema for dataclasses, in the words that `collect.decode` understands."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}
Schema = dict[str, Any]


def json_schema(kind: type, title: str) -> Schema:
    """Return the schema (draft 2020-12) of what `encode` makes of a dataclass.

    Each dataclass stands once under `$defs`, described by the first line of its docstring.

    Args:
        kind: a dataclass; its fields are scalars, Literals, tuples, dicts, optionals, dataclasses.
        title: of the whole document.
    """
    definitions: dict[str, Schema] = {}
    top = _schema(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Schema]) -> Schema:  # noqa: ANN401 - a type expression
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if origin in (typing.Union, types.UnionType):
        parts = [_schema(argument, definitions) for argument in arguments]
        return {"anyOf": parts}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if kind is type(None):
        return {"type": "null"}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _reference(kind, definitions)
    return {"type": _SCALARS[kind]}


def _reference(kind: type, definitions: dict[str, Schema]) -> Schema:
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}  # it may hold itself
        hints = typing.get_type_hints(kind)
        fields = [field.name for field in dataclasses.fields(kind)]
        definitions[name] = {
            "type": "object",
            "description": (kind.__doc__ or "").split("\n")[0],
            "properties": {field: _schema(hints[field], definitions) for field in fields},
            "required": fields,
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}
