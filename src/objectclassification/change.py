"""What is new on a picture, beside the past of its camera: shapes only, no I/O."""

from __future__ import annotations

import msgspec


class PastPicture(msgspec.Struct, frozen=True):
    """A picture from before, and how like it is: the cosine of two embeddings, -1 to 1."""

    picture: str
    similarity: float


class CropChange(msgspec.Struct, frozen=True):
    """A rectangle of a picture beside the same rectangle of its camera's recent past.

    Attributes:
        crop: left, top, right, bottom as fractions of the picture's width and height.
        novelty, threshold, changed, nearest: as of :class:`Change`, of this rectangle alone.
    """

    crop: tuple[float, float, float, float]
    novelty: float
    threshold: float
    changed: bool
    nearest: tuple[PastPicture, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """A picture beside the recent past of its camera.

    Attributes:
        novelty: how far it is from what is nearest, as 1 - similarity: 0 is nothing new.
        threshold: what the past itself stays under.
        changed: whether the novelty is over it.
        nearest: past pictures, the most similar first.
        crops: of the rectangles that heads of this camera look at, those that have a past.
    """

    novelty: float
    threshold: float
    changed: bool
    nearest: tuple[PastPicture, ...] = ()
    crops: tuple[CropChange, ...] = ()
