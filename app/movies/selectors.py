from django.db.models import QuerySet

from movies.models import Movie


def list_movies() -> QuerySet[Movie]:
    """Return every movie in an order that is total, so that pages neither overlap nor miss one.

    By title and year, which are unique together, and not by id: the pages are then the same on
    each host, in whatever order its rows were written.
    """
    return Movie.objects.order_by("title", "year")
