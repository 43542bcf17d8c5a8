from __future__ import annotations

import copy
import json
from dataclasses import replace

import factory
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collect import cli
from collect.decode import MAX_WHOLE, decode
from collect.errors import DataError
from collect.model import Load, Plan, Stopping, dumps
from collect.plan import estimate_disk_bytes, estimate_s, make_plan, plan_from_variables
from collect.store import check_plan
from collect.twin import add_twin
from collect.variants import expand_variants

NAMES = st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True)


def expand(matrix=None, selected=("parity",), catalogue=None, profiles=None, cores=2):
    return expand_variants(
        matrix, catalogue or factory.CATALOGUE, profiles or factory.PROFILES, list(selected), cores
    )


def plan_or_none(**arguments):
    try:
        return factory.plan(**arguments)
    except DataError as error:
        assert "twice" in str(error)  # noqa: PT017 - the one refusal that random names may meet
        return None


def test_a_profile_brings_its_own_matrix_and_per_core_becomes_a_number():
    variants = expand(cores=3)
    assert [variant.id for variant in variants] == list(factory.FIGURES)
    assert {variant.workers for variant in variants} == {3}
    assert variants[0].unit == "serverbench-uwsgi-wsgi.service"
    assert variants[0].knobs["workers"] == 3
    assert variants[0].knobs["loop"] is None
    assert variants[0].not_honoured == ("loop", "socket")


def test_a_socket_is_a_unit_only_where_the_server_can_take_one():
    profiles = {"parity": {"knobs": {"workers": 1, "socket": True}, "matrix": factory.PAIRS}}
    sockets = {variant.server: variant.socket_unit for variant in expand(profiles=profiles)}
    assert sockets["daphne"] == "serverbench-daphne-asgi.socket"
    assert sockets["granian"] is None


def test_the_more_specific_override_wins():
    pairs = [{"server": "granian", "interface": i} for i in ("wsgi", "asgi")]
    wsgi, asgi = expand(pairs, ["study"])
    assert (wsgi.workers, wsgi.knobs["threads"]) == (1, 8)
    assert (asgi.workers, asgi.knobs["threads"]) == (1, None)


def test_the_id_names_proxy_and_profile_only_where_they_say_something():
    matrix = [{"server": "uwsgi", "interface": "wsgi", "proxy": "caddy"}]
    assert [v.id for v in expand(matrix)] == ["uwsgi-wsgi-caddy"]
    ids = [v.id for v in expand(matrix, ["parity", "study"])]
    assert ids == ["uwsgi-wsgi-caddy", "uwsgi-wsgi-caddy-study"]


def test_an_id_is_the_same_whatever_else_is_in_play():
    """Ids are unit names: one that serves must not be rewritten by a bench of another profile."""
    matrix = [{"server": "uwsgi", "interface": "wsgi"}]
    assert [v.id for v in expand(matrix, ["study"])] == ["uwsgi-wsgi-study"]
    assert [v.id for v in expand(matrix, ["parity"])] == ["uwsgi-wsgi"]


def test_a_label_names_a_variation():
    plain, sync = expand(
        [
            {"server": "gunicorn", "interface": "wsgi"},
            {
                "server": "gunicorn",
                "interface": "wsgi",
                "label": "sync",
                "knobs": {"worker_class": "sync", "keepalive_s": 0},
            },
        ]
    )
    assert (plain.id, sync.id) == ("gunicorn-wsgi", "gunicorn-wsgi-sync")
    assert sync.unit == "serverbench-gunicorn-wsgi-sync.service"
    assert (plain.knobs["worker_class"], sync.knobs["worker_class"]) == (None, "sync")


def test_a_proxied_variant_takes_its_load_at_the_proxy():
    (variant,) = expand([{"server": "uwsgi", "interface": "wsgi", "proxy": "caddy"}])
    assert variant.proxy_unit == "serverbench-uwsgi-wsgi-caddy-proxy.service"
    assert variant.port == 9878


