"""docs/variables.md is what the argument specs and the kit's own values make of it."""

from dataclasses import fields
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from collect.model import Endpoint, Expectation, Load, Timing
from collect.variants import MatrixEntry

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_current(script):
    page = (ROOT / "docs/variables.md").read_text(encoding="utf-8")
    assert page == script.page(), "docs/variables.md is not current: run `make docs`"


def test_every_variable_of_group_vars_is_documented_or_derived(script):
    documented = set(script.playbook_options()) - set(script._FROM_OUTSIDE)
    assert set(script.group_vars()) == documented | set(script.DERIVED)


def test_what_comes_from_outside_is_really_read(script):
    for name in script._FROM_OUTSIDE:
        places = [
            *ROOT.glob("playbooks/group_vars/all/*.yml"),
            *ROOT.glob("inventory/lab/**/*.yml"),
        ]
        assert [path for path in places if f"{{{{ {name} | default(" in path.read_text()], name


def test_each_default_is_of_the_type_that_the_page_gives(script):
    specs = script.playbook_options()
    for name, (value, _) in script.group_vars().items():
        if name in script.DERIVED or value is None or "{{" in str(value):
            continue
        option = {key: specs[name][key] for key in specs[name] if key != "description"}
        if value == "":
            option.pop("choices", None)
        found = ArgumentSpecValidator({name: _plain(option)}).validate({name: value})
        assert not found.error_messages, name


def test_a_wrong_type_would_be_seen():
    validator = ArgumentSpecValidator({"x": {"type": "list", "elements": "int"}})
    assert validator.validate({"x": ["a"]}).error_messages


def _plain(option):
    """Without what Ansible's own validator does not know."""
    known = {key: value for key, value in option.items() if key != "description"}
    if "options" in known:
        known["options"] = {name: _plain(sub) for name, sub in known["options"].items()}
    return known


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (("bench_load",), Load),
        (("bench_timing",), Timing),
        (("bench_matrix",), MatrixEntry),
        (("app_endpoints",), Endpoint),
        (("app_endpoints", "expect"), Expectation),
    ],
)
def test_the_keys_inside_are_those_that_the_plan_takes(script, path, model):
    options = script.playbook_options()
    for name in path:
        options = options[name]["options"]
    assert set(options) == {field.name for field in fields(model)}


@pytest.mark.parametrize(("name", "model"), [("bench_load", Load), ("bench_timing", Timing)])
def test_what_is_left_out_has_the_default_that_the_page_gives(script, name, model):
    value, _ = script.group_vars()[name]
    assert model(**value) == model()


def test_a_variable_without_a_group_is_one_clear_line(script, monkeypatch):
    monkeypatch.setattr(script, "GROUPS", script.GROUPS[1:])
    with pytest.raises(SystemExit, match=r"bench_blocks.*give each a group"):
        script.page()


def test_no_variable_stands_twice(script):
    names = [name for group in script.GROUPS for name in group.names]
    assert len(names) == len(set(names))


def test_a_bar_in_a_value_does_not_end_its_cell(script):
    for line in script.page().splitlines():
        if line.startswith("| `"):
            assert line.replace("\\|", "").count("|") == 5, line
