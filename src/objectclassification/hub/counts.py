"""What the hub counts: plain integers that only grow, for whoever watches it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

REFUSALS = (400, 401, 403, 404, 429, 503)
"""The statuses that a handshake is refused with; each is counted from 0 on, so that rates work."""


@dataclass(slots=True)
class Dropped:
    """Connections that the hub ended against their client's will; a new field is a new label.

    Attributes:
        unread: it did not read what it was sent.
        silent: it answered no ping; a camera that lost its network is one of these.
        handshake: it did not come to the end of its opening handshake, or of its closing one.
        flood: it sent too much, or too much that was wrong.
        protocol: it broke RFC 6455 or its message limits.
        revoked: its token is not good any more.
        failed: a bug of ours; the log has it.
    """

    unread: int = 0
    silent: int = 0
    handshake: int = 0
    flood: int = 0
    protocol: int = 0
    revoked: int = 0
    failed: int = 0


def _none_refused() -> Counter[int]:
    return Counter(dict.fromkeys(REFUSALS, 0))


@dataclass(slots=True)
class Counts:
    """Everything that one hub counts, since it started.

    Attributes:
        connections: good handshakes.
        received_bytes: from clients over WebSocket, handshakes included.
        sent_bytes: to clients over WebSocket, handshakes included.
        limited: messages that were not taken because their sender sends too many.
        refused: handshakes, by the HTTP status that they got.
        dropped: connections, by why.
    """

    connections: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    limited: int = 0
    refused: Counter[int] = field(default_factory=_none_refused)
    dropped: Dropped = field(default_factory=Dropped)
