"""Refuse a regular expression that could take for ever, before it is sent to a host.

Python's `re` goes back over every way in which an expression may match. Where a repetition holds
another one that can take the same characters, as `(a+)+$` does, each character more doubles the
ways, and thirty of them take minutes. Such expressions are found by trying, under a
clock, on short texts made from the expression itself. What only grows as a square or a cube is
accepted: the host searches a bounded beginning of the body, under a clock as well
(`collect.runner.answers`).
"""

from __future__ import annotations

import re
import time
import warnings

# There is no public way to an expression's parts, and this one has been there since Python 2.
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from collect.alarm import time_limit
from collect.errors import DataError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LENGTH = 1000
_MAX_REPEATS = 32
_MANY = 10
_TOO_LONG_S = 0.05
"""For some thirty characters, of which an expression that does not explode takes microseconds."""
_LIMIT_S = 1.0
"""For all texts of one expression together."""
_CHOICES = 32
"""Of the branches and classes of an expression, so many are tried at most, as far as time goes."""
_MAX_SAMPLE = 1000
"""Characters of a text to try: repetitions in repetitions come to billions."""
_ENDS = ("", "\0", "!", " ")
"""What follows the repetition in a text, so that the expression has to go back."""
_CLASSES = {
    sre.CATEGORY_DIGIT: "0",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_WORD: "a",
    sre.CATEGORY_NOT_DIGIT: "a",
    sre.CATEGORY_NOT_SPACE: "a",
    sre.CATEGORY_NOT_WORD: "-",
}
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)

Item = tuple[Any, Any]
"""An operation of a parsed expression, and what it applies to."""


def check_expression(pattern: str, where: str) -> None:
    """Raise `DataError` unless `pattern` is a regular expression that does not explode.

    Args:
        pattern: for Python's `re`.
        where: names the variable in the message.
    """
    accepted = f"accepted: a regular expression of up to {MAX_LENGTH:,} characters"
    if len(pattern) > MAX_LENGTH:
        raise DataError(f"{where}: got {len(pattern):,} characters; {accepted}")
    try:
        with warnings.catch_warnings():
            # Of what another version of Python will read otherwise; it is not read there.
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern)
            items = list(_parser.parse(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"{where}: got {shown(pattern)} ({error}); {accepted}") from error
    try:
        with time_limit(_LIMIT_S):
            explodes = any(_explodes(compiled, texts) for texts in _hard_texts(items))
    except TimeoutError:
        explodes = True
    if explodes:
        raise DataError(
            f"{where}: got {shown(pattern)}, whose time doubles with each character of the body; "
            "accepted: an expression without a repetition in a repetition of the same characters, "
            "such as (a+)+"
        )


def _explodes(compiled: re.Pattern[str], texts: Sequence[str]) -> bool:
    """Search texts that grow by one repetition, until one takes too long or all are done."""
    for text in texts:
        begun = time.thread_time()
        compiled.search(text)
        if time.thread_time() - begun > _TOO_LONG_S:
            return True
    return False


def _hard_texts(items: Sequence[Item]) -> Iterator[list[str]]:
    """Yield, for each open repetition, growing texts that it takes and the rest does not."""
    for before, body, after in _repetitions(items):
        prefix, rest = _sample(before), _sample(after)
        # As many as the longest choice has, and one without what need not be there.
        choices = range(max(3, min(_width(body), _CHOICES)))
        for unit in dict.fromkeys(_sample(body, choice) for choice in choices):
            for end in dict.fromkeys((*_ENDS, f"{rest}\0")) if unit else ():
                yield [prefix + unit * times + end for times in range(1, _MAX_REPEATS + 1)]


def _repetitions(
    items: Sequence[Item], before: tuple[Item, ...] = ()
) -> Iterator[tuple[Sequence[Item], Sequence[Item], Sequence[Item]]]:
    """Yield each repetition of many: what stands before it, what it repeats, what comes after."""
    for index, (operation, argument) in enumerate(items):
        ahead = (*before, *items[:index])
        if operation in _REPEATS:
            _least, most, body = argument
            if most >= _MANY:
                yield ahead, list(body), items[index + 1 :]
            yield from _repetitions(list(body), ahead)
        for part in _parts(operation, argument):
            yield from _repetitions(part, ahead)


def _parts(operation: Any, argument: Any) -> list[list[Item]]:  # noqa: ANN401 - as `re` has them
    """Return what is nested in an operation that is no repetition."""
    if operation is sre.SUBPATTERN:
        return [list(argument[3])]
    if operation is sre.BRANCH:
        return [list(part) for part in argument[1]]
    if operation in {sre.ASSERT, sre.ASSERT_NOT}:
        return [list(argument[1])]
    if operation is sre.GROUPREF_EXISTS:
        return [list(part) for part in argument[1:] if part]
    return []


def _sample(items: Sequence[Item], choice: int = 0) -> str:
    """Return a short text that the items match, as far as that can be told from each alone.

    Args:
        items: of a parsed expression.
        choice: which branch, and which member of a class, where there are several.
    """
    return "".join(_sample_of(operation, argument, choice) for operation, argument in items)


def _sample_of(operation: Any, argument: Any, choice: int) -> str:  # noqa: ANN401 - as `re` has them
    if operation is sre.LITERAL:
        return chr(argument)
    if operation is sre.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if operation is sre.ANY:
        return "a"
    if operation is sre.IN:
        return _sample_of_set(argument, choice)
    if operation in _REPEATS:
        least, _most, body = argument
        # What need not be there is there in the other texts.
        times: int = min(max(least, int(choice > 0)), _MAX_REPEATS)
        sample = _sample(list(body), choice)
        return sample * min(times, _MAX_SAMPLE // max(len(sample), 1))
    if operation in {sre.SUBPATTERN, sre.BRANCH, sre.GROUPREF_EXISTS}:
        parts = _parts(operation, argument)
        return _sample(parts[choice % len(parts)], choice)
    return ""


def _width(items: Sequence[Item]) -> int:
    """Return how many branches, or members of a class, the widest choice among the items has."""
    widths = [1]
    for operation, argument in items:
        parts = [list(argument[2])] if operation in _REPEATS else _parts(operation, argument)
        widths += [len(argument if operation is sre.IN else parts), *map(_width, parts)]
    return max(widths)


def _sample_of_set(members: Sequence[Item], choice: int) -> str:
    if members[0][0] is sre.NEGATE:
        refused = {chr(value) for kind, value in members if kind is sre.LITERAL}
        return next((char for char in "a0 -_b1" if char not in refused), "~")
    kind, value = members[choice % len(members)]
    if kind is sre.RANGE:
        return chr(value[0])
    return str(_CLASSES.get(value, "a") if kind is sre.CATEGORY else chr(value))
