"""`--lang`: the language of what people read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from collect.errors import DataError
from collect.lang import LANGUAGES, SOURCE

if TYPE_CHECKING:
    import argparse

    from collect.lang import Language

VARIABLE = "SERVERBENCH_LANG"
_FOR_PROGRAMS = ("json", "csv")


def add_language(command: argparse.ArgumentParser) -> None:
    """Add the option to a command with formats."""
    command.add_argument(
        "--lang",
        choices=LANGUAGES,
        help=f"language of what people read (default: {VARIABLE}, or {SOURCE})",
    )


def language_of(options: argparse.Namespace) -> Language:
    """Return the language of a command's output; what programs read is in English.

    Raises:
        DataError: the environment asks for a language that there is not.
    """
    if "lang" not in options or options.format in _FOR_PROGRAMS:
        return SOURCE
    chosen = options.lang or os.environ.get(VARIABLE) or SOURCE
    if chosen not in LANGUAGES:
        raise DataError(f"{VARIABLE}: got {chosen!r}; accepted: {', '.join(LANGUAGES)}")
    return cast("Language", chosen)
