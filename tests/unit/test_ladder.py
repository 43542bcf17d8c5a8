"""What `-e ladder=true` makes of a plan."""

from __future__ import annotations

import factory
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collect.errors import DataError
from collect.ladder import RUNGS, add_ladder, add_rungs, is_wanted
from collect.plan import plan_from_variables

APPLICATIONS = {"wsgi": "config.wsgi:application", "asgi": "config.asgi:application"}
ENDPOINTS = [
    {"name": "movie", "path": "/movie", "rung": "database"},
    {"name": "health", "path": "/health", "rung": "django-ninja"},
    {"name": "deep", "path": "/deep"},
]
VARIABLES = {
    "server_catalogue": factory.CATALOGUE,
    "server_profiles": factory.PROFILES,
    "bench_profiles": ["parity"],
    "app_endpoints": ENDPOINTS,
    "bench_endpoints": ["movie"],
    "app_wsgi": APPLICATIONS["wsgi"],
    "app_asgi": APPLICATIONS["asgi"],
}


def plan(**changes):
    variables = {**VARIABLES, **changes}
    return plan_from_variables(variables, host="h", cores=2, created_at=factory.CREATED_AT)


def names(endpoints):
    return [endpoint["name"] for endpoint in endpoints]


@pytest.mark.parametrize("word", ["true", "True", " yes ", True])
def test_a_ladder_has_every_rung_below_what_was_asked_for(word):
    with_ladder = plan(bench_ladder=word)
    assert [(e.name, e.rung) for e in with_ladder.endpoints] == [
        ("ladder-bare", "bare"),
        ("ladder-view", "view"),
        ("ladder-middleware", "middleware"),
        ("health", "django-ninja"),
        ("movie", "database"),
    ]
    assert with_ladder.endpoints[0].path == "/_serverbench/bare/"
    assert with_ladder.endpoints[0].expect.json_exact == {"status": "ok"}


@pytest.mark.parametrize("word", [False, None, "false", "", "null"])
def test_without_the_ladder_nothing_changes(word):
    assert plan(bench_ladder=word) == plan()


def test_anything_else_is_refused():
    with pytest.raises(DataError, match="bench_ladder: got 'maybe'; accepted: true, false"):
        is_wanted("maybe")


def test_variants_get_units_of_their_own_and_the_project_behind_the_ladder():
    usual, with_ladder = plan(bench_twin=True), plan(bench_twin=True, bench_ladder=True)
    assert not {v.unit for v in usual.variants} & {v.unit for v in with_ladder.variants}
    assert not {v.socket_unit for v in usual.variants if v.socket_unit} & {
        v.socket_unit for v in with_ladder.variants
    }
    for variant, own in zip(usual.variants, with_ladder.variants, strict=True):
        assert "-ladder" in own.id
        assert own.unit == f"serverbench-{own.id}.service"
        assert own.knobs["application"] == f"serverbench_ladder.{variant.interface}:application"
        environment = {"SERVERBENCH_APPLICATION": APPLICATIONS[variant.interface]}
        assert own.knobs["environment"] == environment
        different = {"application", "environment"}
        assert {k: v for k, v in own.knobs.items() if k not in different} == {
            k: v for k, v in variant.knobs.items() if k not in different
        }
    assert with_ladder.variants[-1].twin_of == with_ladder.variants[0].id


def test_an_entry_point_of_its_own_is_what_lies_behind_the_ladder():
    knobs = {"application": "config.asgi_tuned:application", "environment": {"A": "b"}}
    matrix = [{"server": "granian", "interface": "asgi", "label": "x", "knobs": knobs}]
    (variant,) = add_ladder(factory.variants(matrix), APPLICATIONS)
    assert variant.id == "granian-asgi-x-ladder"
    assert variant.knobs["environment"] == {
        "A": "b",
        "SERVERBENCH_APPLICATION": "config.asgi_tuned:application",
    }


def test_the_word_is_no_label():
    with pytest.raises(DataError, match="label: got 'ladder'"):
        factory.variants([{"server": "granian", "interface": "asgi", "label": "ladder"}])


def test_an_interface_without_an_entry_point_is_named():
    with pytest.raises(DataError, match="app_asgi: got None"):
        plan(app_asgi=None, bench_ladder=True)


def test_only_what_lies_below_is_added():
    assert names(add_rungs([ENDPOINTS[1]], ENDPOINTS))[3:] == ["health"]
    assert names(add_rungs([ENDPOINTS[2], ENDPOINTS[0]], ENDPOINTS))[3:] == [
        "health",
        "movie",
        "deep",
    ]


def test_rungs_of_a_users_own_come_after_the_known_ones_in_their_order():
    own = [
        {"name": "list", "rung": "database"},
        {"name": "search", "rung": "search engine"},
        {"name": "export", "rung": "export"},
    ]
    assert names(add_rungs([own[2]], own))[3:] == ["list", "search", "export"]
    assert names(add_rungs([own[1]], own))[3:] == ["list", "search"]


def test_an_endpoint_that_is_no_rung_has_no_ladder():
    with pytest.raises(DataError, match="none of the endpoints is a rung"):
        plan(bench_endpoints=["deep"], bench_ladder=True)


@pytest.mark.parametrize("rung", ["database", "bare"])
def test_a_rung_stands_once(rung):
    twice = [*ENDPOINTS, {"name": "other", "path": "/o", "rung": rung}]
    with pytest.raises(DataError, match=f"rung '{rung}' stands with two endpoints"):
        plan(app_endpoints=twice, bench_endpoints=["movie", "other"], bench_ladder=True)


def test_a_name_that_the_ladder_uses_is_refused():
    own = [*ENDPOINTS, {"name": "ladder-bare", "path": "/b"}]
    with pytest.raises(DataError, match="ladder-bare"):
        plan(app_endpoints=own, bench_endpoints=["movie", "ladder-bare"], bench_ladder=True)


@given(st.permutations(range(5)), st.sets(st.integers(0, 4), min_size=1))
def test_the_order_is_from_the_server_up_whatever_order_they_stand_in(order, wanted):
    rungs = ["django-ninja", "database", None, None, None]
    known = [{"name": f"e{i}", **({"rung": rungs[i]} if rungs[i] else {})} for i in order]
    asked = [item for item in known if int(item["name"][1]) in wanted]
    if not wanted & {0, 1}:
        with pytest.raises(DataError):
            add_rungs(asked, known)
        return
    found = add_rungs(asked, known)
    known_rungs = [item["rung"] for item in found if item.get("rung")]
    assert known_rungs == list(RUNGS[: len(known_rungs)])
    assert {item["name"] for item in asked} <= set(names(found))
    assert len(set(names(found))) == len(found)
