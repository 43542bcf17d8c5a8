"""A variant behind a proxy beside the same server without one."""

from __future__ import annotations

import re
from dataclasses import replace

import factory
import pytest

from collect.checks import verdict
from collect.errors import DataError
from collect.model import ProxyFigures
from collect.report import build_report, render_markdown, render_terminal
from collect.report.proxies import EndpointCost, ProxyCost, proxy_cost
from collect.stats import Interval, compare
from collect.store import load_run
from collect.twin import add_twin

DIRECT = {"server": "uwsgi", "interface": "wsgi"}
NGINX = {**DIRECT, "proxy": "nginx"}
UNIX = {**NGINX, "label": "unix", "knobs": {"upstream": "unix"}}
OTHER = {"server": "granian", "interface": "wsgi"}


def flat(page):
    return " ".join(page.split())


def plan_of(*matrix, selected=("parity",), twin=None, **changes):
    variants = add_twin(factory.variants(list(matrix), selected), twin)
    return factory.plan(**{"variants": variants, "blocks": 5, **changes})


def trials_of(plan, slower, spread=0.005):
    """Healthy trials, noisy by `spread`; `slower` says by which share of its partner's req/s."""
    found = []
    for one in factory.noisy_trials(plan, spread):
        name = plan.variant(one.variant).twin_of or one.variant
        usual, _ = factory.FIGURES.get(name, (1000.0, 100.0))
        share = slower.get((name, one.endpoint), 0.0)
        rps = 6000.0 * one.wrk.rps / usual * (1 - share)
        found.append(replace(one, wrk=factory.wrk(rps, plan.load)))
    return found


@pytest.fixture
def report_of(tmp_path):
    def build(plan, trials):
        return build_report(load_run(factory.write_host(tmp_path, plan, trials)))

    return build


def costs(report):
    (host,) = report.hosts
    return {
        (found.variant.id, cost.endpoint): cost
        for found in host.proxies
        for cost in found.endpoints
    }


def test_the_load_goes_to_the_proxy_and_its_unit_is_known():
    plan = plan_of(DIRECT, NGINX)
    direct, proxied = plan.variants
    assert (direct.port, direct.proxy_unit) == (None, None)
    assert proxied.proxy_unit == "serverbench-uwsgi-wsgi-nginx-proxy.service"
    assert [plan.port_of(variant) for variant in plan.variants] == [9875, 9878]


def test_a_unix_socket_is_for_a_proxy_only():
    direct, proxied = factory.variants([{**UNIX, "proxy": "none", "label": "x"}, UNIX])
    assert direct.knobs["upstream"] == "tcp"
    assert proxied.knobs["upstream"] == "unix"


def proxied_at(port):
    return factory.expand_variants(
        [NGINX], factory.CATALOGUE, factory.PROFILES, ["parity"], 2, port
    )[0]


def test_another_port():
    assert proxied_at("8080").port == 8080


@pytest.mark.parametrize("port", [0, 65536, "eighty", True, None])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(DataError, match="proxy_port: got"):
        proxied_at(port)


def test_the_proxy_counts_in_memory_and_cpu_of_its_variant():
    plan = plan_of(NGINX)
    taken = ProxyFigures(cpu_s=2.0, pss_idle_bytes=7, pss_peak_bytes=9, rss_peak_bytes=11)
    one = factory.trial(of=plan, proxy_figures=taken)
    assert one.whole_cpu_s == one.cpu.server_s + 2
    assert one.whole_pss_idle_bytes == one.memory.pss_idle_bytes + 7
    assert one.whole_pss_peak_bytes == one.memory.pss_peak_bytes + 9


def test_half_of_a_figure_is_none():
    one = factory.trial(of=plan_of(NGINX), proxy_figures=None)
    assert one.whole_cpu_s is None
    assert one.whole_pss_idle_bytes is None
    assert one.whole_pss_peak_bytes is None


def test_rankings_hold_the_proxy():
    plan = plan_of(DIRECT, NGINX)
    trials = [
        replace(one, proxy_figures=one.proxy_figures and replace(one.proxy_figures, cpu_s=60.0))
        for one in trials_of(plan, {})
    ]
    found = compare(plan, [(one, verdict(one)) for one in trials])
    first, last = found.ranking("health", "cpu_s_per_request").rows
    assert (first.variant, last.variant) == ("uwsgi-wsgi", "uwsgi-wsgi-nginx")
    assert last.figure.median > 2 * first.figure.median


def test_a_foreign_nginx_is_no_part_of_the_trial():
    one = factory.trial(of=plan_of(NGINX))
    busy = replace(one, cpu=replace(one.cpu, others={"nginx": 20.0}))
    assert [reason.code for reason in verdict(busy).reasons] == ["other_processes"]


