"""``snippets/1/``."""

from django.urls import path

from benchmarks.seed.api.snippets.views import SnippetDetail

urlpatterns = [path("snippets/<int:pk>/", SnippetDetail.as_view())]
