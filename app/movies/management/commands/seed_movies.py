from django.core.management.base import BaseCommand

from movies.catalogue import MOVIE_COUNT
from movies.services import seed_movies


class Command(BaseCommand):
    help = (
        f"Make the movie table hold exactly the {MOVIE_COUNT} movies of the catalogue. "
        "Prints 'changed: …' or 'unchanged: …'."
    )

    def handle(self, **options: object) -> None:  # noqa: ARG002 - Django's signature
        outcome = seed_movies()
        self.stdout.write(
            f"{'changed' if outcome.changed else 'unchanged'}: {outcome.created} created, "
            f"{outcome.updated} updated, {outcome.deleted} deleted"
        )
