"""The moment at which all cameras are to expose; no I/O."""

from __future__ import annotations

from datetime import datetime

from objectclassification.errors import BadMessage
from objectclassification.messages.clients import SnapRequest
from objectclassification.messages.fields import MAX_AHEAD_S
from objectclassification.receipts import rfc3339


def moment_of(request: SnapRequest, now: float) -> float | None:
    """Returns when a snap's pictures are to be exposed; None: as soon as they can.

    A moment that has passed is returned as it is: the request may be one that was sent again.

    Args:
        request: says ``at`` or ``in_s``, or neither.
        now: seconds since the epoch by the server's clock, as is what is returned.

    Raises:
        BadMessage: it says both, or what it says is no time, or too far away.
    """
    if request.in_s is not None and request.at is not None:
        raise BadMessage("give at or in_s, not both", re=request.id)
    if request.in_s is not None:
        return now + request.in_s
    if request.at is None:
        return None
    at = _read(request.at, request.id) if isinstance(request.at, str) else request.at
    if at > now + MAX_AHEAD_S:
        raise BadMessage(
            f"at is {at - now:,.0f} s away by the server's clock ({rfc3339(now)}): at most "
            f"{MAX_AHEAD_S:,.0f} s, a day, are waited for",
            re=request.id,
        )
    return at


def _read(text: str, about: str | None) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadMessage(
            f"{text!r} is no moment: write it like 2026-11-25T12:00:00Z, with Z or an offset such "
            "as +01:00, or in seconds since the epoch",
            re=about,
        )
    return moment.timestamp()
