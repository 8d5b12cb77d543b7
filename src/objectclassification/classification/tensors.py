"""What a network elsewhere takes of a picture: made in a child process, and sent from its parent.

Imported without the classifier's libraries: the parent says with it what it wants.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from objectclassification.classification.adoption.card import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MOST_SIDE: Final = 1024
"""Pixels: a tensor of float32 then has 12.6 MB, which a child can send to its parent."""

DataType = Literal["UINT8", "FP16", "FP32"]
SIZES: Final[dict[DataType, int]] = {"UINT8": 1, "FP16": 2, "FP32": 4}
"""Bytes of a number, by its name in the Open Inference Protocol."""


class Input(msgspec.Struct, frozen=True):
    """The one tensor that a network takes.

    Attributes:
        name: of the tensor.
        datatype: of its numbers.
        channels_last: ``[1, side, side, 3]``, and not ``[1, 3, side, side]``.
        side: pixels.
        short_side: pixels that the picture's shorter side is scaled to before.
        preprocess: what becomes of a pixel, unless it stays as it is in ``UINT8``.
    """

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    datatype: DataType
    channels_last: bool
    side: Annotated[int, Meta(ge=1, le=MOST_SIDE)]
    short_side: Annotated[int, Meta(ge=1, le=8192)]
    preprocess: Preprocessing

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor, for one picture."""
        side = self.side
        return (1, side, side, 3) if self.channels_last else (1, 3, side, side)

    @property
    def size_bytes(self) -> int:
        """Of the tensor."""
        return prod(self.shape) * SIZES[self.datatype]


def make(image: Image.Image, wanted: Input) -> bytes:
    """Makes the tensor of a picture.

    Args:
        image: upright and RGB.
        wanted: the tensor.

    Returns:
        :attr:`Input.shape` in row-major order, little endian.
    """
    # Imported here: the parent has neither Pillow nor numpy loaded.
    import numpy as np

    from objectclassification.classification.classifier import prepare

    pixels: NDArray[np.generic] = prepare(image, short_side=wanted.short_side, crop=wanted.side)
    if wanted.preprocess.color == "bgr":
        pixels = pixels[:, :, ::-1]
    if wanted.datatype != "UINT8":
        # One product and one sum for each channel, in the precision and order of `models add`.
        std = np.asarray(wanted.preprocess.std, np.float64)
        factor = (1 / (wanted.preprocess.scale * std)).astype(np.float32)
        offset = (-np.asarray(wanted.preprocess.mean, np.float64) / std).astype(np.float32)
        pixels = pixels.astype(np.float32) * factor + offset
        pixels = pixels.astype("<f2" if wanted.datatype == "FP16" else "<f4")
    if not wanted.channels_last:
        pixels = pixels.transpose(2, 0, 1)
    return pixels.tobytes()
