"""A thousand made-up movies, the same ones on each host and with each Python."""

from __future__ import annotations

from typing import Any

MOVIE_COUNT = 1000

# fmt: off - a name a line would bury the code under its data
_ADJECTIVES = (
    "Amber",
    "Broken",
    "Crimson",
    "Distant",
    "Electric",
    "Forgotten",
    "Golden",
    "Hidden",
    "Iron",
    "Jade",
    "Last",
    "Midnight",
    "Northern",
    "Open",
    "Paper",
    "Quiet",
    "Restless",
    "Silver",
    "Twisted",
    "Velvet",
)
_NOUNS = (
    "Archive",
    "Bridge",
    "Canyon",
    "Daughter",
    "Empire",
    "Fountain",
    "Garden",
    "Harbour",
    "Island",
    "Journey",
    "Kingdom",
    "Lantern",
    "Mirror",
    "Nightfall",
    "Orchard",
    "Promise",
    "Question",
    "River",
    "Summit",
    "Theatre",
    "Umbrella",
    "Voyage",
    "Winter",
    "Yesterday",
    "Zodiac",
)
_GENRES = (
    "Action",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Horror",
    "Mystery",
    "Romance",
    "Thriller",
)
_GIVEN_NAMES = (
    "Ada",
    "Bruno",
    "Chen",
    "Dalia",
    "Emeka",
    "Freya",
    "Goran",
    "Hana",
    "Ivo",
    "Jun",
    "Kofi",
    "Lena",
    "Mira",
)
_FAMILY_NAMES = (
    "Abara",
    "Berg",
    "Costa",
    "Dimitrov",
    "Eriksen",
    "Fontaine",
    "Gupta",
    "Haas",
    "Ito",
    "Jensen",
    "Kowal",
)
# fmt: on
_PLACES = (
    "a harbour town",
    "a night train",
    "the high desert",
    "an old cinema",
    "a mountain village",
)
_EVENTS = (
    "a letter that arrives thirty years late",
    "a stranger who knows every name",
    "the theft of a worthless painting",
    "an election nobody wanted to win",
    "a storm that does not pass",
    "the last broadcast of a radio station",
    "a promise made by somebody else",
)


def make_movies() -> list[dict[str, Any]]:
    """Return the field values of `MOVIE_COUNT` movies, unique in title and year."""
    return [_make_movie(number) for number in range(MOVIE_COUNT)]


def _make_movie(number: int) -> dict[str, Any]:
    # Plain arithmetic: what `random` makes of a seed is not promised across Python versions.
    # The lists' lengths differ, so that the same pairings do not come round again and again.
    titles = len(_ADJECTIVES) * len(_NOUNS)
    adjective = _ADJECTIVES[number % len(_ADJECTIVES)]
    noun = _NOUNS[number // len(_ADJECTIVES) % len(_NOUNS)]
    director = _make_name(number * 7)
    actors = [_make_name(number * 5 + 31 * part) for part in range(1, 4)]
    place = _PLACES[number % len(_PLACES)]
    event = _EVENTS[number % len(_EVENTS)]
    return {
        "title": f"The {adjective} {noun}",
        "description": f"In {place}, {actors[0]} is drawn into {event}.",
        # Each title comes twice: the original, and a remake decades later.
        "year": 1940 + number % 43 + 40 * (number // titles),
        "rating": (10 + number * 37 % 90) / 10,
        "genre": _GENRES[number * 3 % len(_GENRES)],
        "director": director,
        "actors": actors,
    }


def _make_name(number: int) -> str:
    return (
        f"{_GIVEN_NAMES[number % len(_GIVEN_NAMES)]} {_FAMILY_NAMES[number % len(_FAMILY_NAMES)]}"
    )
