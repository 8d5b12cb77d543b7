"""Whose turn it is at a source: many share its own settings, one at a time has its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from objectclassification.errors import SourceStalled


class Turns:
    """Lets snaps through in the order in which they came; any thread may call it.

    Args:
        shown: the source's address without its secrets.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._sharing = 0
        self._alone = False

    @contextmanager
    def shared(self, until: float) -> Iterator[None]:
        """Waits for a turn beside others, until ``time.monotonic()`` seconds.

        Raises:
            SourceStalled: it did not come.
        """
        self._wait(until, alone=False)
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, until: float) -> Iterator[None]:
        """Waits for a turn without anybody else, until ``time.monotonic()`` seconds.

        Raises:
            SourceStalled: it did not come.
        """
        self._wait(until, alone=True)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def _wait(self, until: float, *, alone: bool) -> None:
        me = object()
        with self._changed:
            self._queue.append(me)
            try:
                # In order: else many who share would never let one in who does not.
                while self._queue[0] is not me or self._alone or (alone and self._sharing):
                    left_s = until - time.monotonic()
                    if left_s <= 0 or not self._changed.wait(min(left_s, threading.TIMEOUT_MAX)):
                        raise SourceStalled(
                            f"{self._shown}: snaps with settings of their own came before this one",
                            source=self._shown,
                        )
                self._alone = alone
                self._sharing += not alone
            finally:
                self._queue.remove(me)
                self._changed.notify_all()
