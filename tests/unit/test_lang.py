"""Chinese in every format that people read: no word missing, none left in English, no line broken.

What is said is for a reader to judge; tests/data/report holds whole pages. Here stands what a
machine can see: catalogues against the source, and pages against the words of the catalogue.
"""

from __future__ import annotations

import ast
import html
import json
import re
import string
from dataclasses import replace
from pathlib import Path
from typing import get_args

import factory
import messages
import pytest
import rich_run as rich_run_on_disk
import test_report
import test_report_ladder
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from collect import cli, lang
from collect.changes import compare_runs
from collect.lang import LANGUAGES, LOCALES, N_, _, ngettext, sentences, speaking, spoken
from collect.model import HostFigures, Outcome
from collect.report import build_report, render_html, render_markdown, render_terminal, text
from collect.report.changes import (
    render_changes_markdown,
    render_changes_terminal,
    render_refusal,
)
from collect.report.charts import LOOK, charts_of, svg
from collect.report.lines import fold, wrap
from collect.report.parsed import parse_sources, render_parsed_table
from collect.store import load_run
from collect.twin import add_twin
from collect.variants import KNOBS
from collect.verify import verify_run

# `list` and `show` speak English only.
ENGLISH = {"runs.py", "single.py"}
TRANSLATED = [
    path
    for folder in ("report", "checks")
    for path in sorted((messages.SOURCES / folder).rglob("*.py"))
    if path.name not in ENGLISH
]
WORD = re.compile(r"(?<![\w.=/-])[A-Za-z][a-z]+(?![\w=/-]|\.\w)")


@pytest.fixture
def zh():
    with speaking("zh"):
        yield


def parts(message):
    """Return the forms of a message, and those of its translation."""
    forms = message.id if isinstance(message.id, tuple) else (message.id,)
    said = message.string if isinstance(message.string, tuple) else (message.string,)
    return forms, said


def placeholders(form):
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(form) if name}


# -- the catalogues -------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", LOCALES.values())
def test_the_catalogue_holds_every_message_of_the_source_and_no_other(locale):
    def keys(catalogue):
        return {(message.context, message.id) for message in catalogue if message.id}

    own, source = keys(messages.read(locale)), keys(messages.gather())
    assert source - own == set(), "run `make messages` and translate what is new"
    assert own - source == set(), "run `make messages`"


@pytest.mark.parametrize("locale", LOCALES.values())
def test_every_message_is_translated_with_the_same_placeholders(locale):
    catalogue = messages.read(locale)
    for message in catalogue:
        if not message.id:
            continue
        forms, said = parts(message)
        assert not message.fuzzy, f"{forms[0]!r}: look at it, and take `fuzzy` away"
        assert len(said) == (catalogue.num_plurals if len(forms) > 1 else 1), forms[0]
        for form in said:
            assert form.strip(), f"{forms[0]!r}: not translated"
            assert placeholders(form) == placeholders(forms[-1]), forms[0]
        assert placeholders(forms[0]) == placeholders(forms[-1])


@pytest.mark.parametrize("locale", LOCALES.values())
def test_the_compiled_catalogue_is_that_of_its_source(locale):
    path = messages.po_path(locale).with_suffix(".mo")
    compiled = messages.compiled(messages.read(locale))
    assert path.read_bytes() == compiled, "run `make messages`"


def _is_marked(node):
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "") in {"_", "N_", "ngettext", "pgettext"}
    # Docstrings are statements of their own; what is raised is an error, in English.
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or isinstance(node, ast.Raise)


