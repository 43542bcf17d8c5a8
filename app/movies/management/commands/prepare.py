from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Bring the state to this release: migrate, seed_movies and collectstatic, in one process, "
        "since each of three would load Django anew."
    )
    # They check it themselves.
    requires_system_checks = ()

    def handle(self, **options: object) -> None:  # noqa: ARG002 - Django's signature
        call_command("migrate", interactive=False, stdout=self.stdout)
        call_command("seed_movies", stdout=self.stdout)
        call_command("collectstatic", interactive=False, stdout=self.stdout)