def test_a_proxy_cannot_listen_where_the_servers_do():
    matrix = [{"server": "granian", "interface": "wsgi", "proxy": "caddy"}]
    with pytest.raises(DataError, match="proxy_port: got 9878, where the servers listen"):
        factory.plan(variants=factory.variants(matrix), port=9878)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"server": "nope", "interface": "wsgi"}, ["bench_matrix[1].server", "'nope'", "uwsgi"]),
        ({"server": "uwsgi", "interface": "asgi"}, ["bench_matrix[1].interface", "'asgi'", "wsgi"]),
        ({"server": "uwsgi", "interface": "http"}, ["bench_matrix[1].interface", "'http'", "asgi"]),
        ({"server": "uwsgi"}, ["bench_matrix[1]", "interface is missing"]),
        ({"server": 3, "interface": "wsgi"}, ["bench_matrix[1].server", "3", "str"]),
        (
            {"server": "uwsgi", "interface": "wsgi", "proxy": "x"},
            ["bench_matrix[1].proxy", "nginx"],
        ),
        ({"server": "uwsgi", "interface": "wsgi", "porxy": "x"}, ["unknown porxy", "proxy"]),
        (
            {"server": "uwsgi", "interface": "wsgi", "knobs": {"workers": 1}},
            ["bench_matrix[1]", "no label"],
        ),
        (
            {"server": "uwsgi", "interface": "wsgi", "label": "study"},
            ["bench_matrix[1].label", "'study'"],
        ),
        (
            {"server": "uwsgi", "interface": "wsgi", "label": "a", "knobs": {"wokers": 1}},
            ["bench_matrix[1].knobs", "wokers"],
        ),
        ("uwsgi-wsgi", ["bench_matrix[1]", "str", "a mapping"]),
        ({"server": "gunicorn", "interface": "wsgi"}, ["bench_matrix[1]", "bench_matrix[0]"]),
    ],
)
def test_a_wrong_matrix_entry_is_named(entry, words):
    with pytest.raises(DataError) as caught:
        expand([{"server": "gunicorn", "interface": "wsgi"}, entry])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("knobs", "servers", "words"),
    [
        ({"workers": True}, {}, ["server_profiles.parity.knobs.workers", "True", "per_core"]),
        ({"workers": 0}, {}, ["knobs.workers", "0"]),
        ({"workers": "4"}, {}, ["knobs.workers", "'4'"]),
        ({}, {}, ["knobs.workers", "missing"]),
        ({"workers": 1, "wokers": 2}, {}, ["server_profiles.parity.knobs", "wokers", "threads"]),
        ({"workers": 1, "preload": 1}, {}, ["knobs.preload", "true"]),
        ({"workers": 1, "loop": "uv"}, {}, ["knobs.loop", "uvloop"]),
        ({"workers": 1}, {"nope": {}}, ["server_profiles.parity.servers", "nope"]),
        ({"workers": 1}, {"uwsgi-asgi": {}}, ["servers", "uwsgi-asgi"]),
        ({"workers": 1}, {"uwsgi": {"threads": -1}}, ["servers.uwsgi.threads", "-1"]),
    ],
)
def test_a_wrong_profile_is_named(knobs, servers, words):
    profiles = {"parity": {"knobs": knobs, "servers": servers, "matrix": factory.PAIRS}}
    with pytest.raises(DataError) as caught:
        expand(profiles=profiles)
    for word in words:
        assert word in str(caught.value)


def test_unknown_or_unsafe_names_are_refused():
    with pytest.raises(
        DataError, match=r"bench_profiles\[0\]: got 'fast'; accepted: parity, study"
    ):
        expand(selected=["fast"])
    with pytest.raises(DataError, match="bench_profiles: got nothing"):
        expand(selected=[])
    with pytest.raises(DataError, match="bench_matrix: got nothing"):
        expand(selected=["study"])
    with pytest.raises(DataError, match=r"server_catalogue: got '\.\./x'"):
        expand(catalogue={"../x": {"package": "x", "interfaces": ["wsgi"]}})
    catalogue = copy.deepcopy(factory.CATALOGUE)
    catalogue["uwsgi"]["not_honoured"] = {"wsgi": ["lop"]}
    with pytest.raises(DataError, match=r"server_catalogue.uwsgi.not_honoured.wsgi: got lop"):
        expand(catalogue=catalogue)