def plain_words(path):
    """Return strings of two words or more that stand outside of every marked message."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marked = {
        id(inside) for node in ast.walk(tree) if _is_marked(node) for inside in ast.walk(node)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in marked
        and re.search(r"[A-Za-z]{2,},? [a-z]{2,}", node.value)
        and not re.match(r"ansible-playbook | --|serverbench ", node.value)
        and "; accepted:" not in node.value
        and node.value not in {*get_args(text.Noun), LOOK["font"]}
    ]


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_sentence_is_left_unmarked(path):
    assert plain_words(path) == []


def test_an_unmarked_sentence_would_be_found(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        '"""Doc string here."""\n'
        'said = f"two words {1}"\n'
        'marked = _("two more words")\n'
        'print("and three more")\n',
        encoding="utf-8",
    )
    assert sorted(plain_words(path)) == ["and three more", "two words "]


# -- speaking -------------------------------------------------------------------------------------


def test_english_is_spoken_unless_something_else_is_asked_for():
    assert (spoken(), _("variant"), sentences("A.", "", "B.")) == ("en", "variant", "A. B.")
    with speaking("zh"):
        assert (spoken(), _("variant"), sentences("甲。", "", "乙。")) == ("zh", "变体", "甲。乙。")
        with speaking("en"):
            assert _("variant") == "variant"
        assert _("variant") == "变体"
    assert (spoken(), N_("variant")) == ("en", "variant")


def test_a_language_ends_with_its_block_even_after_an_error():
    with pytest.raises(KeyError), speaking("zh"):
        raise KeyError
    assert spoken() == "en"


def test_without_a_catalogue_as_on_a_host_english_is_spoken(tmp_path, monkeypatch):
    monkeypatch.setattr(lang, "FOLDER", tmp_path)
    lang._catalogue.cache_clear()
    try:
        with speaking("zh"):
            assert _("variant") == "variant"
            assert [ngettext("{count} block", "{count} blocks", n) for n in (1, 2)] == [
                "{count} block",
                "{count} blocks",
            ]
    finally:
        lang._catalogue.cache_clear()


# -- lines ----------------------------------------------------------------------------------------

PROSE = st.text(st.sampled_from([*"延迟，。（）：“”、 ab-9.%(["]), max_size=120)


@given(words=PROSE, width=st.integers(8, 40), later=st.sampled_from(["", "  "]))
def test_chinese_lines_fit_and_lose_nothing(words, width, later):
    with speaking("zh"):
        lines = wrap(words, width, first="- ", later=later)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(f"- {words}".split()) or not words.strip()


@pytest.mark.usefixtures("zh")
def test_a_chinese_line_breaks_where_a_reader_expects_it():
    assert wrap("在 health 上，uwsgi-wsgi 最快（共 3 个区块），请先阅读标记。", 12) == [
        "在 health",
        "上，",
        "uwsgi-wsgi",
        "最快（共 3",
        "个区块），请",
        "先阅读标记。",
    ]


def test_english_is_left_to_rich():
    assert fold("a b " * 50, 20) == "a b " * 50


# -- pages ----------------------------------------------------------------------------------------


def english():
    """Return the words of the English messages that no Chinese one has."""
    catalogue = messages.read("zh_CN")
    own, chinese = set(), set()
    for message in catalogue:
        if message.id:
            forms, said = parts(message)
            own |= {word.lower() for form in forms for word in WORD.findall(bare(form))}
            chinese |= {word.lower() for form in said for word in WORD.findall(bare(form))}
    return own - chinese


def bare(form):
    return re.sub(r"\{\w+\}", " ", form)


def left_in_english(page, *names):
    """Return the English words of a page but for commands, wrk's own output and given names."""
    page = re.sub(r"^(`{3,})text\n.*?^\1$", "", page, flags=re.MULTILINE | re.DOTALL)
    page = " ".join(page.replace("\\", "").split())
    page = re.sub(r"serverbench report .*?\.md|\{server: .*?\}", "", page)
    found = {word.lower() for word in WORD.findall(page)}
    # The table of settings names its columns after the knobs; a proxy may be `none`.
    return (found & english()) - {*KNOBS, "none", *names}


def rich_run():
    """Return plan and trials of a run with a twin, proxies, a label, and one of each trouble."""
    matrix = [
        {"server": "uwsgi", "interface": "wsgi"},
        {"server": "uwsgi", "interface": "wsgi", "proxy": "caddy"},
        {"server": "gunicorn", "interface": "wsgi", "label": "x", "knobs": {"workers": 3}},
        {"server": "granian", "interface": "wsgi", "proxy": "nginx"},
        {"server": "uvicorn", "interface": "asgi"},
        {"server": "daphne", "interface": "asgi"},
    ]
    variants = add_twin(factory.variants(matrix), "uwsgi-wsgi")
    plan = factory.plan(variants=variants, blocks=3, decide={"gap": "5%"})
    trials = []
    for one in factory.noisy_trials(plan)[:-1]:
        planned = next(planned for planned in plan.trials if planned.id == one.trial_id)
        if one.variant == "daphne-asgi":
            bad = factory.failed(plan, planned, "not_ready", "504")
            trials.append(replace(bad, outcome=Outcome("not_ready", "504")))
        elif one.variant == "uvicorn-asgi" and one.block == 2:
            trials += [factory.failed(plan, planned, "server_died", "9"), factory.rerun(one)]
        elif one.variant == "uwsgi-wsgi-caddy":
            trials.append(factory.closing(plan, planned))
        elif one.block == 3:
            trials.append(replace(one, host_state=HostFigures(7, 0.2, 0.09, 0.5)))
        else:
            trials.append(one)
    return plan, trials


def ladder_run():
    plan = test_report_ladder.plan()
    return plan, test_report_ladder.trials(plan, spread=0.2)


def several_hosts():
    plans = [factory.plan(host=name) for name in ("lab1", "lab2")]
    return [(plan, factory.noisy_trials(plan, 0.05)) for plan in plans]


