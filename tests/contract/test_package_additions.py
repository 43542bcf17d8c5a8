"""Which packages teardown takes back; apt's own part of the decision is tested in the lab."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class KnownHost:
    """Knows what is installed and recommended, and what would be orphaned by whom."""

    def __init__(self, installed, orphaned_by):
        self.recommends = installed
        self.orphaned_by = orphaned_by

    def installed(self):
        return self.recommends

    def orphans(self, automatic):
        found = self.orphaned_by.get("", set())
        return found.union(*(self.orphaned_by.get(name, set()) for name in automatic))


@pytest.fixture(scope="module")
def module():
    path = ROOT / "roles/teardown/library/package_additions.py"
    spec = importlib.util.spec_from_file_location("package_additions", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "packages").write_text("base\nlibshared:amd64\n")
    (tmp_path / "brought").write_text("wrk\ncaddy\nwrk\n")
    (tmp_path / "users").write_text("root\nredis\n")
    return tmp_path


def test_what_was_asked_for_goes_with_what_it_needed(module, notes):
    host = KnownHost({"base": "", "wrk": "", "libwrk:amd64": ""}, {"wrk": {"wrk", "libwrk"}})
    assert module.additions(host, notes) == {"wrk", "libwrk"}


def test_what_apt_could_do_without_before_is_not_ours(module, notes):
    host = KnownHost({"wrk": "", "stray": ""}, {"": {"stray"}, "wrk": {"wrk"}})
    assert module.additions(host, notes) == {"wrk"}


def test_what_was_here_before_stays(module, notes):
    host = KnownHost({"wrk": "", "libshared": ""}, {"wrk": {"wrk", "libshared"}})
    assert module.additions(host, notes) == {"wrk"}
    (notes / "brought").write_text("base\n")
    assert module.additions(host, notes) == set()


def test_what_somebody_installed_themselves_stays_though_the_kit_knows_it(module, notes):
    host = KnownHost(
        {"wrk": "", "postgresql": "", "nginx": ""},
        {"wrk": {"wrk"}, "postgresql": {"postgresql"}, "nginx": {"nginx"}},
    )
    assert module.additions(host, notes) == {"wrk"}


@pytest.mark.parametrize(
    ("recommender", "goes"),
    [
        # Installed by somebody meanwhile: they would miss it.
        ("theirs", set()),
        # Here all along without it.
        ("base", {"wrk"}),
    ],
)
def test_a_recommendation_holds_where_it_came_after_us(module, notes, recommender, goes):
    wishes = {"base": "", "wrk": "", recommender: "other (>= 2), wrk (>= 4) | hey"}
    host = KnownHost(wishes, {"wrk": {"wrk"}})
    assert module.additions(host, notes) == goes


def test_accounts_go_with_their_package(module, notes):
    accounts = {"redis": "redis-server", "postgres": "postgresql-common", "caddy": "caddy"}
    assert module.accounts_left(notes, accounts, {"caddy"}) == ["postgres"]
