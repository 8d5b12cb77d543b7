"""Brings a picture to a detector's input, and the boxes that it finds there back to the picture."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from objectclassification.detection import Fit
from objectclassification.errors import MissingExtra

try:
    from PIL import Image
except ImportError as exc:
    raise MissingExtra("classification", "server") from exc

BORDER: Final = (114, 114, 114)
"""What YOLO networks are trained with (``LetterBox`` in ultralytics/data/augment.py)."""

WHOLE: Final = (0.0, 0.0, 1.0, 1.0)

View = tuple[float, float, float, float]
"""Where a picture is in an input: left, top, right and bottom as fractions of the input."""


def fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> tuple[NDArray[np.uint8], View]:
    """Scale a picture to a detector's input.

    Args:
        image: RGB, of any size.
        size: width and height of the input, pixels.
        fit: how.

    Returns:
        uint8 ``[height, width, 3]``, and where in it the picture is.
    """
    if fit == "stretch":
        return np.asarray(_resized(image, size)), WHOLE
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas = Image.new("RGB", size, BORDER)
    canvas.paste(_resized(image, (width, height)), (left, top))
    right, bottom = left + width, top + height
    return np.asarray(canvas), (left / size[0], top / size[1], right / size[0], bottom / size[1])


def in_picture(boxes: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Boxes as fractions of the picture.

    Args:
        boxes: ``[n, 4]``: left, top, right, bottom as fractions of the input.
        view: where in it the picture is.
    """
    left, top, right, bottom = view
    start = np.array([left, top, left, top], np.float32)
    length = np.array([right - left, bottom - top] * 2, np.float32)
    moved: NDArray[np.float32] = (boxes - start) / length
    return moved


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
