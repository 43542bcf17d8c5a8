"""The HTML report as its reader has it: drawn, sorted, unfolded, on a phone, in the dark."""

from __future__ import annotations

import made_run
import pytest
import rich_run
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

from collect.model import Decision, dumps
from collect.report import build_report, render_html
from collect.report.charts import charts_of
from collect.store import load_run

DRAWN = "return document.documentElement.getAttribute('data-drawn')"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return build_report(load_run(rich_run.write(tmp_path_factory.mktemp("results"), blocks=2)))


@pytest.fixture(scope="module")
def address(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(report))
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The page, drawn; at its end nothing has been complained of."""
    browser.get_log("browser")
    browser.get(address)
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(DRAWN))
    yield browser
    assert browser.get_log("browser") == []


def test_every_chart_is_drawn_and_nothing_is_loaded(page, report):
    expected = sum(len(charts_of(host)) for host in report.hosts)
    assert int(page.execute_script(DRAWN)) == expected
    empty = page.execute_script(
        """return [...document.querySelectorAll('.chart')].filter(chart => {
             const marks = [...chart.querySelectorAll('svg [role=graphics-symbol]')];
             return !marks.some(m => m.getBoundingClientRect().width > 0);
           }).map(chart => chart.id)"""
    )
    assert empty == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_run_that_knows_several_times_of_day_is_drawn_as_well(browser, tmp_path):
    """Its chart names places on its axis, which are no rows of data to unpack."""
    report = build_report(load_run(made_run.write_run(tmp_path, 1000)))
    charts = [chart for host in report.hosts for chart in charts_of(host)]
    assert any("hour" in chart.name for chart in charts), [chart.name for chart in charts]
    path = tmp_path / "report.html"
    path.write_text(render_html(report))
    browser.get_log("browser")
    browser.get(path.as_uri())
    drawn = WebDriverWait(browser, 60).until(lambda b: b.execute_script(DRAWN))
    assert int(drawn) == len(charts)
    assert browser.get_log("browser") == []


def test_what_a_host_says_is_text(page):
    assert page.execute_script("return window.pwned") is None
    for button in page.find_elements("css selector", "#table-0 .more")[:10]:
        page.execute_script("arguments[0].click()", button)
    assert rich_run.HOSTILE in page.find_element("id", "table-0").text
    assert rich_run.HOSTILE in page.find_element("id", "where-0").text
    assert page.execute_script("return window.pwned") is None


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The page of a run in which every text that a host wrote tries to be more than that."""
    run = rich_run.write(tmp_path_factory.mktemp("hostile"), blocks=2)
    decision = Decision(3, run.name, 2, "all_blocks", ())
    for host in run.iterdir():
        (host / "decision.json").write_text(dumps(decision))
    planted = rich_run.plant(run, f"{rich_run.HOSTILE}&lt;b&gt;${{7*7}}{{{{7*7}}}}'\"`")
    # Which fields there are, and that none is left out: tests/unit/test_foreign.py.
    assert {"trial.json:reason", "host.json", "effective.json", "wrk.txt"} <= planted
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(build_report(load_run(run))))
    return path.as_uri()


def test_no_field_of_any_file_is_more_than_text(browser, address, hostile):
    counted = []
    for uri in (address, hostile):
        browser.get_log("browser")
        browser.get(uri)
        WebDriverWait(browser, 60).until(lambda b: b.execute_script(DRAWN))
        for button in browser.find_elements("css selector", "button.more"):
            browser.execute_script("arguments[0].click()", button)
        assert browser.execute_script("return window.pwned") is None
        assert browser.get_log("browser") == []
        counted.append(
            browser.execute_script(
                """const all = [...document.querySelectorAll('script, img, iframe, object, base')];
                   const acting = [...document.querySelectorAll('*')].filter(one =>
                     [...one.attributes].some(a =>
                       /^on/i.test(a.name) || /^javascript:/i.test(a.value)));
                   return [all.length, acting.length]"""
            )
        )
    # As many of them as on the page of a run that is harmless.
    assert counted[0] == counted[1]
    assert counted[1][1] == 0


