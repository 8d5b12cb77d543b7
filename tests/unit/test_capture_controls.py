"""What a device is told for one snap, and told back.

A device that takes exposure and focus is played: no virtual one has these controls (the kernel's
``vivid`` has neither, which ``make test-device`` uses to see them refused).
"""

from __future__ import annotations

from typing import Literal

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.capture.controls import Adjustment, Controls

MODES = ((640, 480), (1280, 720), (1920, 1080))
WIDTH, HEIGHT = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
AUTO, EXPOSURE = cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_EXPOSURE
AUTOFOCUS, FOCUS = cv2.CAP_PROP_AUTOFOCUS, cv2.CAP_PROP_FOCUS


class Webcam:
    """Takes what such devices take: their modes, and values within bounds."""

    def __init__(self, *has: int) -> None:
        self.values: dict[int, float] = {WIDTH: 1280, HEIGHT: 720}
        bounds = {AUTO: 3.0, EXPOSURE: 156.0, AUTOFOCUS: 1.0, FOCUS: 30.0}
        self.values |= {control: bounds[control] for control in has}
        self._width = 0.0

    def get(self, control: int, /) -> float:
        return self.values.get(control, -1.0)

    def set(self, control: int, value: float, /) -> bool:
        if control == WIDTH:
            self._width = value
            return True
        if control == HEIGHT:  # as in OpenCV: the mode is changed when both are told
            fits = [mode for mode in MODES if mode[0] <= self._width and mode[1] <= value]
            self.values[WIDTH], self.values[HEIGHT] = max(fits, default=MODES[0])
            return True
        if control not in self.values:
            return False
        self.values[control] = min(value, 5000.0) if control == EXPOSURE else min(value, 250.0)
        return True


ALL = (AUTO, EXPOSURE, AUTOFOCUS, FOCUS)
AUTOMATIC: st.SearchStrategy[Literal["auto"]] = st.just("auto")


def test_what_is_asked_is_set_and_set_back() -> None:
    device = Webcam(*ALL)
    before = dict(device.values)
    controls = Controls(device)
    wanted = Adjustment(size=(1920, 1080), exposure_ms=10, focus=120)
    assert controls.adjust(wanted) == ()
    assert (device.values[AUTO], device.values[EXPOSURE]) == (1, 100)
    assert (device.values[AUTOFOCUS], device.values[FOCUS]) == (0, 120)
    assert controls.size == (1920, 1080)
    controls.restore()
    assert device.values == before
    controls.restore()  # once is enough
    assert device.values == before


def test_what_is_cut_or_refused_is_told() -> None:
    assert Controls(Webcam(*ALL)).adjust(Adjustment(exposure_ms=900, focus=400)) == (
        "asked for an exposure of 900 ms, got 500 ms",
        "asked for a focus of 400, got 250",
    )
    assert Controls(Webcam()).adjust(Adjustment(exposure_ms=10, focus=3)) == (
        "the device takes no exposure: 10 ms was not set",
        "the device takes no focus: 3 was not set",
    )
    assert Controls(Webcam()).adjust(Adjustment(exposure_ms="auto", focus="auto")) == (
        "the device has no automatic exposure",
        "the device has no autofocus",
    )
    assert Controls(Webcam(FOCUS)).adjust(Adjustment(focus=3)) == (), "a lens without autofocus"


def test_automatic_is_asked_for_and_undone() -> None:
    device = Webcam(*ALL)
    device.values |= {AUTO: 1.0, AUTOFOCUS: 0.0}
    controls = Controls(device)
    assert controls.adjust(Adjustment(exposure_ms="auto", focus="auto")) == ()
    assert (device.values[AUTO], device.values[AUTOFOCUS]) == (3, 1)
    controls.restore()
    assert (device.values[AUTO], device.values[AUTOFOCUS]) == (1, 0)


@pytest.mark.parametrize("has", [(), ALL, (FOCUS,), (AUTO, EXPOSURE)])
@given(data=st.data())
def test_any_snaps_end_where_they_began(has: tuple[int, ...], data: st.DataObject) -> None:
    device = Webcam(*has)
    before = dict(device.values)
    controls = Controls(device)
    for _ in range(data.draw(st.integers(1, 4))):
        controls.adjust(
            Adjustment(
                size=data.draw(st.none() | st.sampled_from(MODES)),
                exposure_ms=data.draw(st.none() | AUTOMATIC | st.floats(0.01, 10_000)),
                focus=data.draw(st.none() | AUTOMATIC | st.floats(0, 1000)),
            )
        )
    controls.restore()
    assert device.values == before
