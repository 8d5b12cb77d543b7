"""What the writing thread counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from objectclassification.histogram import SHORT_SECONDS, Histogram

WRITES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(slots=True)
class CommitCounts:
    """Commits of one database, since it was opened.

    Attributes:
        seconds: from the first write of a group to its commit on the disk.
        writes: how many shared one commit.
        failed: commits that the database refused.
    """

    seconds: Histogram = field(default_factory=partial(Histogram, SHORT_SECONDS))
    writes: Histogram = field(default_factory=partial(Histogram, WRITES))
    failed: int = 0

    def committed(self, writes: int, seconds: float) -> None:
        """Counts a commit."""
        self.seconds.add(seconds)
        self.writes.add(writes)
