"""Prometheus metrics of one process, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from objectclassification import __version__
from objectclassification.bus import (
    ClassificationFailed,
    Message,
    PictureClassified,
    PictureUploaded,
)
from objectclassification.messages import Event

_PREFIX = "objectclassification"


class Metrics:
    """Counts what the bus and the hub say.

    Args:
        connected: how many cameras are connected now.
    """

    def __init__(self, connected: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        info = Gauge(f"{_PREFIX}_info", "The running version", ["version"], registry=self._registry)
        info.labels(__version__).set(1)
        cameras = Gauge(f"{_PREFIX}_cameras_online", "Cameras now", registry=self._registry)
        cameras.set_function(connected)
        self._snaps = Counter(f"{_PREFIX}_snaps", "Snaps that ended", registry=self._registry)
        self._shots = Counter(
            f"{_PREFIX}_shots", "Shots of ended snaps", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_snap_seconds",
            "From acceptance to done",
            registry=self._registry,
            buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
        )
        self._pictures = Counter(
            f"{_PREFIX}_pictures", "Pictures stored", ["outcome"], registry=self._registry
        )
        self._deleted = Counter(
            f"{_PREFIX}_pictures_deleted", "Pictures that went", registry=self._registry
        )
        self._deleted_bytes = Counter(
            f"{_PREFIX}_deleted_bytes", "Bytes of pictures that went", registry=self._registry
        )

    def hear(self, message: Message) -> None:
        """Counts a message of the bus; subscribe it."""
        if isinstance(message, PictureClassified):
            self._pictures.labels("classified").inc()
        elif isinstance(message, ClassificationFailed):
            self._pictures.labels("classify_failed").inc()
        elif isinstance(message, PictureUploaded):
            self._pictures.labels("uploaded").inc()

    def deleted(self, pictures: int, size_bytes: int) -> None:
        """Counts what retention deleted."""
        self._deleted.inc(pictures)
        self._deleted_bytes.inc(size_bytes)

    def watch(self, event: Event) -> None:
        """Counts an event of the hub; subscribe it."""
        if event.topic == "snaps" and event.name == "done":
            self._snaps.inc()
            self._seconds.observe(event.data["elapsed_ms"] / 1000)
            for outcome in ("answered", "failed", "missing"):
                self._shots.labels(outcome).inc(event.data[outcome])

    def page(self) -> bytes:
        """Returns the text that Prometheus reads."""
        return generate_latest(self._registry)
