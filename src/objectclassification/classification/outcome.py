"""What a child process found in a picture. Imported without the classifier's libraries."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from objectclassification.detection import Task
from objectclassification.receipts import Model, Prediction


class Thumbnail(msgspec.Struct, frozen=True, tag=True):
    """The upright picture, made smaller.

    Attributes:
        content: a JPEG.
        width: pixels.
        height: pixels.
    """

    content: bytes
    width: int
    height: int


class Tried(msgspec.Struct, frozen=True, tag=True):
    """A model that was tried on a picture and is good.

    Attributes:
        model_id: its name.
        task: what it does.
        elapsed_ms: milliseconds for the picture, without decoding it.
    """

    model_id: str
    task: Task
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a child found in one picture.

    Attributes:
        predictions: the best labels, best first, then boxes, surest first.
        embedding: float16 ``[1280]``, little-endian bytes; of the pool's own model, whichever found
            the labels, so that pictures of all cameras can be compared, and heads read them.
        embedded_by: hex digest of that model's file.
        model_id: the model's name.
        model_sha256: hex digest of the model's file.
        media_type: ``image/png``, ``image/jpeg`` or ``image/webp``.
        width: pixels as stored, before EXIF orientation.
        height: pixels as stored, before EXIF orientation.
        thumbnail: an upright JPEG with its size, if asked for.
        elapsed_ms: milliseconds of each stage: ``decode``, ``infer``, ``embed``, ``crops``,
            ``detect``, ``boxes``, ``tensor`` and ``thumbnail``, as far as they were asked for; of
            an engine also ``engine``, the way there and back included.
        crops: embeddings of the rectangles that were asked for, in their order.
        detector: what made the boxes, if there are any.
        tensor: what an engine takes of the picture, if asked for; there are no labels then yet.
        confidence: how sure the model is of its best label.
    """

    predictions: tuple[Prediction, ...]
    embedding: bytes
    embedded_by: str
    model_id: str
    model_sha256: str
    media_type: str
    width: int
    height: int
    thumbnail: Thumbnail | None
    elapsed_ms: dict[str, float]
    crops: tuple[bytes, ...] = ()
    detector: Model | None = None
    tensor: bytes = b""
    confidence: float | None = None
