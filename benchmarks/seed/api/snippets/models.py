"""A snippet: one camera's picture."""

# mypy: ignore-errors
# (Django is in an environment of its own.)

from django.db import models


class Snippet(models.Model):
    """The newest picture of a camera, and what is on it."""

    image = models.ImageField(upload_to="snippets")
    changed = models.DateTimeField(auto_now=True)
    predictions = models.JSONField(default=list)