def column(page, number):
    return page.execute_script(
        "return [...document.querySelectorAll('#table-0 tbody:not([hidden])')]"
        ".map(body => body.rows[0].cells[arguments[0]].textContent)",
        number,
    )


def click(page, selector):
    page.execute_script("arguments[0].click()", page.find_element("css selector", selector))


def figures(cells):
    return [float(cell.replace(",", "")) for cell in cells if cell != "n/a"]


def test_the_table_sorts_by_figures_and_by_words(page):
    click(page, "#table-0 [data-column='3']")
    rising = column(page, 3)
    assert figures(rising) == sorted(figures(rising))
    assert rising[0] == "n/a", "what is unknown stands at one end"
    click(page, "#table-0 [data-column='3']")
    falling = figures(column(page, 3))
    assert falling == sorted(falling, reverse=True)
    assert len(falling) > 100
    head = page.find_element("css selector", "#table-0 [data-column='3']")
    assert head.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    click(page, "#table-0 [data-column='0']")
    names = column(page, 0)
    assert names == sorted(names)


def test_the_table_filters_by_name_and_verdict(page):
    everything = column(page, 0)
    search = page.find_element("css selector", "[data-filter='table-0']")
    search.send_keys("granian movie")
    some = column(page, 0)
    assert some == [name for name in everything if "granian" in name and "movie" in name]
    assert 0 < len(some) < len(everything)
    search.clear()
    click(page, "[data-table='table-0'][data-verdict='valid']")
    left = column(page, 2)
    assert left
    assert set(left) == {"suspect", "invalid"}
    count = page.find_element("css selector", "[data-count='table-0']").text
    assert count == f"{len(left)} / {len(everything)}"


def test_a_trial_unfolds_and_folds(page):
    more = page.find_element("css selector", "#table-0 .more")
    page.execute_script("arguments[0].click()", more)
    details = page.find_element("css selector", "#table-0 .details").text
    assert "Requests/sec:" in details
    assert "wrk -t4 http://127.0.0.1:9875/" in details
    assert more.get_attribute("aria-expanded") == "true"
    page.execute_script("arguments[0].click()", more)
    assert page.find_elements("css selector", "#table-0 .details") == []


def test_a_mark_says_its_figures_when_pointed_at(page):
    mark = page.find_element(
        "css selector", "[data-chart='0-rps-health'] .layer_1_marks path[aria-label]"
    )
    # At once: a mark on its way would be missed.
    there = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"
    page.execute_script(there, mark)
    ActionChains(page).move_to_element(mark).perform()
    tip = WebDriverWait(page, 10).until(
        lambda b: b.find_element("css selector", "#vg-tooltip-element.visible")
    )
    assert "req/s" in tip.text
    assert "uwsgi-wsgi" in tip.text


def test_a_phone_shows_it_without_scrolling_sideways(browser, address):
    small = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
    try:
        browser.get(address)
        WebDriverWait(browser, 60).until(lambda b: b.execute_script(DRAWN))
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        too_wide = browser.execute_script(
            "return [...document.querySelectorAll('.chart svg')]"
            ".filter(s => s.getBoundingClientRect().right > innerWidth).length"
        )
        assert too_wide == 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


LIGHTNESS = """
const parts = (element, name) =>
  getComputedStyle(element)[name].match(/[\\d.]+/g).slice(0, 3).map(Number);
const mean = numbers => numbers.reduce((a, b) => a + b) / numbers.length;
const label = document.querySelector('.chart svg .mark-text text');
return [mean(parts(document.body, 'backgroundColor')), mean(parts(label, 'fill'))];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_readable_in_the_light_and_in_the_dark(browser, address, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        browser.get(address)
        WebDriverWait(browser, 60).until(lambda b: b.execute_script(DRAWN))
        page, label = browser.execute_script(LIGHTNESS)
        assert abs(page - label) > 120
        assert (page > label) == (scheme == "light")
        # Paper is white, whatever the screen was.
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": "print", "features": [feature]}
        )
        page, label = browser.execute_script(LIGHTNESS)
        assert page - label > 120
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
