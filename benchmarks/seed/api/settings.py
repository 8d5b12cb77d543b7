"""Django's settings, with no middleware and no apps that a picture does not need.

``SEED_DATA`` is the folder of the database and the files. ``SEED_DURABLE=1`` makes an upload
durable before it is answered; ``SEED_WAL=1`` gives the database its write-ahead log on top;
``SEED_CLASSIFY=1`` classifies in the request.
"""

import os
from pathlib import Path

DATA = Path(os.environ["SEED_DATA"])
DURABLE = os.environ.get("SEED_DURABLE") == "1"
WAL = os.environ.get("SEED_WAL") == "1"
CLASSIFY = os.environ.get("SEED_CLASSIFY") == "1"

SECRET_KEY = "of a benchmark"  # noqa: S105 - it protects nothing
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["rest_framework", "benchmarks.seed.api.snippets"]
ROOT_URLCONF = "benchmarks.seed.api.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MEDIA_ROOT = DATA / "media"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
_FILES = "benchmarks.seed.api.snippets.storage.DurableStorage"
STORAGES = {
    "default": {"BACKEND": _FILES if DURABLE else "django.core.files.storage.FileSystemStorage"},
}
_PRAGMAS = ("PRAGMA synchronous=FULL;" if DURABLE else "") + (
    "PRAGMA journal_mode=WAL;" if WAL else ""
)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "CONN_MAX_AGE": 60,
        "OPTIONS": {"init_command": _PRAGMAS, "timeout": 20},
    }
}
