from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from movies.catalogue import make_movies
from movies.models import Movie


@dataclass(frozen=True, slots=True)
class SeedOutcome:
    """How many rows it took to make the table hold the catalogue."""

    created: int
    updated: int
    deleted: int

    @property
    def changed(self) -> bool:
        return bool(self.created or self.updated or self.deleted)


@transaction.atomic
def seed_movies() -> SeedOutcome:
    """Make the movie table hold exactly the catalogue; rows that are right stay untouched."""
    missing = {(movie["title"], movie["year"]): movie for movie in make_movies()}
    outdated: list[Movie] = []
    surplus: list[int] = []
    for row in Movie.objects.all():
        wanted = missing.pop((row.title, row.year), None)
        if wanted is None:
            surplus.append(row.pk)
        elif _assign(row, wanted):
            outdated.append(row)
    Movie.objects.filter(pk__in=surplus).delete()
    Movie.objects.bulk_update(
        outdated, ["description", "rating", "genre", "director", "actors"], batch_size=100
    )
    Movie.objects.bulk_create([Movie(**values) for values in missing.values()], batch_size=100)
    return SeedOutcome(created=len(missing), updated=len(outdated), deleted=len(surplus))


def _assign(row: Movie, wanted: dict[str, Any]) -> bool:
    """Give the row its wanted values; True if one of them was different."""
    differing = {name: value for name, value in wanted.items() if getattr(row, name) != value}
    for name, value in differing.items():
        setattr(row, name, value)
    return bool(differing)
