"""Look at a YAML file before somebody loads it who copies each alias in it.

Ansible reads an inventory so: ten lines whose aliases hold each other become a billion values, and
take all memory before any check of ours is reached. Here the parser's events are counted, and
nothing is built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import yaml

from collect.errors import DataError, shown

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 4 * 2**20
"""Of one file; an inventory of a thousand hosts has some 100 KB."""
MAX_VALUES = 200_000
_SUFFIXES = (".yml", ".yaml")
_VAULT = "$ANSIBLE_VAULT;"
_OWN_TAGS = ("!vault", "!vault-encrypted", "!unsafe")
_TAGS = (
    "bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str", "timestamp",
)  # fmt: skip
_TAG = "tag:yaml.org,2002:"
_LONG_NUMBER = re.compile(r"[-+]?[0-9][0-9_]{300,}")
_NOTHING = ("", "null", "~")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_document(path: Path) -> None:
    """Raise `DataError` for a file of variables that is broken, explodes, or is no text."""
    if path.exists() and not path.is_file():
        # Whoever opens a named pipe waits for somebody to write.
        raise DataError(f"{path}: is no regular file; accepted: one")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; accepted: a smaller file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line} is not UTF-8; accepted: UTF-8, so save the file anew as that"
        ) from error
    if path.suffix in _SUFFIXES and not text.startswith(_VAULT):
        try:
            _walk(text, path)
        except yaml.YAMLError as error:
            # Neither the library's excerpt of the file: it may hold a secret.
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
            raise DataError(
                f"{path}: {place}: {getattr(error, 'problem', None) or 'broken'}; accepted: YAML"
            ) from None


@dataclass(slots=True)
class _Open:
    """A container whose end is yet to come."""

    anchor: str | None = None
    size: int = 1
    children: int = 0
    keys: set[str] | None = None
    """None in a list."""


def _walk(text: str, path: Path) -> None:
    """Count what the documents of a text come to with aliases filled in, and look for twin keys."""
    anchors: dict[str, int] = {}
    open_ = [_Open()]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.NodeEvent):
            _check_node(event, open_[-1], path, is_top=len(open_) == 1)
        if isinstance(event, yaml.CollectionStartEvent):
            _note_child(open_[-1], None, event, path)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            open_.append(_Open(event.anchor, keys=set() if is_mapping else None))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            ended = open_.pop()
            size = ended.size
            if ended.anchor is not None:
                anchors[ended.anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            _note_child(open_[-1], None, event, path)
            # One that holds itself is not known yet: it has no end.
            size = anchors.get(str(event.anchor), MAX_VALUES + 1)
        elif isinstance(event, yaml.ScalarEvent):
            _note_child(open_[-1], event.value, event, path)
            size = 1
            if event.anchor is not None:
                anchors[event.anchor] = size
        else:
            continue
        open_[-1].size += size
        if open_[-1].size > MAX_VALUES:
            raise DataError(
                f"{path}: comes to more than {MAX_VALUES:,} values once its aliases (*name) are "
                "filled in; accepted: fewer"
            )


def _check_node(event: yaml.NodeEvent, parent: _Open, path: Path, *, is_top: bool) -> None:
    """Refuse what Ansible cannot build of a value; its message would name neither file nor line."""
    tag = getattr(event, "tag", None)
    said = accepted = ""
    if isinstance(event, yaml.CollectionStartEvent):
        if parent.keys is not None and parent.children % 2 == 0:
            said, accepted = "got a list or a mapping for a name", "text before the colon"
    elif isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.style:
        value = event.value
        if _LONG_NUMBER.fullmatch(value):
            said, accepted = "got a number of hundreds of digits", "a smaller one"
        elif _DATE.fullmatch(value) and not _is_date(value):
            said, accepted = f"got {shown(value)}, a date that is none", "one, or text in quotes"
    if tag and tag != "!" and tag not in _OWN_TAGS and tag.removeprefix(_TAG) not in _TAGS:
        said = f"got the tag {shown(tag)}"
        accepted = f"{', '.join(_OWN_TAGS)}; text that begins with ! in quotes"
    is_nothing = isinstance(event, yaml.ScalarEvent) and event.value in _NOTHING
    if is_top and not isinstance(event, yaml.MappingStartEvent) and not is_nothing:
        said, accepted = "got a list or a text", "name: value"
    if said:
        line = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
        raise DataError(f"{path}: {line}{said}; accepted: {accepted}")


def _is_date(text: str) -> bool:
    try:
        date(*map(int, text.split("-")))
    except ValueError:
        return False
    return True


def _note_child(parent: _Open, key: str | None, event: yaml.Event, path: Path) -> None:
    """Note a value of a container; every other one of a mapping is a key."""
    parent.children += 1
    if parent.keys is None or parent.children % 2 == 0 or key is None:
        return
    if key in parent.keys and key != "<<":
        line = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
        raise DataError(f"{path}: {line}{shown(key)} twice; accepted: each name once")
    parent.keys.add(key)
