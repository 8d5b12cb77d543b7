"""What the hub counts: plain integers that only grow, for whoever watches it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from objectclassification.histogram import SECONDS, Histogram
from objectclassification.messages import answers_needed
from objectclassification.receipts import FAILURES, Receipt

STAGES: Final = ("delivered", "captured", "uploaded", "classified")
REFUSALS: Final = (400, 401, 403, 404, 429, 503)
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
        crowded: it had shown no token yet, and there were too many like it.
        failed: a bug of ours; the log has it.
    """

    unread: int = 0
    silent: int = 0
    handshake: int = 0
    flood: int = 0
    protocol: int = 0
    revoked: int = 0
    crowded: int = 0
    failed: int = 0


def _zeros(*keys: str) -> Counter[str]:
    return Counter(dict.fromkeys(keys, 0))


def _stages() -> dict[str, Histogram]:
    return {stage: Histogram(SECONDS) for stage in STAGES}


@dataclass(slots=True)
class Counts:
    """Everything that one hub counts, since it started.

    Attributes:
        connections: good handshakes.
        received_bytes: from clients over WebSocket, handshakes included.
        sent_bytes: to clients over WebSocket, handshakes included.
        limited: how often reading a client was paused because it sends too much.
        refused: handshakes, by the HTTP status that they got.
        dropped: connections, by why.
        snaps: those that ended: all shots (or the quorum) ``answered``, some (``partly``), or
            ``none``.
        shots: of ended snaps: ``answered``, or the code of their failure.
        snap_s: from acceptance to ``done``, of the snaps that wait for no moment and for nobody.
        stage_s: from acceptance to each stage of a shot, of those of them that a controller asked
            for: a camera that was away brings its own pictures whenever it can.
    """

    connections: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    limited: int = 0
    refused: Counter[int] = field(default_factory=lambda: Counter(dict.fromkeys(REFUSALS, 0)))
    dropped: Dropped = field(default_factory=Dropped)
    snaps: Counter[str] = field(default_factory=partial(_zeros, "answered", "partly", "none"))
    shots: Counter[str] = field(default_factory=partial(_zeros, "answered", *sorted(FAILURES)))
    snap_s: Histogram = field(default_factory=partial(Histogram, SECONDS))
    stage_s: dict[str, Histogram] = field(default_factory=_stages)

    def ended(self, receipt: Receipt) -> None:
        """Counts a snap that is done, with all its shots."""
        answered = receipt.answered
        needed = answers_needed(receipt.quorum, len(receipt.shots))
        outcome = "answered" if answered >= needed else "partly"
        self.snaps[outcome if answered else "none"] += 1
        # Else most of it was waiting, for the moment or for a camera.
        at_once = receipt.at is None and receipt.ttl_s is None
        if receipt.elapsed_ms is not None and at_once:
            self.snap_s.add(receipt.elapsed_ms / 1000)
        asked = receipt.origin != "camera" and at_once
        for shot in receipt.shots:
            self.shots["answered" if shot.error is None else shot.error.code] += 1
            if asked:
                for stage, ms in shot.elapsed_ms.items():
                    if stage in self.stage_s:
                        self.stage_s[stage].add(ms / 1000)