def test_a_proxy_is_paired_with_its_server_inside_blocks(report_of):
    plan = plan_of(DIRECT, OTHER, NGINX)
    slower = {("uwsgi-wsgi-nginx", "health"): 0.2}
    found = costs(report_of(plan, trials_of(plan, slower)))
    health, movie = (found["uwsgi-wsgi-nginx", name] for name in ("health", "movie"))
    assert health.rps.low < 0.8 < health.rps.high
    assert health.rps.high - health.rps.low < 0.05
    assert health.is_told
    assert movie.rps.low < 1 < movie.rps.high
    assert not movie.is_told


def test_it_is_said_in_the_terminal_and_on_the_page(report_of):
    plan = plan_of(DIRECT, OTHER, NGINX, UNIX)
    slower = {("uwsgi-wsgi-nginx", "health"): 0.2, ("uwsgi-wsgi-unix-nginx", "health"): -0.3}
    report = report_of(plan, trials_of(plan, slower))
    for page in (flat(render_terminal(report)), flat(render_markdown(report))):
        assert "What a proxy costs" in page
        costs_a_fifth = r"nginx in front of uwsgi-wsgi costs (19|20)\.\d % ± 0\.\d % of the req/s"
        assert re.search(costs_a_fifth, page)
        over_socket = r"nginx, over a unix socket, in front of uwsgi-wsgi gains (29|30)"
        assert re.search(over_socket, page)
        nothing = r" on health, -?0\.\d % ± 0\.\d % on movie \S*cannot be told from nothing"
        assert re.search(nothing, page)
        assert re.search(r" on health, costs -?0\.\d % ± 0\.\d % on movie", page)
        assert "MiB itself and, for each request, CPU time of" in page
        assert "Behind a proxy, the proxy's share is in it." in page


def test_a_difference_that_a_twin_shows_too_is_not_told(report_of):
    plan = plan_of(DIRECT, OTHER, NGINX, twin="uwsgi-wsgi")
    trials = []
    for one in trials_of(plan, {("uwsgi-wsgi-nginx", "health"): 0.1}, spread=0.001):
        off = 1.15 if one.variant.endswith("-twin") else 1.0
        trials.append(replace(one, wrk=factory.wrk(one.wrk.rps * off, plan.load)))
    cost = costs(report_of(plan, trials))["uwsgi-wsgi-nginx", "health"]
    assert cost.rps.high < 1
    assert not cost.is_told


@pytest.mark.parametrize(
    "other",
    [
        OTHER,
        {**DIRECT, "label": "more", "knobs": {"backlog": 99}},
        {**DIRECT, "proxy": "caddy"},
    ],
)
def test_without_a_direct_partner_there_is_a_warning(report_of, other):
    plan = plan_of(NGINX, other)
    page = flat(render_terminal(report_of(plan, trials_of(plan, {})), width=200))
    assert "uwsgi-wsgi-nginx has no direct partner in this run" in page
    assert "add {server: uwsgi, interface: wsgi} with the same knobs and no proxy" in page
    assert "nginx in front of uwsgi-wsgi: nothing to compare it with." in page


def test_a_variant_of_another_profile_is_no_partner(report_of):
    variants = (factory.variants([DIRECT])[0], factory.variants([NGINX], ["study"])[0])
    plan = plan_of(variants=variants)
    (found,) = report_of(plan, trials_of(plan, {})).hosts[0].proxies
    assert found.direct is None


def test_one_block_says_nothing(report_of):
    plan = plan_of(DIRECT, OTHER, NGINX, blocks=1)
    page = flat(render_terminal(report_of(plan, trials_of(plan, {})), width=200))
    assert "it takes two blocks of both" in page


def test_without_a_proxy_nothing_is_said(report_of):
    plan = plan_of(DIRECT, OTHER)
    report = report_of(plan, trials_of(plan, {}))
    for page in (render_terminal(report), render_markdown(report)):
        assert "What a proxy costs" not in page
        assert "without proxy and databases" in flat(page)


def amount(ratio, low, high, *, is_told):
    rps = Interval(ratio, low, high)
    cost = EndpointCost("health", rps, is_told, None, None)
    direct, variant = factory.variants([DIRECT, NGINX])
    return proxy_cost(ProxyCost(variant, direct, (cost,), "interleaved"))


@pytest.mark.parametrize(
    ("found", "is_told", "said"),
    [
        ((0.96, 0.95, 0.97), True, "costs 4 % ± 1 % of the req/s on health."),
        ((0.957, 0.955, 0.959), True, "costs 4.3 % ± 0.2 % of"),
        ((0.99, 0.97, 1.01), False, "costs 1 % ± 2 % of the req/s on health (cannot be told"),
        ((1.004, 0.99, 1.018), False, "costs -0 % ± 1 %"),
        ((1.2, 1.17, 1.24), True, "gains 20 % ± 4 % of"),
        ((0.5, 0.3, 0.8), True, "costs 50 % (20 % to 70 %) of"),
        ((1.5, 1.1, 2.05), True, "gains 50 % (10 % to 105 %) of"),
        ((0.5, 0.01, 40.0), False, "costs nobody knows how much of"),
    ],
)
def test_no_figure_claims_more_than_its_interval(found, is_told, said):
    assert said.replace("-0 %", "0 %") in amount(*found, is_told=is_told)
