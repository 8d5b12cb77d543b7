"""How long to wait before the next try, so that a fleet never comes back in step."""

from __future__ import annotations

import math
import random

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
"""So that all are back 10 s after a hub is, however long it was away; its cameras knock over 4 s of
these, and each sends no more than some 2 MB a day to nobody."""
RESTART_PAUSES_S = (0.5, 1.5)
"""Between two tries at a hub that said it restarts: about as long as it takes to, so that a second
after it is back all are, and in any second no more than its cameras knock."""
RESTART_S = 20.0
"""How long a restart is waited for like that, before the pauses grow."""
_MOST_DOUBLINGS = 10


class Backoff:
    """The pauses of one client between its tries at the hub."""

    __slots__ = ("_failures", "_restarts_until")

    def __init__(self) -> None:
        self._failures = 0
        self._restarts_until = -math.inf

    def welcomed(self) -> None:
        """It is connected: the next outage begins anew."""
        self._failures = 0

    def restarts(self, now: float) -> None:
        """The hub said that it restarts; ``now`` is by the clock of :meth:`next_pause_s`."""
        self._restarts_until = now + RESTART_S

    def next_pause_s(self, now: float) -> float:
        """Returns the seconds until the next try: longer each time, unless the hub restarts."""
        if now < self._restarts_until:
            return random.uniform(*RESTART_PAUSES_S)  # noqa: S311 - spreads clients; no secret
        pause_s = growing_pause_s(self._failures)
        self._failures += 1
        return pause_s


def growing_pause_s(failures: int) -> float:
    """Returns a pause that doubles with each failure, somewhere in the upper half of it."""
    longest_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, _MOST_DOUBLINGS))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients; no secret


def spread_wait_s(wait_s: float) -> float:
    """Returns when to come again after ``Retry-After``: up to twice what was asked for.

    The server tells everybody whom it refuses the same time; they must not all come then.
    """
    return wait_s * random.uniform(1.0, 2.0)  # noqa: S311 - spreads clients; no secret
