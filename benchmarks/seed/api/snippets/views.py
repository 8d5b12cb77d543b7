"""Read and replace a snippet."""

# mypy: ignore-errors
# (Django is in an environment of its own.)

from django.conf import settings
from rest_framework import generics

from benchmarks.seed.api.snippets.models import Snippet
from benchmarks.seed.api.snippets.serializers import SnippetSerializer

if settings.CLASSIFY:
    from pathlib import Path

    from objectclassification.classification.classifier import Classifier

    classifier = Classifier()


class SnippetDetail(generics.RetrieveUpdateAPIView):
    """``GET`` and ``PUT``."""

    queryset = Snippet.objects.all()
    serializer_class = SnippetSerializer

    def perform_update(self, serializer):
        """Saves, and classifies if it is told to."""
        snippet = serializer.save()
        if settings.CLASSIFY:
            found = classifier.classify(Path(snippet.image.path))
            snippet.predictions = [
                {"label": one.label, "score": one.score} for one in found.predictions
            ]
            snippet.save()
