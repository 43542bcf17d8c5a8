"""Say each sentence in the reader's language. English is the source and needs no catalogue.

A sentence is formed while its language is spoken, from one whole message:

    with speaking("zh"):
        said = _("Only in {run}: {names}.").format(run="A", names="granian-wsgi")

Catalogues lie in `collect/locale`; `make messages` gathers the words anew and compiles them. None
ships with the host runner, which speaks English. Standard library, Python 3.10.
"""

from __future__ import annotations

import gettext
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
SOURCE: Language = "en"
DOMAIN = "serverbench"
LOCALES: dict[Language, str] = {"zh": "zh_CN"}
"""The catalogue of each language but the source."""
FOLDER = Path(__file__).resolve().parent / "locale"

# Chinese sentences end in a mark that brings its own space.
_GAPS: dict[Language, str] = {"en": " ", "zh": ""}
_spoken: ContextVar[Language] = ContextVar("spoken", default=SOURCE)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Form every sentence inside in this language."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def spoken() -> Language:
    """Return the language in use."""
    return _spoken.get()


def _(message: str) -> str:
    """Translate a message; fill in its `{names}` afterwards."""
    return _catalogue(spoken()).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """Translate a message whose words follow a count."""
    return _catalogue(spoken()).ngettext(one, many, count)


def pgettext(context: str, message: str) -> str:
    """Translate a message that means something else elsewhere."""
    return _catalogue(spoken()).pgettext(context, message)


def N_(message: str) -> str:  # noqa: N802 - the name that gettext's tools look for
    """Mark a constant for translators; whoever shows it calls `_` on it."""
    return message


def sentences(*said: str) -> str:
    """Join whole sentences; empty ones are left out."""
    return _GAPS[spoken()].join(sentence for sentence in said if sentence)


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    locale = LOCALES.get(language)
    if locale is None:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, [locale], fallback=True)
