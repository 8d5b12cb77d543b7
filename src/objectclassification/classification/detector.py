"""Finds the objects in a picture: a COCO model on ONNX Runtime."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from objectclassification.classification.images import Picture, opened_as_rgb
from objectclassification.classification.model_file import MODELS, Name, Pixels, load, unfit
from objectclassification.classification.predictions import Detection, Prediction
from objectclassification.errors import MissingExtra

try:
    from PIL import Image
except ImportError as exc:
    raise MissingExtra("classification", "server") from exc

SHIPPED_DETECTOR: Final = MODELS / "ssdlite-mobilenet-v2-float16.onnx"

MIN_SCORE: Final = 0.5
"""As the model's authors have it (coco-ssd 2.2.3, ``detect``). What scores less may be real (half a
person at the edge, 0.42), and as well not (a clock that is called a mouse, 0.38)."""
MOST_BOXES: Final = 20
"""As the model's authors have it. One object a box: of a crowd, the 20 that are surest."""
MOST_OVERLAP: Final = 0.6
"""Of two boxes of one label that share more (intersection over union), the surer one is kept. The
value that the model was trained with (ssdlite_mobilenet_v2_coco.config). Boxes of different labels
do not compete: a rider and a motorcycle fill the same place."""
MOST_CANDIDATES: Final = 200
"""Boxes that are compared with each other, the surest: a model that finds everything everywhere
costs no more."""


class Detector:
    """Finds objects with one model. Safe to share between threads.

    Attributes:
        model_id: the model's name, from its file.
        model_sha256: hex digest of the model's file.
        labels: the names of the classes, in the order of the scores.
        side: pixels of the square that a picture is squeezed into.
    """

    def __init__(self, model: Path | None = None, *, threads: int = 1) -> None:
        """Load a model: some 60 ms.

        Args:
            model: an ONNX file with our metadata; the shipped SSDLite-MobileNetV2 if None.
            threads: of one inference.

        Raises:
            ModelError: there is no such file, or it is not a model that we can use.
        """
        path = model or SHIPPED_DETECTOR
        self._model = load(path, _Facts, threads=threads)
        facts = self._model.facts
        self.model_id, self.labels = facts.id, facts.labels
        self.model_sha256 = self._model.sha256
        self.side = side = facts.preprocessing.side
        boxes = self._model.outputs.get("boxes", [])
        if (
            facts.task != "detection"
            or self._model.inputs != [("image", [side, side, 3])]
            or boxes[1:] != [4]
            or self._model.outputs.get("scores") != [boxes[0], len(self.labels)]
        ):
            raise unfit(path)

    def detect(
        self, picture: Picture, *, min_score: float = MIN_SCORE, most: int = MOST_BOXES
    ) -> Detection:
        """Find the objects in one picture.

        Args:
            picture: a file, bytes, Pillow image or RGB array.
            min_score: what an object must score, 0 to 1.
            most: how many objects to give, the surest.

        Raises:
            NotAnImage, Undecodable, TooManyPixels: see :func:`images.decode`.
            OSError: the file cannot be read.
            ValueError: an array that is not uint8 ``[height, width, 3]``.
        """
        start = time.perf_counter()
        image = opened_as_rgb(picture, min_short=self.side)
        decode_ms = (time.perf_counter() - start) * 1000
        found = self.detect_decoded(image, min_score=min_score, most=most)
        found.elapsed_ms["decode"] = round(decode_ms, 3)
        return found

    def detect_decoded(
        self, image: Image.Image, *, min_score: float = MIN_SCORE, most: int = MOST_BOXES
    ) -> Detection:
        """Find the objects in an upright RGB image that :func:`images.decode` gave.

        Args:
            image: of any size.
            min_score: what an object must score, 0 to 1.
            most: how many objects to give, the surest.
        """
        start = time.perf_counter()
        pixels = squeeze(image, self.side)
        boxes, scores = self._model.run(["boxes", "scores"], {"image": pixels[None]})
        found = surest(boxes[0], scores[0], min_score=min_score, most=most)
        return Detection(
            predictions=tuple(
                Prediction(self.labels[label], score, box) for label, score, box in found
            ),
            model_id=self.model_id,
            model_sha256=self.model_sha256,
            elapsed_ms={"detect": round((time.perf_counter() - start) * 1000, 3)},
        )


def squeeze(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Scale a picture to a square, as the model was trained: its proportions are lost.

    Args:
        image: RGB.
        side: pixels.

    Returns:
        uint8 ``[side, side, 3]``.
    """
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))


Box = tuple[float, float, float, float]


def surest(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], *, min_score: float, most: int
) -> list[tuple[int, float, Box]]:
    """Choose one box for each object: greedy non-maximum suppression within each label.

    In numpy, as the same in the network (``NonMaxSuppression``) takes as long, 0.2 ms of 21, and
    would fix ``min_score`` and ``most`` in the file.

    Args:
        boxes: ``[anchors, 4]``: left, top, right, bottom as fractions.
        scores: ``[anchors, labels]``, 0 to 1. Each anchor stands for its best label only.
        min_score: what a box must score.
        most: how many to give.

    Returns:
        Label, score and box of each object, the surest first; boxes are cut at the picture's edge.
    """
    best = scores.max(axis=1)
    candidates = np.flatnonzero(best >= min_score)
    candidates = candidates[np.argsort(-best[candidates], kind="stable")][:MOST_CANDIDATES]
    cut = np.clip(boxes[candidates], 0, 1)
    there = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
    candidates, cut = candidates[there], cut[there]
    labels = scores[candidates].argmax(axis=1)
    twins = (_overlaps(cut) > MOST_OVERLAP) & (labels[:, None] == labels)
    found: list[tuple[int, float, Box]] = []
    gone = np.zeros(len(candidates), bool)
    for index in range(len(candidates)):
        if len(found) == most:
            break
        if not gone[index]:
            gone |= twins[index]
            left, top, right, bottom = (float(each) for each in cut[index])
            score = float(best[candidates[index]])
            found.append((int(labels[index]), score, (left, top, right, bottom)))
    return found


def _overlaps(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each two boxes, ``[boxes, boxes]``."""
    first = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    overlaps: NDArray[np.float32] = shared / (areas[:, None] + areas - shared)
    return overlaps


class _Preprocessing(msgspec.Struct, frozen=True):
    side: Pixels


class _Facts(msgspec.Struct, frozen=True):
    """A detector's metadata."""

    id: Name
    task: Name
    labels: tuple[Name, ...]
    preprocessing: _Preprocessing