@settings(max_examples=40)
@given(
    blocks=st.integers(1, 6),
    seed=st.integers(-MAX_WHOLE, MAX_WHOLE),
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    count=st.integers(1, 6),
)
def test_each_block_is_a_permutation_with_each_variant_in_one_piece(blocks, seed, names, count):
    endpoints = [{"name": name, "path": "/"} for name in names]
    variants = factory.variants(factory.PAIRS[:count])
    plan = plan_or_none(blocks=blocks, seed=seed, endpoints=endpoints, variants=variants)
    if plan is None:
        return
    assert len({trial.id for trial in plan.trials}) == len(plan.trials)
    assert [trial.position for trial in plan.trials] == list(range(1, len(plan.trials) + 1))
    wanted = sorted((variant.id, name) for variant in variants for name in names)
    for block in range(1, blocks + 1):
        pairs = [(t.variant, t.endpoint) for t in plan.trials if t.block == block]
        assert sorted(pairs) == wanted
        starts = [
            variant for i, (variant, _) in enumerate(pairs) if i == 0 or pairs[i - 1][0] != variant
        ]
        assert sorted(starts) == sorted(variant.id for variant in variants)
    assert [t.block for t in plan.trials] == sorted(t.block for t in plan.trials)


@settings(max_examples=40)
@given(short=st.integers(1, 5), more=st.integers(0, 5), seed=st.integers(0, 1000))
def test_a_longer_run_begins_with_the_shorter_one(short, more, seed):
    brief = factory.plan(blocks=short, seed=seed)
    longer = factory.plan(blocks=short + more, seed=seed)
    assert longer.trials[: len(brief.trials)] == brief.trials
    assert factory.plan(blocks=short, seed=seed) == brief


def test_blocks_hosts_and_seeds_differ_in_order():
    plan = factory.plan(blocks=8)

    def order(of, block):
        return [(t.variant, t.endpoint) for t in of.trials if t.block == block]

    assert len({tuple(order(plan, block)) for block in range(1, 9)}) == 8
    assert order(plan, 1) != order(factory.plan(host="lab2"), 1)
    assert order(plan, 1) != order(factory.plan(seed=2), 1)


def test_the_order_of_a_seed_never_changes():
    # Runs are resumed by other versions of Python and of this kit: the order is a promise.
    assert [trial.id for trial in factory.plan().trials[:4]] == [
        "b01-uwsgi-wsgi-health",
        "b01-uwsgi-wsgi-movie",
        "b01-hypercorn-asgi-movie",
        "b01-hypercorn-asgi-health",
    ]


def test_sequential_finishes_one_variant_before_the_next():
    plan = factory.plan(order="sequential", blocks=2)
    assert [trial.id for trial in plan.trials[:5]] == [
        "b01-uwsgi-wsgi-health",
        "b01-uwsgi-wsgi-movie",
        "b02-uwsgi-wsgi-health",
        "b02-uwsgi-wsgi-movie",
        "b01-gunicorn-wsgi-health",
    ]


