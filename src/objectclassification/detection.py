"""Whether boxes are wanted of a picture: what a snap's options and a camera's setting say of it.

Plain data at the bottom of the house: the hub checks it, the job loop reads it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from objectclassification.bounds import check_small
from objectclassification.errors import BadMessage

Detect = bool | Literal["classify"]
"""No boxes, boxes, or boxes each of which is classified by itself, too."""

Task = Literal["classification", "detection"]
"""What a model does: name what a picture shows, or find boxes."""

Fit = Literal["stretch", "letterbox"]
"""How a picture comes into a detector: losing its proportions, or with them and a border."""

OPTION: Final = "detect"
_THE_SERVERS: Final = frozenset({OPTION, "ask"})
"""Options of a snap that cameras are not told of: which labels there are, and whose."""


class _Options(msgspec.Struct, frozen=True):
    detect: Detect | None = None


_options = msgspec.json.Decoder(_Options)
_setting = msgspec.json.Decoder(Detect)


def check_options(options: dict[str, Any], re: str | None) -> None:
    """Checks a snap's options.

    Args:
        options: as the caller gave them.
        re: the id of the request that they are in.

    Raises:
        BadMessage: they are too long or nested too deeply, or ``detect`` is none that there is.
    """
    check_small("options", options, re)
    detect = options.get(OPTION, False)
    if not isinstance(detect, bool) and detect != "classify":
        raise BadMessage('options.detect is true, false or "classify"', re=re)


def for_cameras(options: dict[str, Any]) -> dict[str, Any]:
    """What of a snap's options is for the cameras."""
    return {name: value for name, value in options.items() if name not in _THE_SERVERS}


def wanted(options: str | None, setting: str | None) -> Detect:
    """What is wanted of a picture.

    Args:
        options: of the snap that it answers, as JSON, or None.
        setting: of its camera, as JSON, or None: what counts where the snap says nothing.
    """
    asked = None
    if options is not None:
        try:
            asked = _options.decode(options).detect
        except msgspec.ValidationError:
            asked = None  # a snap of an older server, which took any options
    if asked is None and setting is not None:
        asked = _setting.decode(setting)
    return asked or False
