"""Put the report into a page: the template, the drawings with their library, and the raw outputs.

Whatever comes from a host is escaped: by Jinja2 in the text, and as JSON in the data of the charts.
The page's own policy forbids it to load or send anything.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import collect
from collect.report import ladder, text, together, words
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
        heads=HEADS,
        look=LOOK,
        more=more,
        has_raw=more["has_raw"],
        text=text,
        words=words,
        together=together,
        ladder=ladder,
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
    ends = f"after {text.number(plan.blocks, 'block')}"
    if stop.gap is not None:
        ends = (
            f"once every pair is told apart or known to lie within {text.percent(stop.gap)}, "
            f"or {ends}"
        )
    known = [
        ("Host", host.name),
        ("Kernel", facts.kernel),
        ("System", facts.distribution),
        ("Processor", facts.cpu_model),
        ("Cores", None if facts.cores is None else str(facts.cores)),
        ("Memory", f"{text.figure(memory / 1024)} GiB" if memory else None),
        ("Virtualisation", facts.virtualisation),
        ("Python", facts.python),
        *((name, version) for name, version in facts.versions),
        ("serverbench", collect.__version__),
        ("Run", plan.run_id),
        ("Planned at", plan.created_at),
        ("Seed", str(plan.seed)),
        ("Order", plan.order),
        ("Ends", ends),
        ("Load", text.load(plan.load)),
        ("Warm-up", f"{plan.load.warmup_s:g} s before each trial"),
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
    return environment
