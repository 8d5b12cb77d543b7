"""A flow of JPEG pictures out of something that can be read, with the time each one arrived."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from objectclassification.capture.mjpeg import PictureSplitter
from objectclassification.capture.source import Stamp

WAITED_S = 0.001
"""A read that took this long had to wait: what it brought has just arrived."""
CREDIBLE_AGE_S = 60.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole picture, as it was sent."""

    data: bytes
    stamp: Stamp


class JpegStream:
    """Reads pictures, and does not believe that what lay in a buffer is new.

    A picture that was read without ever waiting lay in a buffer for an unknown time; it is taken to
    have arrived when there was last a wait. So a program that was suspended never passes off the
    backlog as the present.

    Args:
        read: returns the next bytes, none at the end; raises a CaptureError.
        latency_s: from exposure to arrival.
        sequence: of the last picture before this stream.
    """

    def __init__(self, read: Callable[[], bytes], latency_s: float, sequence: int = 0) -> None:
        self._read = read
        self._latency_s = latency_s
        self._splitter = PictureSplitter()
        self._waited_at = time.monotonic()
        self._sequence = sequence

    @property
    def cut_off(self) -> bool:
        """Whether the stream ended inside a picture."""
        return self._splitter.pending

    def next(self) -> Arrived | None:
        """Returns the newest whole picture that has arrived; None when the stream has ended.

        Raises:
            NotAPicture: it holds something else.
            CaptureError: from ``read``.
        """
        while True:
            before = time.monotonic()
            data = self._read()
            after = time.monotonic()
            if after - before >= WAITED_S:
                self._waited_at = after
            if not data:
                return None
            pictures = list(self._splitter.feed(data))
            if pictures:
                self._sequence += len(pictures)
                return Arrived(pictures[-1], self._stamp())

    def _stamp(self) -> Stamp:
        told = self._splitter.taken_at()
        if told is not None and 0 <= time.monotonic() - told <= CREDIBLE_AGE_S:
            return Stamp(told, 0.0, "proven", self._sequence)
        return Stamp(
            self._waited_at - self._latency_s, self._latency_s, "estimated", self._sequence
        )
