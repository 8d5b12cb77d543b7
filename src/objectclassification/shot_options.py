"""How a picture is to be taken: what a snap's options say to a camera.

Plain data at the bottom of the house: the hub checks it, the camera program reads it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from objectclassification.errors import BadMessage

Check = Literal["off", "warn", "retry"]
"""What becomes of a picture with a fault: it is sent as it is; sent with a warning; taken again
once, and failed if that has a fault, too."""
Keep = Literal["best", "all"]
"""Which frames of a burst are sent: the sharpest one, or each as a picture of its own."""
PictureFormat = Literal["jpeg", "png", "webp"]

MOST_BURST = 20
"""Frames: what a camera of 30 frames a second sees in 0.7 s; all of 20 MB each are under 1 GiB."""
MOST_SIDE = 16_384
"""Pixels; more than any sensor's side, and WebP holds 16,383."""
MOST_WARMUP_S = 60.0
MOST_EXPOSURE_MS = 10_000.0
MOST_FOCUS = 100_000.0

_Side = Annotated[int, Meta(ge=1, le=MOST_SIDE)]
_Warmup = Annotated[float, Meta(ge=0, le=MOST_WARMUP_S)]
_Exposure = Annotated[float, Meta(gt=0, le=MOST_EXPOSURE_MS)]
_Focus = Annotated[float, Meta(ge=0, le=MOST_FOCUS)]


class ShotOptions(msgspec.Struct, frozen=True):
    """The options of one snap that are for a camera; None is what the camera itself does.

    Attributes:
        burst: frames to take, one after the other.
        keep: which of these are sent.
        width: pixels; the picture is made to fit, and a device that gives less is asked for more.
        height: pixels, in the same way.
        format: what the picture is encoded as.
        quality: of a JPEG or WebP, 1 to 100.
        warmup: seconds that frames are thrown away before the first, or ``auto``: until the
            exposure has settled. Of a cold start it takes the place of the camera's own.
        exposure_ms: of a device that takes it, or ``auto``.
        focus: in the device's own units, or ``auto``.
        check: what becomes of a picture with a fault.
    """

    burst: Annotated[int, Meta(ge=1, le=MOST_BURST)] = 1
    keep: Keep = "best"
    width: _Side | None = None
    height: _Side | None = None
    format: PictureFormat | None = None
    quality: Annotated[int, Meta(ge=1, le=100)] | None = None
    warmup: _Warmup | Literal["auto"] | None = None
    exposure_ms: _Exposure | Literal["auto"] | None = None
    focus: _Focus | Literal["auto"] | None = None
    check: Check | None = None


AS_EVER = ShotOptions()
"""One picture, by the camera's own settings."""

_WORDS = {
    "burst": f"a whole number of frames from 1 to {MOST_BURST}",
    "keep": '"best" or "all"',
    "width": f"a whole number of pixels from 1 to {MOST_SIDE}",
    "height": f"a whole number of pixels from 1 to {MOST_SIDE}",
    "format": '"jpeg", "png" or "webp"',
    "quality": "a whole number from 1 to 100",
    "warmup": f'seconds from 0 to {MOST_WARMUP_S:g}, or "auto"',
    "exposure_ms": f'milliseconds above 0, up to {MOST_EXPOSURE_MS:g}, or "auto"',
    "focus": f'a number from 0 to {MOST_FOCUS:g} in the device\'s own units, or "auto"',
    "check": " or ".join(f'"{check}"' for check in get_args(Check)),
}
"""What each may be, for the error."""
_TYPES = {field.name: field.type for field in msgspec.structs.fields(ShotOptions)}
NAMES: frozenset[str] = frozenset(_TYPES)


def check_shot_options(options: dict[str, Any], re: str | None) -> None:
    """Checks those of a snap's options that are for the cameras; unknown ones are theirs to judge.

    Args:
        options: as the caller gave them.
        re: the id of the request that they are in.

    Raises:
        BadMessage: one of them is none that there is.
    """
    for name in options.keys() & NAMES:
        if not _may_be(name, options[name]):
            raise BadMessage(f"options.{name} is {_WORDS[name]}", re=re)


def read_shot_options(options: dict[str, Any]) -> tuple[ShotOptions, tuple[str, ...]]:
    """Reads what a hub sent; it may be an older one that checked nothing, or a newer one.

    Args:
        options: of an order.

    Returns:
        What can be used, and a line on each that cannot.
    """
    used: dict[str, Any] = {}
    complaints: list[str] = []
    for name, value in options.items():
        if name not in NAMES:
            complaints.append(f"option {name} is not known here")
        elif not _may_be(name, value):
            complaints.append(f"option {name} is not used: it is {_WORDS[name]}")
        else:
            used[name] = value
    return ShotOptions(**used), tuple(complaints)


def _may_be(name: str, value: object) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    try:
        msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError:
        return False
    return True
