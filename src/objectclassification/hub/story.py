"""What the log says of snaps and cameras: one line when something begins, one when it ends."""

from __future__ import annotations

import structlog

from objectclassification.messages import Event
from objectclassification.receipts import Receipt

MOST_NAMED = 8
"""A line names so many cameras at most; the receipt has them all."""

_log = structlog.get_logger(__name__)


def tell_event(event: Event) -> None:
    """Logs what begins: a snap that is accepted, a camera that comes or goes."""
    data = event.data
    if event.topic == "snaps" and event.name == "accepted":
        _log.info(
            "snap accepted",
            snap=data["snap"],
            to=list(data["to"][:MOST_NAMED]),
            cameras=len(data["cameras"]),
            origin=data["origin"],
        )
    elif event.topic == "cameras":
        _log.info(f"camera {event.name}", camera=data["camera"], state=data["state"])


def tell_end(receipt: Receipt) -> None:
    """Logs the end of a snap, and why which cameras did not answer."""
    wrong = [shot for shot in receipt.shots if shot.error is not None]
    named = {shot.camera: shot.error.code for shot in wrong[:MOST_NAMED] if shot.error is not None}
    _log.info(
        "snap done",
        snap=receipt.snap,
        answered=receipt.answered,
        failed=receipt.failed,
        missing=receipt.missing,
        elapsed_ms=receipt.elapsed_ms,
        **({"why": named} if named else {}),
    )
