"""The movie table: its seed, its rules and its pages."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from movies.catalogue import make_movies
from movies.models import Movie
from movies.services import SeedOutcome, seed_movies

PATH = "/api/demo/movie/movie"
# Changes only when somebody changes the workload, and with it what results compare to.
CATALOGUE_SHA256 = "7ab2052e7b256d7b703b0fbff537d57b6aaff85759d50fb3702a37607d790744"


def seed() -> str:
    output = io.StringIO()
    call_command("seed_movies", stdout=output)
    return output.getvalue().strip()


def verbs(statements: CaptureQueriesContext) -> list[str]:
    return [statement["sql"].split()[0] for statement in statements]


def test_the_catalogue_is_the_same_everywhere():
    text = json.dumps(make_movies(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == CATALOGUE_SHA256


def test_the_catalogue_holds_a_thousand_valid_movies():
    movies = make_movies()
    assert len({(movie["title"], movie["year"]) for movie in movies}) == len(movies) == 1000
    for movie in movies:
        Movie(**movie).full_clean(validate_unique=False, validate_constraints=False)


def test_the_table_holds_the_catalogue():
    fields = ["title", "description", "year", "rating", "genre", "director", "actors"]
    assert list(Movie.objects.order_by("id").values(*fields)) == make_movies()


def test_seeding_again_writes_nothing():
    with CaptureQueriesContext(connection) as statements:
        assert seed() == "unchanged: 0 created, 0 updated, 0 deleted"
    assert verbs(statements) == ["BEGIN", "SELECT", "COMMIT"]


@pytest.mark.usefixtures("rollback")
def test_seeding_mends_what_differs():
    first, second, third = Movie.objects.order_by("id")[:3]
    first.delete()
    Movie.objects.filter(pk=second.pk).update(rating=0, actors=[])
    Movie.objects.create(title="Not in the catalogue", year=2000, rating=5)
    assert seed() == "changed: 1 created, 1 updated, 1 deleted"
    assert seed_movies() == SeedOutcome(created=0, updated=0, deleted=0)
    assert Movie.objects.filter(pk=third.pk).exists()


@pytest.mark.usefixtures("rollback")
def test_title_and_year_are_unique_together():
    movie = Movie.objects.first()
    with pytest.raises(IntegrityError, match="UNIQUE"), transaction.atomic():
        Movie.objects.create(title=movie.title, year=movie.year, rating=5)
    Movie.objects.create(title=movie.title, year=movie.year + 1, rating=5)


@pytest.mark.usefixtures("rollback")
def test_a_rating_beyond_ten_is_refused():
    with pytest.raises(IntegrityError, match="movie_rating_0_to_10"), transaction.atomic():
        Movie.objects.create(title="Eleven", year=2000, rating=11)


def test_a_page_has_a_hundred_movies_of_a_thousand():
    body = Client().get(PATH).json()
    assert body.keys() == {"items", "count"}
    assert body["count"] == 1000
    assert len(body["items"]) == 100
    assert body["items"][0].keys() == {
        "id", "title", "description", "year", "rating", "genre", "director", "actors",
    }  # fmt: skip
    keys = [(item["title"], item["year"]) for item in body["items"]]
    assert keys == sorted(keys)


def test_pages_neither_overlap_nor_miss_a_movie():
    seen = []
    for offset in range(0, 1000, 300):
        body = Client().get(PATH, {"limit": 300, "offset": offset}).json()
        assert body["count"] == 1000
        seen += [item["id"] for item in body["items"]]
    assert len(seen) == len(set(seen)) == 1000


def test_a_page_beyond_the_end_is_empty():
    body = Client().get(PATH, {"offset": 1000}).json()
    assert body == {"items": [], "count": 1000}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=-1"])
def test_limits_out_of_range_are_refused(query):
    assert Client().get(f"{PATH}?{query}").status_code == 422


def test_a_page_costs_two_queries():
    with CaptureQueriesContext(connection) as statements:
        Client().get(PATH)
    assert verbs(statements) == ["SELECT", "SELECT"]
