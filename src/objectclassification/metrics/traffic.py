"""What came in and went out: snaps, connections, requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, Metric

from objectclassification.api.counts import HttpCounts
from objectclassification.hub.runner import HubRunner
from objectclassification.metrics.families import (
    PREFIX,
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    histograms,
)
from objectclassification.metrics.sources import Gone


def of_hub(hub: HubRunner, gone: Gone) -> Iterator[Metric]:
    """Snaps, shots, cameras and their connections."""
    yield from _of_snaps(hub)
    yield from _of_connections(hub, gone)


def _of_snaps(hub: HubRunner) -> Iterator[Metric]:
    counts = hub.counts
    yield counters(
        "snaps",
        "Snaps that ended: all cameras answered, some (partly), or none.",
        "outcome",
        counts.snaps,
    )
    yield gauge("snaps_open", "Snaps that have not ended.", hub.live_snaps)
    yield histogram(
        "snap_duration_seconds", "From the acceptance of a snap to its end.", counts.snap_s
    )
    yield counters(
        "shots",
        "Shots of ended snaps: answered, or why they failed.",
        "outcome",
        counts.shots,
    )
    yield histograms(
        "shot_stage_seconds",
        "From the acceptance of a snap to each stage of a shot; without the pictures that cameras "
        "take by themselves.",
        "stage",
        counts.stage_s,
    )


def _of_connections(hub: HubRunner, gone: Gone) -> Iterator[Metric]:
    counts, population = hub.counts, hub.population()
    yield gauges("cameras", "Cameras ever registered, by state.", "state", population.cameras)
    yield counters(
        "camera_disconnects",
        "Cameras whose connection ended, by what they are since: offline, or asleep on purpose.",
        "state",
        gone.cameras,
    )
    sessions, strangers = population.sessions, hub.admission.strangers
    http = max(0, len(hub.admission) - strangers - sum(sessions.values()))
    yield gauges(
        "connections",
        "Open connections by role: WebSockets, of which plain have said no hello; http; and "
        "unauthenticated, of both kinds, which have shown no good token.",
        "role",
        {**sessions, "http": http, "unauthenticated": strangers},
    )
    yield counter("connections_opened", "Good WebSocket handshakes.", counts.connections)
    yield counters(
        "connections_refused",
        "WebSocket handshakes that were refused, by HTTP status.",
        "status",
        {str(status): number for status, number in counts.refused.items()},
    )
    yield counters(
        "connections_dropped",
        "Connections that the server ended against their client's will, by reason: unread is a "
        "client that did not read, silent one that answered no ping, crowded one of too many "
        "without a token.",
        "reason",
        asdict(counts.dropped),
    )
    yield counter(
        "messages_limited",
        "WebSocket messages that were not taken because their sender sends too many.",
        counts.limited,
    )
    yield counter(
        "websocket_received_bytes", "Bytes that came in over WebSockets.", counts.received_bytes
    )
    yield counter("websocket_sent_bytes", "Bytes that went out over WebSockets.", counts.sent_bytes)


def of_http(http: HttpCounts) -> Iterator[Metric]:
    """Requests, and the pictures that came with them."""
    requests = CounterMetricFamily(
        f"{PREFIX}_http_requests", "HTTP requests that were answered.", labels=["method", "status"]
    )
    for (method, status), number in http.requests.items():
        requests.add_metric([method, str(status)], number)
    yield requests
    yield histogram(
        "http_put_duration_seconds",
        "From the headers of a PUT to its answer 200 or 201: the picture is on the disk then.",
        http.put_s,
    )
    yield counter("http_received_bytes", "Bytes of pictures that came in.", http.received_bytes)
    yield counter("http_sent_bytes", "Bytes of HTTP answers, without headers.", http.sent_bytes)
    yield counter("pictures_stored", "Pictures that were stored.", http.pictures)
