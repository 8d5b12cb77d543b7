"""What a classifying child process and its parent say to each other.

Frames: a 4-byte big-endian length and a MessagePack body. MessagePack and not pickle, so that a
child that a picture has taken over cannot run code in its parent.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from objectclassification.classification.outcome import Thumbnail
from objectclassification.classification.tensors import Input
from objectclassification.detection import Detect
from objectclassification.errors import (
    MissingExtra,
    ModelError,
    NotAnImage,
    NotFound,
    ObjectClassificationError,
    TooManyPixels,
    Undecodable,
)
from objectclassification.heads import Crop
from objectclassification.receipts import Model, Prediction

LENGTH: Final = struct.Struct(">I")


class Setup(msgspec.Struct, frozen=True):
    """The first frame to a child. ``model``: the file, or None for the shipped one."""

    model: str | None
    max_pixels: int
    top: int


class Job(msgspec.Struct, frozen=True):
    """One picture to classify.

    Attributes:
        path: its file.
        thumbnail: whether to make one.
        model: a model's file, or None for that of the setup.
        crops: rectangles of it to embed, too.
        detect: whether boxes are wanted.
        input: the tensor to make of it for an engine, which then finds the labels; else None.
    """

    path: str
    thumbnail: bool
    model: str | None = None
    crops: tuple[Crop, ...] = ()
    detect: Detect = False
    input: Input | None = None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child's first frame, once its model is loaded."""

    model_id: str
    model_sha256: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """What a child found; see :class:`.outcome.Outcome`."""

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


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A typed failure; the sizes are those of ``TooManyPixels``."""

    code: str
    detail: str
    width: int = 0
    height: int = 0
    limit: int = 0

    @classmethod
    def of(cls, error: ObjectClassificationError) -> Failed:
        """Describe an error so that :meth:`to_error` can make it again."""
        if isinstance(error, TooManyPixels):
            return cls(error.code, error.detail, error.width, error.height, error.limit)
        return cls(error.code, error.detail)

    def to_error(self) -> ObjectClassificationError:
        """Make the error again, in the parent."""
        if self.code == TooManyPixels.code:
            return TooManyPixels(width=self.width, height=self.height, limit=self.limit)
        if self.code == MissingExtra.code:
            return MissingExtra("classification", "server")
        kinds = {kind.code: kind for kind in (NotAnImage, Undecodable, NotFound, ModelError)}
        return kinds[self.code](self.detail)


Answer = Ready | Done | Failed


def frame(message: Setup | Job | Answer) -> bytes:
    """Encode a message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