def test_ids_that_would_share_a_folder_are_refused():
    matrix = [
        {"server": "uwsgi", "interface": "wsgi"},
        {"server": "uwsgi", "interface": "wsgi", "proxy": "caddy"},
    ]
    endpoints = [{"name": "health", "path": "/"}, {"name": "caddy-health", "path": "/"}]
    with pytest.raises(DataError, match="b01-uwsgi-wsgi-caddy-health twice"):
        factory.plan(variants=factory.variants(matrix), endpoints=endpoints)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "A"}, "app_endpoints[1].name: got 'A'"),
        ({"name": "health"}, "app_endpoints[1].name: got 'health' twice"),
        ({"path": "movie"}, "app_endpoints[1].path: got 'movie'"),
        ({"path": "/a b"}, "app_endpoints[1].path"),
        ({"path": "/a\r\nX: 1"}, "app_endpoints[1].path"),
        ({"method": "get it"}, "app_endpoints[1].method"),
        ({"headers": {"X": "a\nb"}}, "app_endpoints[1].headers"),
        ({"headers": {"X": 1}}, "app_endpoints[1].headers.X: got 1"),
        ({"expect": {"regex": "("}}, "app_endpoints[1].expect.regex: got '('"),
        ({"expect": {"regex": "a", "json_subset": {}}}, "json_subset and regex"),
        ({"expect": {"status": 20}}, "app_endpoints[1].expect.status: got 20"),
        ({"expect": {"body": "x"}}, "app_endpoints[1].expect: unknown body"),
    ],
)
def test_a_wrong_endpoint_is_named(change, words):
    endpoints = [factory.ENDPOINTS[0], {**factory.ENDPOINTS[1], **change}]
    with pytest.raises(DataError) as caught:
        factory.plan(endpoints=endpoints)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": 0}, "bench_blocks: got 0; accepted: a whole number from 1 to 999"),
        ({"blocks": "three"}, "bench_blocks: got 'three'"),
        ({"blocks": True}, "bench_blocks: got True"),
        ({"blocks": {"min": 3}}, "bench_blocks: max is missing; accepted: {min, max}"),
        ({"blocks": {"min": 3, "max": 2}}, "bench_blocks.min: got 3; accepted: a whole number"),
        ({"blocks": {"min": 0, "max": 2}}, "bench_blocks.min: got 0"),
        ({"blocks": {"min": 1, "max": 1000}}, "bench_blocks.max: got 1000"),
        ({"blocks": {"min": 1, "max": 2, "most": 3}}, "bench_blocks: unknown most"),
        (
            {"blocks": [3, 5]},
            "bench_blocks: got [3, 5]; accepted: a whole number from 1 to 999, or",
        ),
        ({"decide": 0.05}, "bench_decide: got 0.05; accepted: {gap: 5%}, or null"),
        ({"decide": {}}, "bench_decide: gap is missing"),
        ({"decide": {"gap": 5}}, "bench_decide.gap: got 5; accepted: a share such as 5% or 0.05"),
        ({"decide": {"gap": "0%"}}, "bench_decide.gap: got '0%'"),
        ({"decide": {"gap": "100%"}}, "bench_decide.gap: got '100%'"),
        ({"decide": {"gap": True}}, "bench_decide.gap: got True"),
        ({"decide": {"gap": "x"}}, "bench_decide.gap: got 'x'"),
        ({"decide": {"gap": float("nan")}}, "bench_decide.gap: got nan"),
        ({"decide": {"gab": 1}}, "bench_decide: unknown gab; accepted: gap"),
        ({"time_budget_s": 0}, "bench_time_budget_s: got 0; accepted: a whole number from 1"),
        ({"time_budget_s": 1.5}, "bench_time_budget_s: got 1.5"),
        ({"time_budget_s": 60, "order": "sequential"}, "with bench_order: sequential"),
        ({"reruns_per_block": -1}, "bench_reruns_per_block: got -1"),
        ({"reruns_per_block": None}, "bench_reruns_per_block: got None"),
        (
            {"endpoints": [{"name": "a--2", "path": "/"}]},
            "gives the trial id b01-uwsgi-wsgi-a--2, which would be a second attempt",
        ),
        ({"seed": 1.5}, "bench_seed: got 1.5"),
        ({"order": "random"}, "bench_order: got 'random'; accepted: interleaved, sequential"),
        ({"run_id": "../x"}, "bench_run_id: got '../x'"),
        ({"host": ""}, "inventory_hostname: got ''"),
        ({"port": 70000}, "port: got 70000"),
        ({"created_at": "today"}, "created_at: got 'today'"),
        ({"variants": ()}, "bench_matrix"),
        ({"endpoints": []}, "app_endpoints: got nothing"),
        ({"load": {"duration_s": 1.5}}, "bench_load.duration_s: got 1.5"),
        ({"load": {"duration_s": float("nan")}}, "bench_load.duration_s: got nan"),
        ({"load": {"threads": 4, "connections": 3}}, "bench_load.connections: got 3"),
        ({"load": {"thread": 4}}, "bench_load: unknown thread"),
        ({"timing": {"sample_interval_s": 0}}, "bench_timing.sample_interval_s: got 0"),
    ],
)
def test_a_wrong_setting_is_named(change, words):
    with pytest.raises(DataError) as caught:
        factory.plan(**change)
    assert words in str(caught.value)


