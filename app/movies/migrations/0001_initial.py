import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = ()

    operations = (
        migrations.CreateModel(
            name="Movie",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                ("description", models.TextField()),
                ("year", models.PositiveSmallIntegerField()),
                (
                    "rating",
                    models.FloatField(
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(10),
                        ]
                    ),
                ),
                ("genre", models.CharField(max_length=50)),
                ("director", models.CharField(max_length=100)),
                ("actors", models.JSONField(default=list)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("title", "year"), name="movie_title_year_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rating__gte", 0), ("rating__lte", 10)),
                        name="movie_rating_0_to_10",
                    ),
                ],
            },
        ),
    )
