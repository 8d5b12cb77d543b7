"""Network streams through OpenCV's FFmpeg: RTSP, RTMP, MPEG-TS and whatever else it demuxes."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, cast

from objectclassification.capture.opencv import cv2
from objectclassification.capture.source import STREAM_LATENCY_S, Frame, SourceSettings, Stamp
from objectclassification.errors import CaptureError, SourceStalled, SourceUnavailable

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels

DRAIN_FRAMES = 4
DRAIN_PACE = 0.8
DRAIN_LIMIT_S = 3.0
"""A stream is drained once its last frames came at no more than 1/0.8 of its own pace; measured,
twenty grabs can come out of a buffer in 10 ms after opening. One that never slows down is used
after three seconds all the same: its time stamps are wrong, not its frames."""


class StreamSource:
    """A stream that is decoded all the time, and turned into colours only when asked."""

    live = True
    warmup_s = 0.0

    def __init__(self, address: str, shown: str, settings: SourceSettings) -> None:
        self.notes: tuple[str, ...] = ()
        self.latency_s = STREAM_LATENCY_S if settings.latency_s is None else settings.latency_s
        self._address = address
        self._shown = shown
        self._settings = settings
        self._cap = cv2.VideoCapture()
        self._delay = Delay()
        self._stamp = Stamp(0.0, 0.0, "estimated", 0)

    def open(self) -> None:
        """Connects, and takes off what was buffered meanwhile."""
        self._cap.open(
            self._address,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                int(self._settings.open_timeout_s * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                int(self._settings.read_timeout_s * 1000),
                # Each decoding thread more holds one frame back: one thread, the newest frame.
                cv2.CAP_PROP_N_THREADS,
                1,
            ],
        )
        if not self._cap.isOpened():
            raise SourceUnavailable(
                f"{self._shown} cannot be opened: no answer, not a stream, or not this user and "
                "password",
                source=self._shown,
            )
        self._drain()

    def _drain(self) -> None:
        started = time.monotonic()
        recent: deque[tuple[float, float]] = deque(maxlen=DRAIN_FRAMES)
        interval_s = 1 / (self._cap.get(cv2.CAP_PROP_FPS) or 25.0)
        while True:
            self.grab()
            recent.append((time.monotonic(), self._cap.get(cv2.CAP_PROP_POS_MSEC) / 1000))
            took_s = recent[-1][0] - recent[0][0]
            lasts_s = max(recent[-1][1] - recent[0][1], interval_s * (len(recent) - 1))
            if len(recent) == DRAIN_FRAMES and took_s >= DRAIN_PACE * lasts_s:
                return
            if recent[-1][0] - started > DRAIN_LIMIT_S:
                return

    def grab(self) -> Stamp:
        """Waits for the next frame; believes it is as old as it is late, and the stated latency."""
        if not self._cap.grab():
            raise SourceStalled(
                f"{self._shown} sends no more frames (nothing for "
                f"{self._settings.read_timeout_s:g} s, or it ended)",
                source=self._shown,
            )
        arrived_at = time.monotonic()
        late_s = self._delay.of(self._cap.get(cv2.CAP_PROP_POS_MSEC) / 1000, arrived_at)
        self._stamp = Stamp(
            arrived_at - late_s - self.latency_s,
            self.latency_s,
            "estimated",
            self._stamp.sequence + 1,
        )
        return self._stamp

    def retrieve(self) -> Frame:
        """Turns the grabbed frame into colours."""
        ok, image = self._cap.retrieve()
        if not ok:
            raise CaptureError(f"{self._shown} sent a broken frame", source=self._shown)
        return Frame(self._stamp, image=cast("Pixels", image))

    def close(self) -> None:
        """Hangs up."""
        self._cap.release()


class Delay:
    """How much later than the promptest frame a frame came, by the stream's own time stamps.

    After a hiccup of the network or of this machine, frames wait in buffers and then come at once.
    Their arrival says nothing; that their time stamps lag behind does. The two clocks differ, so
    the promptest arrival is forgotten slowly, and given up when frames stay late: then the time
    stamps are wrong.
    """

    FORGET = 0.001  # of stream time; crystal clocks differ by less than 0.0001
    PATIENCE_S = 3.0
    LATE_S = 1.0

    def __init__(self) -> None:
        self._promptest: float | None = None
        self._position_s = 0.0
        self._late_since: float | None = None

    def of(self, position_s: float, arrived_at: float) -> float:
        """Returns seconds of delay of the frame with this time stamp; zero when it has none."""
        offset = arrived_at - position_s
        step_s = position_s - self._position_s
        self._position_s = position_s
        if self._promptest is None or step_s <= 0:
            self._promptest, self._late_since = offset, None
            return 0.0
        self._promptest = min(self._promptest + self.FORGET * step_s, offset)
        late_s = offset - self._promptest
        if late_s < self.LATE_S:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = arrived_at
        elif arrived_at - self._late_since > self.PATIENCE_S:
            self._promptest, self._late_since, late_s = offset, None, 0.0
        return late_s
