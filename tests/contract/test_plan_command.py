"""`serverbench plan -i` on real inventories; whoever tried to reach a host would need ssh first."""

import json
import re

import pytest

from collect import cli
from collect.model import load_plan


@pytest.fixture(autouse=True)
def no_ssh(monkeypatch):
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", "/nonexistent")


@pytest.fixture
def inventory(tmp_path):
    """Two hosts, of which one has a variable of its own, beside variables of the group."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "bench.yml").write_text("bench_blocks: 2\nbench_endpoints: [health]")
    (tmp_path / "hosts.yml").write_text(
        "bench: {hosts: {web1: {}, web2: {bench_matrix: [{server: granian, interface: wsgi}]}}}"
    )
    return str(tmp_path)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = cli.main(["plan", *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_plan_sees_the_variables_as_ansible_does(run, inventory):
    status, out, err = run("-i", inventory)
    assert (status, err) == (0, "")
    first, second = out.split("web2: ")
    assert first.startswith("web1: 2 blocks")
    assert "granian-wsgi" in second
    assert "uvicorn-asgi" in first
    # The matrix has one line and its twin.
    assert len(re.findall(r"^ +\d+  b\d\d-granian", second, re.MULTILINE)) == 4
    assert "2 are assumed" in second


def test_plan_takes_limit_extra_vars_cores_and_an_output_file(run, inventory, tmp_path):
    output = tmp_path / "plan.json"
    extra = tmp_path / "extra.json"
    extra.write_text(json.dumps({"bench_seed": 7}))
    status, out, err = run(
        *("-i", inventory, "--limit", "web2", "--cores", "3", "--output", str(output)),
        *("-e", "bench_blocks=4", "-e", f"@{extra}"),
    )
    assert (status, err) == (0, "")
    assert "assumed" not in out
    plan = load_plan(output)
    assert (plan.host, plan.blocks, plan.seed) == ("web2", 4, 7)
    assert {variant.workers for variant in plan.variants} == {3}


def test_plan_of_two_hosts_does_not_fit_one_file(run, inventory, tmp_path):
    status, _, err = run("-i", inventory, "--output", str(tmp_path / "plan.json"))
    assert status == 1
    assert "--output: takes the plan of one host, and these are web1, web2" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-e", "bench_blocks=x"], "bench_blocks: got 'x'; accepted: a whole number"),
        (["--limit", "nobody"], "no hosts to target"),
        (["-e", "@/no/such/file"], "/no/such/file: no such file"),
    ],
)
def test_plan_refuses_in_one_line(run, inventory, arguments, words):
    status, out, err = run("-i", inventory, *arguments)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("serverbench: ")
    assert words in err


def test_plan_names_an_inventory_that_is_not_there_or_has_no_host(run, tmp_path):
    assert "no such inventory" in run("-i", str(tmp_path / "none"))[2]
    (tmp_path / "hosts.yml").write_text("other: {hosts: {web1: {}}}")
    assert "has no host in its group bench" in run("-i", str(tmp_path))[2]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("hosts.yml", "bench: {hosts: {web1: 5}}", "Invalid data from file, expected dictionary"),
        ("hosts", "[bench\nweb1\n", "not enough values to unpack"),
    ],
)
def test_plan_says_why_no_plugin_reads_an_inventory(run, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content)
    status, _, err = run("-i", str(path))
    assert status == 1
    assert err.startswith(f"serverbench: {path}: {words}")
    assert "accepted: an inventory" in err


def test_plan_blames_a_broken_file_of_variables_and_not_the_inventory(run, inventory, tmp_path):
    broken = tmp_path / "mine.yml"
    broken.write_text("bench_blocks: [3\n")
    status, _, err = run("-i", inventory, "-e", f"@{broken}")
    assert status == 1
    assert err.startswith(f"serverbench: {broken}: line 2, column 1: did not find expected")


def test_plan_wants_an_inventory_or_a_file_and_not_both(run, inventory, capsys):
    for arguments in ([], ["-i", inventory, "variables.json"]):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2
        assert "give either -i INVENTORY or VARIABLES.json" in capsys.readouterr().err
