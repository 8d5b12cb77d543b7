"""How late the event loop is: the one thing that hub, HTTP and job loop share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from objectclassification.histogram import SHORT_SECONDS, Histogram

PERIOD_S: Final = 0.5
"""Between two looks; two wake-ups a second cost nothing that can be measured."""
RECENT_S: Final = 10.0


class LoopLag:
    """Asks to be called every :data:`PERIOD_S`, and notes how much later it was.

    Attributes:
        seconds: every lag so far.
    """

    def __init__(self) -> None:
        self.seconds = Histogram(SHORT_SECONDS)
        self._recent: deque[float] = deque(maxlen=round(RECENT_S / PERIOD_S))

    @property
    def worst_s(self) -> float:
        """The worst of the last :data:`RECENT_S`."""
        return max(self._recent, default=0.0)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measures the running loop inside the block."""
        self._wait(asyncio.get_running_loop())
        try:
            yield
        finally:
            self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + PERIOD_S
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        lag_s = max(0.0, loop.time() - due)
        self.seconds.add(lag_s)
        self._recent.append(lag_s)
        self._wait(loop)
