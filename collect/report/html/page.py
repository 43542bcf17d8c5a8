"""Put the report into a page: the template, the drawings with their library, and the raw outputs.

Whatever comes from a host is escaped: by Jinja2 in the text, and as JSON in the data of the charts.
The page's own policy forbids it to load or send anything.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import collect
from collect.lang import _, sentences, spoken
from collect.report import ladder, rates, steadiness, text, together, words
from collect.report.charts import LOOK, charts_of, colours, javascript, name_of
from collect.report.html.packing import pack_spec
from collect.report.html.trials import HEADS, details, trial_rows
from collect.report.proxies import proxy_cost

if TYPE_CHECKING:
    from collect.report.build import HostReport, Report
    from collect.report.charts import Chart
    from collect.report.ranking import EndpointReport


_WIDTH_PX = 540
"""Until the page knows how wide each chart may be."""


def render_html(report: Report) -> str:
    """Return the page."""
    more = details(report.hosts)
    template = _environment().get_template("page.html.j2")
    charts = {
        f"{index}-{chart.name}": chart
        for index, host in enumerate(report.hosts)
        for chart in charts_of(host)
    }
    return template.render(
        report=report,
        hosts=[_host(index, host, charts) for index, host in enumerate(report.hosts)],
        specs={name: pack_spec(chart.in_full(_WIDTH_PX)) for name, chart in charts.items()},
        version=collect.__version__,
        library=javascript(),
        heads=[_(head) for head in HEADS],
        look=LOOK,
        more=more,
        has_raw=more["has_raw"],
        language=spoken(),
        text=text,
        words=words,
        together=together,
        ladder=ladder,
        steadiness=steadiness,
        rates=rates,
        proxy_cost=proxy_cost,
    )


def _host(index: int, host: HostReport, charts: dict[str, Chart]) -> dict[str, Any]:
    """Return what the template shows of one host."""
    own = {name.removeprefix(f"{index}-"): name for name in charts if name.startswith(f"{index}-")}

    def named(*kinds: str, of: EndpointReport | None = None) -> list[tuple[str, Chart]]:
        wanted = [kind if of is None else name_of(kind, of) for kind in kinds]
        return [(own[name], charts[own[name]]) for name in wanted if name in own]

    return {
        "index": index,
        "report": host,
        "charts": named,
        "rate_charts": [
            (full, charts[full])
            for name, full in own.items()
            if name.startswith(("rates-", "common-"))
        ],
        "profile_charts": [
            (full, charts[full]) for name, full in own.items() if name.startswith("profiles-")
        ],
        "endpoints": [
            part for part in host.endpoints if not ladder.is_below_the_app(part.endpoint)
        ],
        "colours": colours(host),
        "trials": trial_rows(host),
        "facts": _facts(host),
    }


def _facts(host: HostReport) -> list[tuple[str, str]]:
    """Return what was measured where and with what, each with its name."""
    facts, plan = host.facts, host.plan
    memory = text.mebibytes(facts.memory_bytes)
    stop = plan.stopping
    blocks = text.number(plan.blocks, "block")
    ends = _("after {blocks}").format(blocks=blocks)
    if stop.gap is not None:
        ends = _(
            "once every pair is told apart or known to lie within {gap}, or after {blocks}"
        ).format(gap=text.percent(stop.gap), blocks=blocks)
    known = [
        (_("Host"), host.name),
        (_("Kernel"), facts.kernel),
        (_("System"), facts.distribution),
        (_("Processor"), facts.cpu_model),
        (_("Cores"), None if facts.cores is None else str(facts.cores)),
        (_("Memory"), f"{text.figure(memory / 1024)} GiB" if memory else None),
        (_("Virtualisation"), facts.virtualisation),
        ("Python", facts.python),
        *((name, version) for name, version in facts.versions),
        ("serverbench", collect.__version__),
        (_("Run"), plan.run_id),
        (_("Planned at"), plan.created_at),
        (_("Seed"), str(plan.seed)),
        (_("Order"), _(text.ORDERS[plan.order])),
        (_("Ends"), ends),
        (_("Load"), text.load(plan.load)),
        (
            _("Warm-up"),
            _("{warmup_s} s before each trial").format(warmup_s=f"{plan.load.warmup_s:g}"),
        ),
    ]
    return [(name, text.one_line(value)) for name, value in known if value]


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("collect.report.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["line"] = text.one_line
    environment.globals.update(_=_, sentences=sentences)
    return environment
