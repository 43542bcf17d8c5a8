from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q


class Movie(models.Model):
    title = models.CharField(max_length=200)
    description = models.TextField()
    year = models.PositiveSmallIntegerField()
    rating = models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(10)])
    genre = models.CharField(max_length=50)
    director = models.CharField(max_length=100)
    # A list of names.
    actors = models.JSONField(default=list)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["title", "year"], name="movie_title_year_unique"),
            models.CheckConstraint(
                condition=Q(rating__gte=0, rating__lte=10), name="movie_rating_0_to_10"
            ),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.year})"
