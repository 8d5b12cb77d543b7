"""Turns for clients that sent more than a little: nobody waits while one of them is read out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

TURN_S = 0.0005
"""Of each turn of the loop, for all of them together."""
SHARE = 0.25
"""Of the loop's time, for all of them together while somebody waits for a snap, whose way through
the hub is some twenty turns of the loop."""


class Reader(Protocol):
    """A connection that has more to be read."""

    def work_on(self) -> None:
        """Reads a piece, and asks for another turn if there is more."""


class Turns:
    """A queue of readers; the loop does all its other work in between.

    Args:
        is_awaited: whether somebody waits for a snap now.
    """

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        self._is_awaited = is_awaited
        self._waiting: deque[Reader] = deque()
        self._is_called = False

    def add(self, reader: Reader) -> None:
        """Gives it a turn, after those that have asked before."""
        self._waiting.append(reader)
        if not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._run)

    def add_later(self, reader: Reader, wait_s: float) -> None:
        """Gives it a turn after some time."""
        asyncio.get_running_loop().call_later(wait_s, self.add, reader)

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(len(self._waiting)):
            self._waiting.popleft().work_on()
            if loop.time() >= began + TURN_S:
                break
        self._is_called = bool(self._waiting)
        if not self._waiting:
            return
        if self._is_awaited():
            loop.call_later((loop.time() - began) * (1 / SHARE - 1), self._run)
        else:
            loop.call_soon(self._run)
