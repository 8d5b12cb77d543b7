"""When the pictures of a large snap come: spread over a time, instead of all in the same moment.

A server takes 16 at once, and refuses the rest for a while. A fleet that is asked together would
knock together, be refused together, and come again together.
"""

from __future__ import annotations

from typing import Final

from objectclassification.receipts import RANK, Until

AT_ONCE: Final = 16
"""So many pictures need no spreading: a server takes them at the same time (``max_uploads``)."""
PER_S: Final = 150.0
"""Pictures that come in a second. Two cores store some 400 and classify 80 (docs/benchmarks.md), so
that those who come by chance at the same moment find a place, and others' pictures get through."""
SHARE: Final = 0.5
"""Of a deadline that waits for the pictures: what is left of it is for the last of them."""


def spread_s(cameras: int, until: Until, deadline_s: float) -> float:
    """Returns over how many seconds the pictures of a snap are to be spread; 0 for a small one.

    Args:
        cameras: how many were asked.
        until: how far the snap wants to go.
        deadline_s: what is left of its time.
    """
    seconds = max(0, cameras - AT_ONCE) / PER_S
    if RANK[until] >= RANK["uploaded"]:
        seconds = min(seconds, SHARE * deadline_s)
    return round(seconds, 3)
