"""A snippet as JSON."""

# mypy: ignore-errors
# (Django is in an environment of its own.)

from rest_framework import serializers

from benchmarks.seed.api.snippets.models import Snippet


class SnippetSerializer(serializers.ModelSerializer):
    """Takes the image, gives all."""

    class Meta:
        """Which fields."""

        model = Snippet
        fields = ("id", "image", "changed", "predictions")
        read_only_fields = ("changed", "predictions")