def test_numbers_from_the_command_line_may_be_text():
    plan = factory.plan(blocks="2", seed="7", load={"duration_s": "5", "threads": "2"})
    assert (plan.blocks, plan.seed, plan.load.duration_s, plan.load.threads) == (2, 7, 5.0, 2)


@pytest.mark.parametrize("gap", [0.05, "0.05", "5%", "5 %", "5.0%"])
def test_a_run_may_end_between_its_least_and_most_blocks(gap):
    plan = factory.plan(
        blocks={"min": "3", "max": 10},
        decide={"gap": gap},
        time_budget_s="3600",
        reruns_per_block=1,
    )
    assert plan.blocks == 10
    assert plan.stopping == Stopping(3, 0.05, 3600.0, 1)
    assert max(trial.block for trial in plan.trials) == 10


@pytest.mark.parametrize("nothing", [None, "", "null", {"gap": None}])
def test_without_a_gap_all_blocks_run(nothing):
    plan = factory.plan(blocks=4, decide=nothing, time_budget_s=None)
    assert plan.stopping == Stopping(4, None, None, 2)


def test_a_fixed_number_of_blocks_is_both_least_and_most():
    assert factory.plan(blocks=4, decide={"gap": 0.05}).stopping == Stopping(4, 0.05, None, 2)


def test_sequential_order_runs_all_blocks():
    plan = factory.plan(order="sequential", blocks={"min": 2, "max": 4}, decide={"gap": "5%"})
    assert plan.stopping == Stopping(4, None, None, 2)


@pytest.mark.parametrize("twin", [True, "true", "yes", "uwsgi-wsgi"])
def test_the_twin_is_the_same_variant_under_another_name(twin):
    first, *_, last = add_twin(factory.variants(), twin)
    assert last == replace(
        first,
        id="uwsgi-wsgi-twin",
        unit="serverbench-uwsgi-wsgi-twin.service",
        twin_of="uwsgi-wsgi",
    )
    assert last.knobs == first.knobs


def test_the_twin_of_a_variant_with_a_socket_has_a_socket_of_its_own():
    *_, twin = add_twin(factory.variants(), "daphne-asgi")
    assert (twin.unit, twin.socket_unit) == (
        "serverbench-daphne-asgi-twin.service",
        "serverbench-daphne-asgi-twin.socket",
    )


@pytest.mark.parametrize("twin", [False, None, "false", ""])
def test_no_twin(twin):
    assert add_twin(factory.variants(), twin) == factory.variants()


@pytest.mark.parametrize("twin", ["granian", 1, 0, ["uwsgi-wsgi"], 2.5])
def test_a_twin_of_nobody_is_refused(twin):
    with pytest.raises(DataError, match=r"bench_twin: got .*; accepted: true, false, uwsgi-wsgi"):
        add_twin(factory.variants(), twin)


def test_a_twin_whose_name_is_taken_is_refused():
    profiles = {**factory.PROFILES, "twin": factory.PROFILES["parity"]}
    pair = [{"server": "uwsgi", "interface": "wsgi"}]
    taken = expand(pair, ["parity", "twin"], profiles=profiles)
    names = [replace(taken[0], id="uwsgi-wsgi"), taken[1]]
    with pytest.raises(DataError, match="would be uwsgi-wsgi-twin, which is another variant"):
        add_twin(names, True)


def test_the_plan_holds_the_twin_in_every_block():
    variables = {
        "server_catalogue": factory.CATALOGUE,
        "server_profiles": factory.PROFILES,
        "bench_profiles": "parity",
        "app_endpoints": factory.ENDPOINTS,
        "bench_blocks": {"min": 2, "max": 3},
        "bench_decide": {"gap": "5%"},
        "bench_time_budget_s": None,
        "bench_reruns_per_block": "0",
        "bench_twin": "granian-wsgi",
    }
    plan = plan_from_variables(variables, host="h", cores=2, created_at=factory.CREATED_AT)
    assert plan.variant("granian-wsgi-twin").twin_of == "granian-wsgi"
    assert plan.stopping == Stopping(2, 0.05, None, 0)
    for block in (1, 2, 3):
        found = [t for t in plan.trials if (t.block, t.variant) == (block, "granian-wsgi-twin")]
        assert len(found) == 2


