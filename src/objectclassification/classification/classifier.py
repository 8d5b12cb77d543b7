"""Names the objects in a picture: an ImageNet model on ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from objectclassification.classification.images import Picture, opened_as_rgb
from objectclassification.classification.model_file import (
    MODELS,
    ModelFile,
    Name,
    Pixels,
    load,
    unfit,
)
from objectclassification.classification.predictions import Classification
from objectclassification.classification.ranking import ranked, sigmoid, softmax
from objectclassification.errors import MissingExtra
from objectclassification.sureness import CALIBRATIONS

try:
    from PIL import Image
except ImportError as exc:
    raise MissingExtra("classification", "server") from exc

SHIPPED_MODEL: Final = MODELS / "efficientnet-lite0-int8.onnx"

_NO_EMBEDDING: Final = np.empty(0, np.float16)


class Classifier:
    """Classifies pictures with one model. Safe to share between threads.

    Attributes:
        model_id: the model's name, from its file.
        model_sha256: hex digest of the model's file.
        labels: the names of the classes, in the order of the logits.
        short_side: pixels that the picture's shorter side is scaled to.
        middle: the share of that which the model sees.
    """

    def __init__(
        self, model: Path | ModelFile | None = None, *, threads: int = 1, device: str = "cpu"
    ) -> None:
        """Load a model: some 30 ms.

        Args:
            model: an ONNX file with our metadata, or one that is loaded; the shipped
                EfficientNet-Lite0 if None.
            threads: of one inference. A second one makes 2.1 ms of 2.9 and takes a whole core for
                it, which another picture can use better: hence 1.
            device: one of :func:`.model_file.devices`.

        Raises:
            ModelError: there is no such file, or it is not a model that we can use.
        """
        if not isinstance(model, ModelFile):
            model = load(model or SHIPPED_MODEL, threads=threads, device=device)
        self._model = model
        facts = model.facts(_Facts)
        self.model_id, self.labels = facts.id, facts.labels
        self.model_sha256 = self._model.sha256
        calibration = CALIBRATIONS.get(self.model_sha256)
        self._temperature = 1.0 if calibration is None else calibration.temperature
        self.short_side = facts.preprocessing.short_side
        self._activation = _ACTIVATIONS[facts.activation]
        self._crop = crop = facts.preprocessing.crop
        self.middle = crop / self.short_side
        if (
            self._model.inputs != [("image", [crop, crop, 3])]
            or self._model.outputs.get("logits") != [len(self.labels)]
            or self.short_side < crop
        ):
            raise unfit(model.path)
        self._outputs = [name for name in ("logits", "embedding") if name in self._model.outputs]

    def classify(self, picture: Picture, *, top: int = 5) -> Classification:
        """Classify one picture.

        Args:
            picture: a file, bytes, Pillow image or RGB array.
            top: how many predictions to give.

        Raises:
            NotAnImage, Undecodable, TooManyPixels: see :func:`images.decode`.
            OSError: the file cannot be read.
            ValueError: an array that is not uint8 ``[height, width, 3]``.
        """
        start = time.perf_counter()
        image = opened_as_rgb(picture, min_short=self.short_side)
        return self._classify(image, start, top)

    def classify_batch(self, pictures: Iterable[Picture], *, top: int = 5) -> list[Classification]:
        """Classify several pictures.

        One after the other: on a CPU a batch of 8 takes longer than 8 pictures, whose activations
        stay in the cache.

        Raises:
            As :meth:`classify`, for the first bad picture.
        """
        return [self.classify(picture, top=top) for picture in pictures]

    def classify_decoded(
        self, image: Image.Image, *, decode_ms: float, top: int = 5
    ) -> Classification:
        """Classify an upright RGB image that :func:`images.decode` gave.

        Args:
            image: its shorter side at least :attr:`short_side`, or the picture's own.
            decode_ms: what decoding took, for ``elapsed_ms``.
            top: how many predictions to give.
        """
        return self._classify(image, time.perf_counter() - decode_ms / 1000, top)

    def embed(self, image: Image.Image) -> NDArray[np.float16]:
        """The activations before the head: float16; empty if the model has none.

        Args:
            image: RGB.
        """
        if "embedding" not in self._outputs:
            return _NO_EMBEDDING
        pixels = prepare(image, short_side=self.short_side, crop=self._crop)
        (embedding,) = self._model.run(["embedding"], {"image": pixels[None]})
        found: NDArray[np.float16] = embedding[0].astype(np.float16)
        return found

    def _classify(self, image: Image.Image, start: float, top: int) -> Classification:
        pixels = prepare(image, short_side=self.short_side, crop=self._crop)
        decoded = time.perf_counter()
        logits, *embedding = self._model.run(self._outputs, {"image": pixels[None]})
        predictions = ranked(self._activation(logits[0]), self.labels, top=top)
        elapsed_ms = {
            "decode": round((decoded - start) * 1000, 3),
            "infer": round((time.perf_counter() - decoded) * 1000, 3),
        }
        return Classification(
            predictions=predictions,
            embedding=embedding[0][0].astype(np.float16) if embedding else _NO_EMBEDDING,
            model_id=self.model_id,
            model_sha256=self.model_sha256,
            elapsed_ms=elapsed_ms,
            confidence=round(float(self._activation(logits[0] / self._temperature).max()), 4),
        )


def prepare(image: Image.Image, *, short_side: int = 256, crop: int = 224) -> NDArray[np.uint8]:
    """Cut a model's input out of a picture.

    The shorter side is scaled to ``short_side`` (bicubic) and the middle ``crop`` x ``crop`` kept;
    as one resampling of that middle, so that pixels outside it cost nothing.

    Args:
        image: RGB.
        short_side: pixels.
        crop: pixels.

    Returns:
        uint8 ``[crop, crop, 3]``.
    """
    side = min(image.size) * crop / short_side
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((crop, crop), Image.Resampling.BICUBIC, box, reducing_gap=2.0))


class _Preprocessing(msgspec.Struct, frozen=True):
    short_side: Pixels
    crop: Pixels


class _Facts(msgspec.Struct, frozen=True):
    """A classifier's metadata."""

    id: Name
    labels: tuple[Name, ...]
    preprocessing: _Preprocessing
    activation: Literal["softmax", "sigmoid"] = "softmax"


_ACTIVATIONS: Final = {"softmax": softmax, "sigmoid": sigmoid}
