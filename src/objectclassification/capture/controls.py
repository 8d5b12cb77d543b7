"""What a device is told for one snap, and told back afterwards: its mode, exposure and focus.

The values are those of V4L2: ``exposure_time_absolute`` counts units of 100 microseconds, and the
menu ``auto_exposure`` has ``1`` for manual and ``3`` for aperture priority, which is what cameras
without an iris call automatic (linux/v4l2-controls.h).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from objectclassification.capture.opencv import cv2

MANUAL, APERTURE_PRIORITY = 1.0, 3.0
UNITS_A_MS = 10.0


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a source does differently for one snap; None: as ever.

    Attributes:
        size: width and height in pixels of the mode.
        exposure_ms: or ``auto``.
        focus: in the device's own units, or ``auto``.
        warmup: seconds, or ``auto``, that frames are thrown away after that.
    """

    size: tuple[int, int] | None = None
    exposure_ms: float | Literal["auto"] | None = None
    focus: float | Literal["auto"] | None = None
    warmup: float | Literal["auto"] | None = None


class Device(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def get(self, propId: int, /) -> float:
        """Reads a property; what the device has not is -1 or 0."""

    def set(self, propId: int, value: float, /) -> bool:
        """Sets a property; False: the device did not take it."""


class Controls:
    """One open device's controls.

    Args:
        device: open.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._before: list[tuple[int, float]] = []

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the mode it is in."""
        width = self._device.get(cv2.CAP_PROP_FRAME_WIDTH)
        return int(width), int(self._device.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def adjust(self, wanted: Adjustment) -> tuple[str, ...]:
        """Sets what is wanted, from the device's own settings on.

        Returns:
            A line on each thing that the device did not do.
        """
        self.restore()
        return tuple(self._adjust(wanted))

    def restore(self) -> None:
        """Sets everything back to how it was before :meth:`adjust`."""
        while self._before:
            self._device.set(*self._before.pop())

    def _adjust(self, wanted: Adjustment) -> Iterator[str]:
        if wanted.size is not None and wanted.size != self.size:
            self._set_size(wanted.size)
        if wanted.exposure_ms is not None:
            yield from self._set_exposure(wanted.exposure_ms)
        if wanted.focus is not None:
            yield from self._set_focus(wanted.focus)

    def _set_size(self, size: tuple[int, int]) -> None:
        """What came of it is seen by the picture."""
        width, height = self.size
        # Set back the other way round it would be a mode of both.
        self._before += [(cv2.CAP_PROP_FRAME_HEIGHT, height), (cv2.CAP_PROP_FRAME_WIDTH, width)]
        self._device.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        self._device.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])

    def _set_exposure(self, exposure_ms: float | Literal["auto"]) -> Iterator[str]:
        if exposure_ms == "auto":
            if not self._set(cv2.CAP_PROP_AUTO_EXPOSURE, APERTURE_PRIORITY):
                yield "the device has no automatic exposure"
            return
        if not self._set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL) or not self._set(
            cv2.CAP_PROP_EXPOSURE, max(1.0, round(exposure_ms * UNITS_A_MS))
        ):
            yield f"the device takes no exposure: {exposure_ms:g} ms was not set"
            return
        granted_ms = self._device.get(cv2.CAP_PROP_EXPOSURE) / UNITS_A_MS
        if abs(granted_ms - exposure_ms) > 1 / UNITS_A_MS:
            yield f"asked for an exposure of {exposure_ms:g} ms, got {granted_ms:g} ms"

    def _set_focus(self, focus: float | Literal["auto"]) -> Iterator[str]:
        if focus == "auto":
            if not self._set(cv2.CAP_PROP_AUTOFOCUS, 1.0):
                yield "the device has no autofocus"
            return
        # A device with a fixed lens has neither, one without autofocus only the second.
        self._set(cv2.CAP_PROP_AUTOFOCUS, 0.0)
        if not self._set(cv2.CAP_PROP_FOCUS, focus):
            yield f"the device takes no focus: {focus:g} was not set"
        elif (granted := self._device.get(cv2.CAP_PROP_FOCUS)) != focus:
            yield f"asked for a focus of {focus:g}, got {granted:g}"

    def _set(self, control: int, value: float) -> bool:
        before = self._device.get(control)
        if not self._device.set(control, value):
            return False
        self._before.append((control, before))
        return True
