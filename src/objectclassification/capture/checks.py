"""Whether a picture shows anything: black, white, covered, blurred or frozen.

All of it is seen on a small grey thumbnail, in some two milliseconds. In doubt a picture is good: a
false alarm costs a picture that was fine, a fault that passes costs a look at it. The thresholds
are chosen on photographs and on what real faults make of them, and
``tests/unit/test_capture_checks.py`` counts both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from objectclassification.capture import picture
from objectclassification.capture.opencv import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from objectclassification.capture.source import Frame, Pixels

    Levels = NDArray[np.float32]

Fault = Literal["dark", "overexposed", "covered", "blurred", "frozen"]

LONG_SIDE = 160
"""Pixels of the thumbnail: small enough that a sensor's noise is averaged away."""
DARK_MEAN = 10.0
DARK_SPREAD = 5.0
"""Grey levels of 255. A covered sensor gives its noise and nothing else; a night scene with one
lamp has a larger spread. Both bounds must hold, so that a picture with anything on it passes."""
WHITE_LEVEL = 250
WHITE_SHARE = 0.95
WHITE_SPREAD = 30.0
"""Clipped nearly everywhere, and what is left has no ink on it: a page of text has a larger
spread."""
COVERED_SPREAD = 10.0
COVERED_DETAIL = 0.17
"""Something lies on the lens: nothing but a soft gradient. Measured: at most 0.12 levels between
neighbours under a cover, at least 0.23 in a fog that leaves 15 % of the contrast."""
BLURRED = 0.65
BLURRED_SPREAD = 10.0
"""Share of the differences of neighbours that another blur leaves as they are: the blur effect of
Crété and others, "The blur effect: perception and estimation with a new no-reference perceptual
blur metric", 2007, here of the sharpest tile. Measured: at most 0.54 on photographs, in noise and
in fog; at least 0.66 with each point a spot of 3 % of the picture's width. Where there is little
to see anyway, nothing can be said."""
FROZEN_S = 1.0
"""Two snaps at the same moment get the same frame; a stream may give one twice."""
_SMOOTHING = 0.8
"""Standard deviation in thumbnail pixels: against the noise that is left."""
_BLUR_PIXELS = 9
_TILES = 4
_LEAST_IN_A_TILE = 0.3
"""Levels between neighbours; a tile with less, or with a quarter of the fullest, says nothing."""
_LEAST_SIDE = 16
"""A smaller picture has too few differences to be called blurred."""
_DIGEST_ROWS = 16
_LARGE = 8 * LONG_SIDE

WORDS: dict[Fault, str] = {
    "dark": "shows black: the lens is covered, or there is no light",
    "overexposed": "shows white: too much light, or too long an exposure",
    "covered": "shows nothing but a blank surface: something is in front of the lens",
    "blurred": "is out of focus everywhere: the lens, or what is on it",
    "frozen": "gave the picture of the last snap again: it is frozen",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What a thumbnail shows.

    Attributes:
        mean: grey level, 0 to 255.
        spread: standard deviation of the grey levels.
        white: share of pixels at or above :data:`WHITE_LEVEL`, 0 to 1.
        detail: mean difference of smoothed neighbours, in grey levels.
        blur: of the sharpest part that has something on it, 0 (sharp) to 1.
    """

    mean: float
    spread: float
    white: float
    detail: float
    blur: float


def thumbnail(frame: Frame, address: str) -> Pixels:
    """Makes the small grey picture that is looked at.

    Args:
        frame: pixels or an encoded picture.
        address: of its source, for the error.

    Raises:
        CaptureError: it is broken, or not a picture.
    """
    if frame.image is not None:
        return small_grey(frame.image)
    return small_grey(picture.thumbnail_of(frame.encoded or b"", address, LONG_SIDE))


def small_grey(image: Pixels) -> Pixels:
    """Shrinks a picture of any size, grey or BGR, to :data:`LONG_SIDE`; never enlarges it."""
    longest = max(image.shape[:2])
    if longest > LONG_SIDE:
        height, width = image.shape[:2]
        size = (
            max(1, round(width * LONG_SIDE / longest)),
            max(1, round(height * LONG_SIDE / longest)),
        )
        if longest >= _LARGE:
            image = image[::2]  # half of it says as much, in half the time
        image = cast("Pixels", cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    if image.ndim == 2:
        return image
    return cast("Pixels", cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def look_at(grey: Pixels) -> Look:
    """Measures a small grey picture: height x width, uint8."""
    mean, spread = cv2.meanStdDev(grey)
    white = float(np.count_nonzero(grey >= WHITE_LEVEL)) / grey.size
    smooth = cast("Levels", cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTHING))
    across, down = _across(smooth), _down(smooth)
    detail = (_mean(across) + _mean(down)) / 2
    blur = 0.0
    if min(grey.shape) >= _LEAST_SIDE:
        blurred_across = _across(cast("Levels", cv2.blur(smooth, (_BLUR_PIXELS, 1))))
        blurred_down = _down(cast("Levels", cv2.blur(smooth, (1, _BLUR_PIXELS))))
        blur = max(_left(across, blurred_across), _left(down, blurred_down))
    return Look(float(mean[0, 0]), float(spread[0, 0]), white, detail, blur)


def fault_of(look: Look) -> Fault | None:
    """Names the fault of a picture; None: it has none, or in doubt."""
    if look.mean <= DARK_MEAN and look.spread <= DARK_SPREAD:
        return "dark"
    if look.white >= WHITE_SHARE and look.spread <= WHITE_SPREAD:
        return "overexposed"
    if look.spread <= COVERED_SPREAD and look.detail <= COVERED_DETAIL:
        return "covered"
    if look.spread >= BLURRED_SPREAD and look.blur >= BLURRED:
        return "blurred"
    return None


def sharpness(frame: Frame, address: str) -> float:
    """How sharp a frame is, beside others of the same scene: the variance of its Laplacian.

    Args:
        frame: pixels or an encoded picture.
        address: of its source, for the error.

    Raises:
        CaptureError: it is broken, or not a picture.
    """
    image = frame.image
    if image is None:
        image = picture.decode(frame.encoded or b"", address)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0] ** 2)


def digest_of(frame: Frame) -> bytes:
    """What two frames have in common only if they are the same one: no sensor is without noise."""
    if frame.encoded is not None:
        return hashlib.blake2b(frame.encoded, digest_size=16).digest()
    rows = b"" if frame.image is None else frame.image[::_DIGEST_ROWS].tobytes()
    return hashlib.blake2b(rows, digest_size=16).digest()


def _across(grey: Levels) -> Levels:
    """Absolute differences of neighbours."""
    return np.abs(np.diff(grey, axis=1))


def _down(grey: Levels) -> Levels:
    return np.abs(np.diff(grey, axis=0))


def _mean(differences: Levels) -> float:
    return float(differences.mean()) if differences.size else 0.0


def _left(differences: Levels, blurred: Levels) -> float:
    """Share of the differences that a blur leaves, in the tile where it leaves least.

    What is in front may be sharp, and the rest not: that is a good picture.
    """
    size = (_TILES, _TILES)
    there = cv2.resize(differences, size, interpolation=cv2.INTER_AREA)
    lost = np.maximum(differences - blurred, 0)
    gone = cv2.resize(lost, size, interpolation=cv2.INTER_AREA)
    telling = there >= max(_LEAST_IN_A_TILE, 0.25 * float(there.max()))
    if not telling.any():
        return 0.0
    return float((1 - gone[telling] / there[telling]).min())
