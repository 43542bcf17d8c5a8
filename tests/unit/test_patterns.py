"""Expressions that would hold up a run are refused when it is planned, and others are not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collect.errors import DataError
from collect.patterns import check_expression

EXPLODING = [
    r"(a+)+$",
    r"(a|a)*$",
    r"(a|aa)+$",
    r"^(\w+\s?)*$",
    r"(.*)*x",
    r"([a-zA-Z]+)*$",
    r"^foo:(x+x+)+y",
    r"(\d+)*[^0]$",
    r"(?:a|b|ab)*c",
    r"((a*)*)*b",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?=(a+)+$)b",
    r"<(\s*\w+\s*)*>",
    r'([^"]+|"[^"]*")*$x',
    r"(.+)+@x",
    r"(a{1,50}){1,50}b$",
    r"(a?){30}a{30}$b",
    r"(a?){65000}b",
    r"(xx|yy|zz|aa|aa)+$",
    r"(a)(?(1)(bb|bb)+|c)$",
]
HARMLESS = [
    r"",
    r"^\{.status",
    r"grün",
    r"^notice [0-9]+ by wrk\n$",
    r"(?:[0-9]+,)*[0-9]+$",
    r"<title>.*</title>",
    r"a*a*a*b",
    r'"count": *1000',
    r"(?s).*",
    r"(?:\w+ )*\w+!",
    r"(foo|bar)+",
    r"\A(?:.*\n)*end\Z",
    r"x{0,65535}",
    r"(?P<a>x)(?P=a)(?(a)y|z)",
    r"[^\s\S]+",
    r"(((((a{32}){32}){32}){32}){32})*",
    "(" + "|".join(f"word{n}" for n in range(100)) + ")+$",
]


@pytest.mark.parametrize("pattern", EXPLODING)
def test_what_explodes_is_refused_soon(pattern):
    begun = time.monotonic()
    with pytest.raises(DataError, match="whose time doubles with each character") as caught:
        check_expression(pattern, "app_endpoints[0].expect.regex")
    # Its own limit is a second; the machine may be busy.
    assert time.monotonic() - begun < 10
    assert str(caught.value).startswith("app_endpoints[0].expect.regex: got ")


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_does_not_is_accepted(pattern):
    check_expression(pattern, "regex")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(a", "missing )"),
        ("[z-a]", "bad character range"),
        ("a{5,2}", "min repeat greater than max repeat"),
        ("a" * 1001, "got 1,001 characters"),
        ("(" * 900, "accepted: a regular expression"),
        ("x{99999999999}", "accepted: a regular expression"),
    ],
)
def test_what_is_no_expression_is_refused(pattern, words):
    with pytest.raises(DataError, match=r"^regex: ") as caught:
        check_expression(pattern, "regex")
    assert words in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="ab()*+?|[]^$.{}1,\\dws<=!:", max_size=20))
def test_any_text_is_accepted_or_refused_in_bounded_time(pattern):
    begun = time.monotonic()
    try:
        check_expression(pattern, "regex")
    except DataError as error:
        assert str(error).startswith("regex: ")  # noqa: PT017 - some are fine
    assert time.monotonic() - begun < 10