RUNS = {
    "mixed": lambda: [test_report.mixed()],
    "sequential": lambda: [test_report.two_profiles()],
    "ended early": lambda: [test_report.ended_early()],
    "rich": lambda: [rich_run()],
    "ladder": lambda: [ladder_run()],
    "several hosts": several_hosts,
    "one block": lambda: [(factory.plan(blocks=1), None)],
    "nothing yet": lambda: [(factory.plan(), [])],
}
FOREIGN = {"mixed": ("no", "answer", "main", "process", "within", "ended")}
FOREIGN["ended early"] = FOREIGN["mixed"]


@pytest.fixture
def report_of(tmp_path):
    def build(name):
        for host in RUNS[name]():
            run = factory.write_host(tmp_path, *host)
        return build_report(load_run(run))

    return build


@pytest.mark.usefixtures("zh")
@pytest.mark.parametrize("name", RUNS)
def test_no_english_is_left_in_a_report(report_of, name):
    report = report_of(name)
    for page in (
        render_terminal(report, width=140),
        render_markdown(report),
    ):
        assert left_in_english(page, *FOREIGN.get(name, ())) == set()


def test_english_that_is_left_would_be_found(report_of):
    report = report_of("rich")
    for page in (render_terminal(report), render_markdown(report)):
        assert {"trials", "memory", "behind", "interval", "fastest"} & left_in_english(page)
    with speaking("zh"):
        assert "fastest" in left_in_english("在 health 上，x 最快。On health x is fastest.")


@pytest.mark.usefixtures("zh")
def test_the_rich_report_says_all_it_has_to_say(report_of):
    page = "".join(render_terminal(report_of("rich")).split())
    for said in (
        "孪生：uwsgi-wsgi部署了两份",
        "代理的代价",
        "uwsgi-wsgi前加Caddy",
        "没有与granian-wsgi-nginx对应的直连变体",
        "工作进程数不同（2到3个）",
        "其中2次已由重跑补上",
        "未能就绪：504。",
        "还缺1次。请加上本次运行开始时的其他变量，继续运行：ansible-playbookbench.yml",
        "未能全部参与比较：daphne-asgi。",
    ):
        assert said in page


@pytest.mark.usefixtures("zh")
@pytest.mark.parametrize("width", [80, 132])
@pytest.mark.parametrize("name", RUNS)
def test_no_chinese_line_is_wider_than_the_terminal(report_of, width, name):
    page = render_terminal(report_of(name), width=width)
    assert max(map(cell_len, page.splitlines())) <= width
    assert "…" not in page, "nothing is cut off"


