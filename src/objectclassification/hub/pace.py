"""How much one sender may send: a bucket that fills again with time."""

from __future__ import annotations

REFUSALS_PER_S, REFUSALS_AT_ONCE = 50.0, 100
"""Answers to those without a good token that a server gives at once; more have to wait."""
MISUSES_PER_S = 2.0
"""Connections of one token that may end for what they sent, over a long time."""
LONGEST_WAIT_S = 2.0
"""For an answer: whoever waits holds a place of those that there are for strangers."""


class Pace:
    """A token bucket.

    Args:
        per_s: what is taken over a long time.
        at_once: what is taken in one go after a rest.
    """

    __slots__ = ("_at", "_at_once", "_left", "_per_s")

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._left = float(at_once)
        self._at = 0.0

    def take(self, amount: float, now: float) -> float:
        """Takes an amount; returns how many seconds to wait for the next: 0 while there is room.

        Args:
            amount: it is taken in any case; what is too much is waited for, as long as a bucket
                takes to fill at the most.
            now: seconds, by a clock that only ever grows.
        """
        left = min(self._at_once, self._left + (now - self._at) * self._per_s) - amount
        self._left = max(-self._at_once, left)
        self._at = now
        return max(0.0, -self._left / self._per_s)

    def wait_s(self, amount: float, now: float) -> float:
        """How many seconds until an amount fits; takes nothing."""
        left = min(self._at_once, self._left + (now - self._at) * self._per_s)
        return max(0.0, (amount - left) / self._per_s)


class Refusals:
    """When those without a good token get their answers; guessing and asking is made slow."""

    def __init__(self) -> None:
        self._pace = Pace(REFUSALS_PER_S, REFUSALS_AT_ONCE)

    def wait_s(self, now: float) -> float:
        """How long the next answer waits."""
        return min(LONGEST_WAIT_S, self._pace.take(1, now))
