"""Gather the words of `collect` for translators, and compile what they made of them.

`make messages` runs it; tests/unit/test_lang.py holds the catalogues against the source with the
same functions.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from collect.lang import DOMAIN, FOLDER, LOCALES

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = FOLDER.parent
_METHODS = [("**.py", "python"), ("**.j2", "jinja2")]
_WIDTH = 100


def po_path(locale: str) -> Path:
    return FOLDER / locale / "LC_MESSAGES" / f"{DOMAIN}.po"


def gather() -> Catalog:
    """Return every message in the source, each with the files that it stands in."""
    found = Catalog(domain=DOMAIN, project="serverbench")
    for name, _line, message, _comments, context in sorted(
        extract_from_dir(SOURCES, method_map=_METHODS), key=str
    ):
        found.add(message, locations=[(f"{SOURCES.name}/{name}", 1)], context=context)
    return found


def read(locale: str) -> Catalog:
    """Return a catalogue as it stands in its file."""
    with po_path(locale).open("rb") as file:
        return read_po(file, locale=locale, domain=DOMAIN)


def compiled(catalogue: Catalog) -> bytes:
    """Return the content of the .mo file; messages that are empty or fuzzy are not in it."""
    buffer = BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def update(locale: str) -> None:
    """Bring a .po file up to the source, and its .mo up to it."""
    catalogue, found = read(locale), gather()
    found.creation_date = catalogue.creation_date
    # A translation of another sentence, guessed by likeness, is worse than none.
    catalogue.update(found, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    for message in catalogue:
        # Babel takes the sign in "95 % interval" for a placeholder; ours stand in braces.
        message.flags.discard("python-format")
    path = po_path(locale)
    buffer = BytesIO()
    write_po(buffer, catalogue, width=_WIDTH, include_lineno=False, sort_by_file=True)
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(read(locale)))
    # A message with a plural has a tuple of forms; a new one has none.
    empty = sum(not "".join(message.string or "") for message in catalogue if message.id)
    sys.stdout.write(f"{path}: {len(catalogue)} messages, {empty} to translate\n")


if __name__ == "__main__":
    for name in LOCALES.values():
        update(name)
