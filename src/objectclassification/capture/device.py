"""Cameras of this machine that OpenCV can read: USB (UVC), laptop and capture-card cameras."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from objectclassification.capture.address import device_node
from objectclassification.capture.controls import Adjustment, Controls
from objectclassification.capture.opencv import cv2
from objectclassification.capture.source import (
    STREAM_LATENCY_S,
    Frame,
    SourceSettings,
    Stamp,
)
from objectclassification.errors import CaptureError, SourceBusy, SourceStalled, SourceUnavailable

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels

DEFAULT_SIZE = (1280, 720)
SEED_WARMUP_S = 2.0
"""The seed's delay: a camera needs about two seconds until its exposure has settled."""
CREDIBLE_AGE_S = 10.0
"""A driver's time stamp outside of this is not of the monotonic clock; then arrival has to do."""


class DeviceSource:
    """A video device, through V4L2 on Linux and OpenCV's own choice elsewhere."""

    live = True
    warmup_s = SEED_WARMUP_S

    def __init__(self, address: str, shown: str, settings: SourceSettings) -> None:
        self.notes: tuple[str, ...] = ()
        self.latency_s = STREAM_LATENCY_S if settings.latency_s is None else settings.latency_s
        self._address = address
        self._shown = f"camera {shown}"
        self._settings = settings
        self._cap = cv2.VideoCapture()
        self._controls = Controls(self._cap)
        self.mode = settings.size or DEFAULT_SIZE
        self._stamp = Stamp(0.0, 0.0, "estimated", 0)
        self._interval_s = 1 / 30
        self._driver_s = math.inf

    def open(self) -> None:
        """Opens the device: MJPG first, then the size, then reads back what was granted."""
        target = int(self._address) if self._address.isdecimal() else self._address
        path: Path | None = None
        if sys.platform == "linux":
            path = device_node(self._address)
            self._check(path)
        self._cap.open(target, cv2.CAP_V4L2 if path else cv2.CAP_ANY)
        if not self._cap.isOpened():
            if path and (holder := holder_of(path)):
                raise SourceBusy(f"{self._shown} is in use by {holder}", source=self._shown)
            raise SourceUnavailable(
                f"{self._shown} cannot be opened: it is not a capture device, or another user's "
                "program holds it ('objectclassification devices' lists what there is)",
                source=self._shown,
            )
        width, height = self._settings.size or DEFAULT_SIZE
        # Raw YUYV at 720p fills a USB 2 bus at ten frames a second, so the format comes first.
        self._cap.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._cap.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._cap.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self.mode = granted = self._controls.size
        other = f"asked for {width}x{height}, got {granted[0]}x{granted[1]}"
        self.notes = () if granted == (width, height) else (other,)
        self._interval_s = 1 / (self._cap.get(cv2.CAP_PROP_FPS) or 30.0)
        self._driver_s = math.inf

    def _check(self, path: Path) -> None:
        """Says what is wrong in the words of the system, which OpenCV keeps to itself."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        except OSError as exc:
            if exc.errno == errno.EBUSY:
                raise SourceBusy(
                    f"{self._shown}: another program holds {path}", source=self._shown
                ) from exc
            if exc.errno == errno.ENOENT:
                hint = "'objectclassification devices' lists what there is"
            elif exc.errno in (errno.EACCES, errno.EPERM):
                hint = "put this user into the group 'video'"
            else:
                hint = os.strerror(exc.errno or 0)
            why = "there is no" if exc.errno == errno.ENOENT else "cannot open"
            raise SourceUnavailable(
                f"{self._shown}: {why} {path} ({hint})", source=self._shown
            ) from exc

    def grab(self) -> Stamp:
        """Waits for the next frame; its driver's time stamp proves when it was exposed."""
        if not self._cap.grab():
            raise SourceStalled(
                f"{self._shown} gives no more frames (unplugged, or stalled)", source=self._shown
            )
        arrived_at, before_s = time.monotonic(), self._driver_s
        self._driver_s = self._cap.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._stamp = stamp_of(
            driver_s=self._driver_s,
            arrived_at=arrived_at,
            # In little light a camera exposes for longer than the rate it promised.
            interval_s=max(self._interval_s, self._driver_s - before_s),
            latency_s=self.latency_s,
            sequence=self._stamp.sequence + 1,
        )
        return self._stamp

    def retrieve(self) -> Frame:
        """Decodes the grabbed frame."""
        ok, image = self._cap.retrieve()
        if not ok:
            raise CaptureError(f"{self._shown} gave a broken frame", source=self._shown)
        return Frame(self._stamp, image=cast("Pixels", image))

    def adjust(self, wanted: Adjustment | None) -> tuple[str, ...]:
        """Sets mode, exposure and focus for one snap, or back to how they were."""
        if wanted is not None:
            return self._controls.adjust(wanted)
        self._controls.restore()
        return ()

    def close(self) -> None:
        """Lets go of the device, which keeps what it was told: so it is told back first."""
        self._controls.restore()
        self._cap.release()


def holder_of(path: Path) -> str | None:
    """Names another program of this user that has a device open; None if none is found.

    A V4L2 device can be opened by many and read by one, and OpenCV does not say which it was.
    """
    device = path.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(link.resolve() == device for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # another user's, or gone meanwhile
            continue
    return None


def stamp_of(
    *, driver_s: float, arrived_at: float, interval_s: float, latency_s: float, sequence: int
) -> Stamp:
    """Believes a driver's time stamp if it is of the monotonic clock, as V4L2 drivers give it.

    Some drivers stamp a frame when its first bytes come (UVC), others when its last ones are due,
    which may be a moment ahead. What such a frame shows began up to a frame interval earlier.
    """
    if -interval_s <= arrived_at - driver_s <= CREDIBLE_AGE_S:
        return Stamp(driver_s - interval_s, interval_s, "proven", sequence)
    return Stamp(arrived_at - latency_s, latency_s, "estimated", sequence)
