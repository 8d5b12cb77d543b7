"""What a classifying child process and its parent say to each other.

Frames: a 4-byte big-endian length and a MessagePack body. MessagePack and not pickle, so that a
child that a picture has taken over cannot run code in its parent.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from objectclassification.classification.outcome import Thumbnail, Tried
from objectclassification.classification.tensors import Input
from objectclassification.detection import Detect
from objectclassification.errors import (
    ConfigurationError,
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
    """The first frame to a child.

    Attributes:
        model: the file, or None for the shipped one.
        max_pixels: the most pixels a picture may have by its header.
        top: how many predictions to give for each picture.
        device: where its models run, or ``auto``.
        has_spare_core: whether something may be done beside its models.
    """

    model: str | None
    max_pixels: int
    top: int
    device: str
    has_spare_core: bool


class Job(msgspec.Struct, frozen=True, tag=True):
    """One picture to classify.

    Attributes:
        path: its file.
        thumbnail: whether to make one.
        model: a classifier's file, or None for that of the setup.
        crops: rectangles of it to embed, too.
        detect: whether boxes are wanted.
        detector: a detector's file, or None for the shipped one.
        input: the tensor to make of it for an engine, which then finds the labels; else None.
    """

    path: str
    thumbnail: bool
    model: str | None = None
    crops: tuple[Crop, ...] = ()
    detect: Detect = False
    detector: str | None = None
    input: Input | None = None


class Trial(msgspec.Struct, frozen=True, tag=True):
    """A model to try on a picture; both are files."""

    model: str
    path: str


class Shrink(msgspec.Struct, frozen=True, tag=True):
    """A picture to make smaller: its file, and pixels of the longer side."""

    path: str
    max_side: int


class Choice(msgspec.Struct, frozen=True):
    """Where models run, and why.

    Attributes:
        device: its name.
        took_ms: of each device that was measured, milliseconds for one picture.
        failed: devices that do not work, and why.
    """

    device: str
    took_ms: dict[str, float] = {}
    failed: dict[str, str] = {}


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child's first frame, once its model is loaded."""

    model_id: str
    model_sha256: str
    choice: Choice


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
    confidence: float | None = None


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
        kinds = (NotAnImage, Undecodable, NotFound, ModelError, ConfigurationError)
        return {kind.code: kind for kind in kinds}[self.code](self.detail)


Answer = Ready | Done | Tried | Thumbnail | Failed


def frame(message: Setup | Job | Trial | Shrink | Answer) -> bytes:
    """Encode a message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
