"""What the HTTP API counts: plain numbers that only grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from objectclassification.histogram import SECONDS, Histogram

METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "POST", "PUT"})
"""Whatever else somebody sends is counted as ``other``: anyone may send anything."""


@dataclass(slots=True)
class HttpCounts:
    """Requests of one server, since it started.

    Attributes:
        requests: by method and status.
        pictures: that were stored.
        received_bytes: of pictures, as they came in.
        sent_bytes: of answers, without their headers.
        put_s: of PUTs that stored a picture or knew it already, until the answer.
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    pictures: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    put_s: Histogram = field(default_factory=partial(Histogram, SECONDS))

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self.requests[method if method in METHODS else "other", status] += 1
        if method == "PUT" and status in (200, 201):
            self.put_s.add(seconds)
