"""Finds the objects in a picture: a detector on ONNX Runtime, the shipped one or another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from objectclassification.classification.fitting import fitted, in_picture
from objectclassification.classification.images import Picture, opened_as_rgb
from objectclassification.classification.model_file import (
    MODELS,
    ModelFile,
    Name,
    load,
    unfit,
)
from objectclassification.classification.predictions import Detection, Prediction
from objectclassification.detection import Fit
from objectclassification.errors import MissingExtra, ModelError

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
MOST_CANDIDATES: Final = 10_000
"""Boxes that others are compared with, the surest: a model that finds everything everywhere costs
no more. YOLO gives each object a dozen, and has 8,400 at 640 pixels."""
MOST_SIDE: Final = 4096
"""Pixels of an input's side."""
MOST_ANCHORS: Final = 500_000
"""Boxes that a network may give: one of 4,096 pixels a side and YOLO's strides gives 344,064."""
SCORES_SLACK: Final = 1e-3
"""What a score may be beyond 0 and 1: a network in float16 is that exact."""
FARTHEST: Final = 10.0
"""Of the input's side, how far away half of a network's box edges may be. Those of anchors at the
edge lie a little outside; pixels that were taken for fractions lie hundreds of sides away."""


class Detector:
    """Finds objects with one model. Safe to share between threads.

    Attributes:
        model_id: the model's name, from its file.
        model_sha256: hex digest of the model's file.
        labels: the names of the classes, in the order of the scores.
        size: width and height of its input, pixels.
        min_short: pixels of a picture's shorter side that it has a use for.
        min_long: and of its longer side.
    """

    def __init__(
        self, model: Path | ModelFile | None = None, *, threads: int = 1, device: str = "cpu"
    ) -> None:
        """Load a model: some 60 ms.

        Args:
            model: an ONNX file with our metadata, or one that is loaded; the shipped
                SSDLite-MobileNetV2 if None.
            threads: of one inference.
            device: one of :func:`.model_file.devices`.

        Raises:
            ModelError: there is no such file, or it is not a model that we can use.
        """
        if not isinstance(model, ModelFile):
            model = load(model or SHIPPED_DETECTOR, threads=threads, device=device)
        self._model = model
        self._facts = facts = model.facts(_Facts)
        self.model_id, self.labels = facts.id, facts.labels
        self.model_sha256 = model.sha256
        boxes = model.outputs.get("boxes", [])
        shape = dict(model.inputs).get("image", [])
        if (
            (len(model.inputs), shape[2:]) != (1, [3])
            or not all(isinstance(side, int) and 0 < side <= MOST_SIDE for side in shape)
            or boxes[1:] != [4]
            or model.outputs.get("scores") != [boxes[0], len(self.labels)]
        ):
            raise unfit(model.path)
        self.size = (shape[1], shape[0])
        is_whole = facts.preprocessing.fit == "letterbox"
        self.min_short, self.min_long = (1, max(self.size)) if is_whole else (max(self.size), 1)

    def detect(
        self, picture: Picture, *, min_score: float | None = None, most: int = MOST_BOXES
    ) -> Detection:
        """Find the objects in one picture.

        Args:
            picture: a file, bytes, Pillow image or RGB array.
            min_score: what an object must score, 0 to 1; as the model's card has it if None.
            most: how many objects to give, the surest.

        Raises:
            NotAnImage, Undecodable, TooManyPixels: see :func:`images.decode`.
            OSError: the file cannot be read.
            ValueError: an array that is not uint8 ``[height, width, 3]``.
        """
        start = time.perf_counter()
        image = opened_as_rgb(picture, min_short=self.min_short, min_long=self.min_long)
        decode_ms = (time.perf_counter() - start) * 1000
        found = self.detect_decoded(image, min_score=min_score, most=most)
        found.elapsed_ms["decode"] = round(decode_ms, 3)
        return found

    def detect_decoded(
        self, image: Image.Image, *, min_score: float | None = None, most: int = MOST_BOXES
    ) -> Detection:
        """Find the objects in an upright RGB image that :func:`images.decode` gave.

        Args:
            image: of any size.
            min_score: what an object must score, 0 to 1; as the model's card has it if None.
            most: how many objects to give, the surest.
        """
        start = time.perf_counter()
        boxes, scores = self._look(image)
        found = surest(
            boxes,
            scores,
            min_score=self._facts.min_score if min_score is None else min_score,
            most=most,
            max_overlap=self._facts.max_overlap,
        )
        return Detection(
            predictions=tuple(
                Prediction(self.labels[label], score, box) for label, score, box in found
            ),
            model_id=self.model_id,
            model_sha256=self.model_sha256,
            elapsed_ms={"detect": round((time.perf_counter() - start) * 1000, 3)},
        )

    def check(self, image: Image.Image) -> None:
        """See that the network gives boxes and scores, before anybody relies on it.

        Args:
            image: RGB, of any size.

        Raises:
            ModelError: it gives something else.
        """
        boxes, scores = self._look(image)
        if boxes.shape[1:] != (4,) or scores.shape != (len(boxes), len(self.labels)):
            raise ModelError(
                f"its boxes are {list(boxes.shape)}, its scores {list(scores.shape)}, and there "
                f"are {len(self.labels)} labels"
            )
        if len(boxes) > MOST_ANCHORS:
            raise ModelError(f"it gives {len(boxes)} boxes; it may give {MOST_ANCHORS}")
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ModelError("its boxes or scores are not numbers")
        if len(boxes) and not -SCORES_SLACK <= scores.min() <= scores.max() <= 1 + SCORES_SLACK:
            raise ModelError(
                f"its scores are {scores.min():.3g} to {scores.max():.3g}, and not 0 to 1: a card "
                'says `activation = "sigmoid"` or "softmax" of a network that leaves that to others'
            )
        if len(boxes) and np.median(np.abs(boxes)) > FARTHEST:
            raise ModelError(
                'its boxes lie far outside of the picture: a card says `unit = "pixels"` of a '
                "network whose boxes are no fractions of its input"
            )

    def _look(self, image: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes as fractions of the picture, ``[anchors, 4]``, and scores ``[anchors, labels]``."""
        pixels, view = fitted(image, self.size, self._facts.preprocessing.fit)
        boxes, scores = self._model.run(["boxes", "scores"], {"image": pixels[None]})
        return in_picture(boxes[0], view), scores[0]


Box = tuple[float, float, float, float]
Share = Annotated[float, Meta(ge=0, le=1)]


def surest(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    min_score: float,
    most: int,
    max_overlap: float = MOST_OVERLAP,
) -> list[tuple[int, float, Box]]:
    """Choose one box for each object: greedy non-maximum suppression within each label.

    In numpy, as the same in the network (``NonMaxSuppression``) takes as long, 0.2 ms of 21, and
    would fix ``min_score`` and ``most`` in the file.

    Args:
        boxes: ``[anchors, 4]``: left, top, right, bottom as fractions.
        scores: ``[anchors, labels]``, 0 to 1. Each anchor stands for its best label only.
        min_score: what a box must score.
        most: how many to give.
        max_overlap: of two boxes of one label that share more, the surer one is kept.

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
    found: list[tuple[int, float, Box]] = []
    gone = np.zeros(len(candidates), bool)
    for index in range(len(candidates)):
        if len(found) == most:
            break
        if not gone[index]:
            gone |= (labels == labels[index]) & (_overlaps(cut[index], cut) > max_overlap)
            left, top, right, bottom = (float(each) for each in cut[index])
            score = float(best[candidates[index]])
            found.append((int(labels[index]), score, (left, top, right, bottom)))
    return found


def _overlaps(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box, ``[4]``, with each of others, ``[n, 4]``: ``[n]``."""
    first = np.maximum(box[:2], boxes[:, :2])
    last = np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=1)
    area = (box[2:] - box[:2]).prod()
    overlaps: NDArray[np.float32] = shared / (
        area + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    )
    return overlaps


class _Preprocessing(msgspec.Struct, frozen=True):
    fit: Fit = "stretch"


class _Facts(msgspec.Struct, frozen=True):
    """A detector's metadata."""

    id: Name
    task: Literal["detection"]
    labels: tuple[Name, ...]
    preprocessing: _Preprocessing
    min_score: Share = MIN_SCORE
    max_overlap: Share = MOST_OVERLAP
