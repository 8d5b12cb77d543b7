"""``snippets/1/``."""

# mypy: ignore-errors
# (Django is in an environment of its own.)

from django.urls import path

from benchmarks.seed.api.snippets.views import SnippetDetail

urlpatterns = [path("snippets/<int:pk>/", SnippetDetail.as_view())]
