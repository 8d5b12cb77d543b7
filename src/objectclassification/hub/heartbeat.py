"""Finds the clients that are not there any more, and those that never were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from objectclassification.hub.connection import HANDSHAKE_TIMEOUT_S, Connection
from objectclassification.hub.counts import Counts
from objectclassification.hub.frames import ping_frame

QUIET_BEATS = 1.75
"""A client that is silent for longer is gone. Its answer to the last ping may have come just before
that, so this is less than the two heartbeats within which it is found."""
SLICES = 20
"""Pings go out in this many portions a heartbeat, so that a snap never waits for all of them."""

_log = structlog.get_logger(__name__)


class Heartbeat:
    """Pings every connection once an interval; one timer for all of them.

    Args:
        connections: gives those of the moment, each time it is asked.
        counts: where those that were dropped are counted.
        interval_s: seconds from ping to ping.
    """

    def __init__(
        self, connections: Iterable[Connection], counts: Counts, interval_s: float
    ) -> None:
        self._connections = connections
        self._counts = counts
        self._interval_s = interval_s
        self._slice = 0
        self._beat = 0
        self._pings: dict[int, tuple[bytes, float]] = {}  # by slice: the last one, and when
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins, on the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval_s / SLICES, self._sweep)

    def took_s(self, connection: Connection, payload: bytes) -> float | None:
        """Returns how long the answer to a ping was under way; None if it answers none of ours."""
        sent, at = self._pings.get(connection.number % SLICES, (b"", 0.0))
        return asyncio.get_running_loop().time() - at if payload == sent else None

    def stop(self) -> None:
        """Ends."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """Pings one slice, and drops the silent, the half-shaken and the half-closed."""
        now = asyncio.get_running_loop().time()
        self._beat += 1
        payload = self._beat.to_bytes(8, "big")
        self._pings[self._slice] = payload, now
        ping = ping_frame(payload)
        for connection in self._connections:
            quiet_s = now - connection.since
            if connection.is_open:
                if quiet_s > QUIET_BEATS * self._interval_s:
                    self._counts.dropped.silent += 1
                    _log.info("dropped: silent", peer=connection.peer, quiet_s=round(quiet_s, 1))
                    connection.abort()
                elif connection.number % SLICES == self._slice:
                    connection.send(ping)
            elif quiet_s > HANDSHAKE_TIMEOUT_S:
                self._counts.dropped.handshake += 1
                connection.abort()
        self._slice = (self._slice + 1) % SLICES
        self.start()
