"""What gunicorn loads; it also makes the tables and slot 1 when they are missing."""

# mypy: ignore-errors
# (Django is in an environment of its own.)

import os

import django
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.seed.api.settings")
application = get_wsgi_application()


def prepare() -> None:
    """Makes the database, once, before the workers start."""
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from benchmarks.seed.api.snippets.models import Snippet

    Snippet.objects.get_or_create(pk=1)


if __name__ == "__main__":
    prepare()
