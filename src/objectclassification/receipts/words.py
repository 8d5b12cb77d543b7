"""The words of receipts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, get_args

State = Literal["waiting", "requested", "delivered", "captured", "uploaded", "classified", "failed"]
Until = Literal["captured", "uploaded", "classified"]
Verdict = Literal["ok", "ng", "unsure"]
Freshness = Literal["proven", "estimated", "replay"]
ShotOrigin = Literal["controller", "camera"]
"""What a camera knows of it: whether it was asked, or began by itself."""
Origin = Literal["controller", "camera", "schedule"]
Policy = Literal["latest", "all"]
"""Whether a waiting snap gives way to a newer one of the same sender."""
Failure = Literal[
    "offline",
    "timeout",
    "stale",
    "dark",
    "overexposed",
    "covered",
    "blurred",
    "frozen",
    "capture_failed",
    "upload_failed",
    "classify_failed",
    "cancelled",
    "expired",
    "superseded",
    "not_awaited",
]

FAILURES: frozenset[str] = frozenset(get_args(Failure))
FAULTS: frozenset[str] = frozenset({"dark", "overexposed", "covered", "blurred", "frozen"})
"""What the check of a picture finds."""
CAMERA_FAILURES: frozenset[str] = FAULTS | {"stale", "capture_failed", "upload_failed"}
"""What a camera can know of; the others are for the server to say."""
MISSING: frozenset[str] = frozenset({"offline", "timeout", "expired", "not_awaited"})
RANK: dict[str, int] = {
    "waiting": -1,
    "requested": 0,
    "delivered": 1,
    "captured": 2,
    "uploaded": 3,
    "classified": 4,
    "failed": 5,
}
"""States only ever rise; a lower one that comes late fills in its time and nothing else."""


def rfc3339(at: float) -> str:
    """Returns seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
