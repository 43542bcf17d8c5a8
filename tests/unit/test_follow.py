"""Which run somebody means who wants to follow one."""

import pytest

from collect.errors import DataError
from collect.follow import choose_run, has_run

QUIET = "past 100 first\r\npast 300 third\r\npast 200 second\r\n"
BUSY = "past 900 newest\nnow 400 going\n"


@pytest.mark.parametrize(
    ("listings", "wanted", "run_id"),
    [
        ({"a": QUIET}, "", "third"),
        ({"a": QUIET, "b": BUSY}, "", "going"),
        ({"a": QUIET, "b": BUSY}, "first", "first"),
        ({"a": "", "b": QUIET}, "", "third"),
        ({"a": f"Welcome to this host\n{QUIET}x y z\n"}, "", "third"),
    ],
)
def test_the_run_under_way_or_the_latest_or_the_one_asked_for(listings, wanted, run_id):
    assert choose_run(listings, wanted) == run_id


def test_hosts_without_a_run_say_what_begins_one():
    with pytest.raises(DataError, match="a, b: no run is there; serverbench run begins one"):
        choose_run({"b": "", "a": "hello"})


def test_a_run_that_is_nowhere_names_those_that_are():
    with pytest.raises(DataError, match="nope: no such run on a; there are third, second, first"):
        choose_run({"a": QUIET}, "nope")


def test_which_hosts_have_a_part_in_it():
    assert has_run(BUSY, "going")
    assert not has_run(QUIET, "going")
