"""The page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from objectclassification import __version__
from objectclassification.messages import Event
from objectclassification.metrics.families import gauges, histogram
from objectclassification.metrics.sources import Gone, Sources
from objectclassification.metrics.stock import Amounts
from objectclassification.metrics.traffic import of_http, of_hub
from objectclassification.metrics.work import of_children, of_database, of_engines, of_stock


class Metrics:
    """Writes the page.

    Args:
        sources: whose numbers.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._gone = Gone()

    def watch(self, event: Event) -> None:
        """Counts the cameras that go; subscribe it to the hub."""
        if event.topic == "cameras" and event.name == "disconnected":
            # One that is back already, over another connection, was replaced and not lost.
            if event.data["state"] in self._gone.cameras:
                self._gone.cameras[event.data["state"]] += 1

    def deleted(self, pictures: int, size_bytes: int) -> None:
        """Counts what retention deleted."""
        self._gone.pictures += pictures
        self._gone.bytes += size_bytes

    async def page(self) -> bytes:
        """Returns the text that Prometheus reads; without what the database does not answer."""
        amounts = await self._sources.stock.amounts()
        registry = CollectorRegistry()
        registry.register(_Families(self._sources, self._gone, amounts))
        ProcessCollector(registry=registry)
        return generate_latest(registry)


class _Families(Collector):
    """All families of one page, in the order in which a snap travels."""

    def __init__(self, sources: Sources, gone: Gone, amounts: Amounts) -> None:
        self._sources = sources
        self._gone = gone
        self._amounts = amounts

    def collect(self) -> Iterator[Metric]:
        yield gauges("build_info", "1, with the running version.", "version", {__version__: 1})
        yield from of_hub(self._sources.hub, self._gone)
        yield from of_http(self._sources.http)
        yield from of_database(self._sources.database, self._amounts)
        yield from of_children(self._sources.pool, self._sources.work)
        yield from of_engines(self._sources.engines)
        yield from of_stock(self._sources, self._gone, self._amounts)
        yield histogram(
            "event_loop_lag_seconds",
            "How late the event loop was, looked at twice a second. Hub, HTTP and job loop share "
            "it: while it is late, everything waits.",
            self._sources.lag.seconds,
        )
