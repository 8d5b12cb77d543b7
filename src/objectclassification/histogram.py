"""A histogram of plain numbers: cheap enough for every shot of a large fleet."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for what somebody waits for: a warm shot takes 0.1 s, a deadline is rarely over 60 s."""
SHORT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds for steps of it: a commit, an inference."""


class Histogram:
    """How often a value was at most each bound.

    One thread adds; any other may read, and sees an addition by halves at worst.

    Args:
        bounds: upper bounds, ascending; the one above all of them is added.

    Attributes:
        bounds: as given.
        counts: of the values above the bound before and at most this one; the last is above all.
        sum: of all values.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