def test_the_estimate_of_a_run_that_ends_early():
    plan = factory.plan(blocks=10)
    assert estimate_s(plan, 5).total_s == estimate_s(factory.plan(blocks=5)).total_s
    assert estimate_s(plan, 10) == estimate_s(plan)


def test_the_plan_command_says_how_early_it_may_end(tmp_path, capsys):
    variables = {
        "server_catalogue": factory.CATALOGUE,
        "server_profiles": factory.PROFILES,
        "bench_profiles": ["parity"],
        "app_endpoints": factory.ENDPOINTS,
        "bench_blocks": {"min": 5, "max": 10},
        "bench_decide": {"gap": "5%"},
    }
    path = tmp_path / "variables.json"
    path.write_text(json.dumps(variables))
    assert cli.main(["plan", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("host: 5 to 10 blocks, interleaved")
    assert "\nLess if it is decided before the last block: 38 min at least\n" in out


def test_the_estimate_adds_up():
    plan = factory.plan(blocks=2, load={"duration_s": 30, "warmup_s": 5})
    estimate = estimate_s(plan)
    assert estimate.load_s == 2 * 12 * 30
    assert estimate.warmup_s == 2 * 12 * 5
    assert estimate.switching_s == 12 * 2 + 24 * 1.5
    assert estimate.total_s == estimate.load_s + estimate.warmup_s + estimate.switching_s


def test_plan_from_variables_takes_the_names_of_the_inventory():
    variables = {
        "server_catalogue": factory.CATALOGUE,
        "server_profiles": factory.PROFILES,
        "bench_profiles": ["parity"],
        "app_endpoints": factory.ENDPOINTS,
        "bench_endpoints": ["movie"],
        "bench_blocks": 2,
        "bench_load": {"duration_s": 3},
        "something_else": object,
    }
    arguments = {"host": "h", "cores": 2, "created_at": factory.CREATED_AT}
    del variables["something_else"]
    plan = plan_from_variables({**variables, "ansible_host": "::1"}, **arguments)
    assert {trial.endpoint for trial in plan.trials} == {"movie"}
    assert plan.load == Load(duration_s=3.0)
    with pytest.raises(DataError, match=r"bench_endpoints\[0\]: got 'x'.*health, movie"):
        plan_from_variables({**variables, "bench_endpoints": ["x"]}, **arguments)
    del variables["server_profiles"]
    with pytest.raises(DataError, match="server_profiles is missing"):
        plan_from_variables(variables, **arguments)


@settings(max_examples=80)
@given(
    name=st.sampled_from(
        [
            "endpoints",
            "load",
            "timing",
            "blocks",
            "seed",
            "order",
            "run_id",
            "decide",
            "time_budget_s",
            "reruns_per_block",
        ]
    ),
    value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists),
)
@example(name="time_budget_s", value=10**15)
@example(name="seed", value=10**25)
def test_any_value_is_a_plan_or_a_clear_error(name, value):
    # A plan of a thousand blocks is right, and slow to make.
    if name == "blocks" and isinstance(value, int):
        return
    try:
        plan = factory.plan(**{name: value})
    except DataError as error:
        assert "accepted" in str(error) or "missing" in str(error)  # noqa: PT017
    else:
        # Otherwise the host would refuse it, or the report once all is measured.
        again = decode(Plan, json.loads(dumps(plan)), "plan.json")
        assert again == plan
        check_plan(again, "plan.json")


def test_make_plan_takes_names_only():
    with pytest.raises(TypeError):
        make_plan("run")


def test_the_disk_that_a_plan_takes_grows_with_its_trials_and_samples():
    one = factory.plan(blocks=1)
    disk = estimate_disk_bytes(one)
    assert estimate_disk_bytes(factory.plan(blocks=3)) == 3 * disk
    longer = factory.plan(blocks=1, load={"duration_s": 60})
    # 60 more samples of each of the 12 trials.
    assert estimate_disk_bytes(longer) - disk == 12 * 60 * 400
    # Twelve trials of 3 s on a lab host took 32 KiB each, in blocks of 4 KiB.
    short = factory.plan(blocks=1, load={"duration_s": 3})
    assert 32 * 1024 <= estimate_disk_bytes(short) / 12 <= 40 * 1024
