from ninja import Schema


class MovieOut(Schema):
    id: int
    title: str
    description: str
    year: int
    rating: float
    genre: str
    director: str
    actors: list[str]