@pytest.mark.usefixtures("zh")
@pytest.mark.parametrize("name", ["mixed", "several hosts"])
def test_whole_pages(report_of, check_snapshot, name):
    report, file = report_of(name), name.replace(" ", "-")
    check_snapshot(f"report/{file}.zh.txt", render_terminal(report))
    check_snapshot(f"report/{file}.zh.md", render_markdown(report).split("### 全部试验")[0])


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Return the folder of a run that has all that a report can show."""
    return rich_run_on_disk.write(tmp_path_factory.mktemp("results"), blocks=2)


# What the host, the run and the page's makers call themselves; hostile text among it.
NAMES = {"script", "window", "src", "one", "rung", "image"}


def test_no_english_is_left_on_the_html_page(everything):
    with speaking("zh"):
        page = render_html(build_report(load_run(everything)))
    assert '<html lang="zh">' in page
    shown = re.sub(r"<(script|style)\b.*?</\1>|<code>.*?</code>", " ", page, flags=re.DOTALL)
    said = html.unescape(re.sub(r"<[^>]*>", " ", shown))
    assert left_in_english(said, *NAMES) == set()
    # So are the words that stand in an attribute, and what unfolds below a trial.
    assert 'data-failed="此图无法绘制：' in page
    more = json.loads(re.search(r'id="more">(.*?)</script>', page, re.DOTALL)[1])
    assert more["names"] == ["服务器", "负载"]
    assert left_in_english(" ".join(more["texts"]), *NAMES) == set()


def test_no_english_is_left_in_a_chart_and_each_can_be_drawn(everything):
    with speaking("zh"):
        host = build_report(load_run(everything)).hosts[0]
        charts = charts_of(host)
    titles = [words for chart in charts for words in titles_in(chart.spec)]
    said = " ; ".join([*(f"{chart.title} {chart.caption}" for chart in charts), *titles])
    assert left_in_english(said) == set()
    assert {"变体", "判定", "有效", "占用者", "空闲", "PSS 峰值"} <= set(titles)
    for kind in {chart.name.split("-")[0]: chart for chart in charts}.values():
        assert "<svg" in svg(kind)


def titles_in(spec):
    """Return the titles in a specification, and the words of its legends."""
    if isinstance(spec, list):
        for part in spec:
            yield from titles_in(part)
    elif isinstance(spec, dict):
        if isinstance(spec.get("title"), str):
            yield spec["title"]
        yield from (word for word in spec.get("domain", []) if isinstance(word, str))
        for part in spec.values():
            yield from titles_in(part)


def test_a_report_in_chinese_changes_nothing_of_the_next_in_english(report_of):
    before = render_terminal(report_of("rich"))
    with speaking("zh"):
        assert render_terminal(report_of("rich")) != before
    assert render_terminal(report_of("rich")) == before


@pytest.mark.usefixtures("zh")
def test_parsed_outputs(data):
    files = sorted(str(path) for path in (data / "wrk").iterdir())
    outputs, _problems = parse_sources(files)
    page = render_parsed_table(outputs)
    assert max(map(cell_len, page.splitlines())) <= 80
    # Titles of the texts, and what wrk complained of, are quoted.
    quoted = " ".join(
        [output.label for output in outputs]
        + [output.found.figures.failure or "" for output in outputs]
    )
    assert left_in_english(page, *WORD.findall(quoted.lower()), "running", "test") == set()
    judged = {reason.code for output in outputs for reason in output.verdict.reasons}
    assert len(judged) > 8, "a good part of the checks has spoken"


def two_runs(tmp_path, order):
    for run_id, factor in (("a", 1.0), ("b", 0.7)):
        plan = factory.plan(run_id=run_id, blocks=4, order=order, load={"connections": 100})
        if run_id == "b":
            plan = replace(plan, load=replace(plan.load, connections=200))
        trials = [
            replace(one, wrk=factory.wrk(one.wrk.rps * factor, plan.load))
            if one.variant == "granian-wsgi"
            else one
            for one in factory.noisy_trials(plan)
        ]
        yield factory.write_host(tmp_path, plan, trials[: -3 if run_id == "b" else None])


@pytest.mark.usefixtures("zh")
@pytest.mark.parametrize("order", ["interleaved", "sequential"])
def test_compared_runs(tmp_path, order):
    changes = compare_runs(*map(load_run, two_runs(tmp_path, order)))
    pages = [
        render_changes_terminal(changes),
        render_changes_markdown(changes),
        render_refusal(changes),
    ]
    for page in pages:
        assert "负载 connections：A 中为 100，B 中为 200" in page.replace("\n", "")
        # The load's own names stand as in bench_load.
        assert left_in_english(page, "connections") == set()
    assert max(map(cell_len, pages[0].splitlines())) <= 80
    assert "降低，即变差：granian-wsgi" in pages[0]
    if order == "interleaved":
        # A head as wide as its column would touch the one before.
        assert re.search(r"^变体 +A +B +B/A +95 % +其他 +95 %$", pages[0], re.MULTILINE)


# -- the command line -----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    return factory.write_host(tmp_path, factory.plan(blocks=2))


def test_the_language_of_a_command(run, capsys, monkeypatch):
    def said(*arguments):
        assert cli.main(arguments) == 0
        return capsys.readouterr().out

    monkeypatch.delenv("SERVERBENCH_LANG", raising=False)
    assert "What to do next" in said("report", str(run))
    assert "下一步" in said("report", str(run), "--lang", "zh")
    assert spoken() == "en"
    monkeypatch.setenv("SERVERBENCH_LANG", "zh")
    assert "下一步" in said("report", str(run), "--format", "markdown")
    assert "What to do next" in said("report", str(run), "--lang", "en")
    assert "看不出变化" in said("compare", str(run), str(run))
    text = str(Path(__file__).parent.parent / "data/wrk/closed-connections.txt")
    assert "可疑" in said("parse", text)
    # What a program reads is the same for everybody.
    assert '"verdict": "suspect"' in said("parse", text, "--format", "json")
    assert "The server closed its connection" in said("parse", text, "--format", "json")


def test_an_unknown_language_in_the_environment_is_named(run, capsys, monkeypatch):
    monkeypatch.setenv("SERVERBENCH_LANG", "fr")
    assert cli.main(["report", str(run)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "serverbench: SERVERBENCH_LANG: got 'fr'; accepted: en, zh"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stored_report_is_verified_in_whichever_language_it_is(run, language):
    with speaking(language):
        page = render_markdown(build_report(load_run(run)))
    (run / "report.md").write_text(page, encoding="utf-8")
    assert not [line for line in verify_run(run).problems if line.startswith("report.md")]
    (run / "report.md").write_text(page + " ", encoding="utf-8")
    assert [line for line in verify_run(run).problems if line.startswith("report.md")]
