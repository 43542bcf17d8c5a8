from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Router
from ninja.pagination import paginate

from movies import selectors
from movies.models import Movie
from movies.schemas import MovieOut

router = Router(tags=["movies"])


@router.get("/movie", response=list[MovieOut], summary="Movies by title and year, a page at a time")
@paginate
def list_movies(request: HttpRequest) -> QuerySet[Movie]:  # noqa: ARG001 - ninja passes it
    return selectors.list_movies()


@router.get(
    "/movie/async", response=list[MovieOut], summary="The same page, through Django's async ORM"
)
@paginate
async def list_movies_async(request: HttpRequest) -> QuerySet[Movie]:  # noqa: ARG001
    return selectors.list_movies()
