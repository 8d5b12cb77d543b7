"""What a child does with a picture: decodes it once, and has each model look at it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from objectclassification.classification import images, tensors
from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
from objectclassification.classification.detector import Detector
from objectclassification.classification.device import choose
from objectclassification.classification.frames import Done, Job, Ready, Setup
from objectclassification.classification.loaded import Loaded
from objectclassification.classification.outcome import Thumbnail
from objectclassification.detection import Detect
from objectclassification.receipts import Classified, Model, Prediction

CROPS_SHORT_SIDE: Final = 1024
"""Pixels of a picture whose boxes are classified: a quarter of its side then still fills the
classifier. A 1080p JPEG is decoded whole for it."""


class Looker:
    """Looks at pictures with the classifiers of cameras and, once that is asked for, a detector.

    Attributes:
        ready: what to say of its own classifier, the one of pictures whose camera has no other.
    """

    def __init__(self, setup: Setup) -> None:
        """Load the classifier.

        Raises:
            ModelError: it cannot be used.
            ConfigurationError: there is no such device.
        """
        model = Path(setup.model) if setup.model else None
        choice = choose(setup.device, model or SHIPPED_MODEL)
        self._models = Loaded(model, choice.device)
        self._setup = setup
        self._beside = ThreadPoolExecutor(1) if setup.has_spare_core else None
        own = self._models.own
        self.ready = Ready(own.model_id, own.model_sha256, choice)

    def look(self, job: Job) -> Done:
        """Look at one picture.

        Raises:
            NotAnImage, Undecodable, TooManyPixels, OSError: see :func:`images.decode`.
            ModelError: a model cannot be used.
        """
        elapsed_ms: dict[str, float] = {}
        classifier, own = self._models.classifier(job.model), self._models.own
        detector = self._models.detector(job.detector) if job.detect else None
        min_short, min_long = self._min_sides(classifier, detector, job)
        with _timed(elapsed_ms, "decode"):
            image, info = images.decode(
                Path(job.path),
                min_short=min_short,
                min_long=min_long,
                max_pixels=self._setup.max_pixels,
            )
        tensor = b""
        if job.input is not None:
            with _timed(elapsed_ms, "tensor"):
                tensor = tensors.make(image, job.input)
        thumbnail = partial(_thumbnail, image, elapsed_ms)
        if job.thumbnail and self._beside is not None:
            # While the models run, each on one core: somebody waits for both.
            thumbnail = partial(self._beside.submit(thumbnail).result)
        labels, embedding, confidence = self._labels(image, classifier, job, elapsed_ms)
        crops: tuple[bytes, ...] = ()
        if job.crops:
            with _timed(elapsed_ms, "crops"):
                cuts = (images.cut(image, crop, own.middle) for crop in job.crops)
                crops = tuple(_stored(own.embed(cut)) for cut in cuts)
        boxes: tuple[Prediction, ...] = ()
        found_by = None
        if detector is not None:
            boxes = _boxes(image, classifier, detector, job.detect, elapsed_ms)
            found_by = Model(detector.model_id, detector.model_sha256) if boxes else None
        return Done(
            predictions=(*_signed(labels, classifier.model_id if boxes else None), *boxes),
            embedding=_stored(embedding),
            embedded_by=own.model_sha256,
            model_id=classifier.model_id,
            model_sha256=classifier.model_sha256,
            media_type=info.media_type,
            width=info.width,
            height=info.height,
            thumbnail=thumbnail() if job.thumbnail else None,
            elapsed_ms=elapsed_ms,
            crops=crops,
            detector=found_by,
            tensor=tensor,
            confidence=confidence,
        )

    def shrink(self, path: Path, max_side: int) -> Thumbnail:
        """Make a picture smaller; no model looks at it.

        Args:
            path: its file.
            max_side: pixels of the longer side.

        Raises:
            NotAnImage, Undecodable, TooManyPixels, OSError: see :func:`images.decode`.
        """
        max_pixels = self._setup.max_pixels
        image, _ = images.decode(path, min_short=1, min_long=max_side, max_pixels=max_pixels)
        return _smaller(image, max_side)

    def _labels(
        self,
        image: Image.Image,
        classifier: Classifier,
        job: Job,
        elapsed_ms: dict[str, float],
    ) -> tuple[tuple[Prediction, ...], NDArray[np.float16], float | None]:
        """The labels and how sure they are, unless an engine finds them; and our own embedding."""
        own = self._models.own
        labels: tuple[Prediction, ...] = ()
        confidence = None
        if job.input is None:
            decode_ms = elapsed_ms["decode"]
            found = classifier.classify_decoded(image, decode_ms=decode_ms, top=self._setup.top)
            elapsed_ms |= found.elapsed_ms
            labels, confidence = found.predictions, found.confidence
            if classifier is own:
                return labels, found.embedding, confidence
        with _timed(elapsed_ms, "embed"):
            return labels, own.embed(image), confidence

    def _min_sides(
        self, classifier: Classifier, detector: Detector | None, job: Job
    ) -> tuple[int, int]:
        """Pixels of the shorter and the longer side that serve whoever looks at the picture.

        Decoded for the classifier alone (a 1080p JPEG at 1/4, not 1/2), two of 47 objects of 33
        photographs are lost, for 1 ms.
        """
        side = max(classifier.short_side, self._models.own.short_side)
        short = [images.short_side_for(side, job.crops)]
        long = [images.THUMBNAIL_SIDE if job.thumbnail else 0]
        if job.input is not None:
            short.append(job.input.short_side)
        if detector is not None:
            short.append(detector.min_short)
            long.append(detector.min_long)
        if job.detect == "classify":
            short.append(CROPS_SHORT_SIDE)
        return max(short), max(long)


def _smaller(image: Image.Image, max_side: int) -> Thumbnail:
    small = images.shrink(image, max_side)
    return Thumbnail(images.to_jpeg(small), small.width, small.height)


def _thumbnail(image: Image.Image, elapsed_ms: dict[str, float]) -> Thumbnail:
    with _timed(elapsed_ms, "thumbnail"):
        return _smaller(image, images.THUMBNAIL_SIDE)


def _boxes(
    image: Image.Image,
    classifier: Classifier,
    detector: Detector,
    detect: Detect,
    elapsed_ms: dict[str, float],
) -> tuple[Prediction, ...]:
    found = detector.detect_decoded(image)
    elapsed_ms |= found.elapsed_ms
    boxes = _signed(found.predictions, detector.model_id)
    if detect == "classify" and boxes:
        with _timed(elapsed_ms, "boxes"):
            boxes = tuple(_with_crop(image, classifier, box) for box in boxes)
    return boxes


def _with_crop(image: Image.Image, classifier: Classifier, found: Prediction) -> Prediction:
    """The box with what the classifier says of it, see :func:`square_around`."""
    assert found.box is not None  # noqa: S101 - a detector's
    crop = image.crop(square_around(found.box, image.size, classifier.middle))
    best = classifier.classify(crop, top=1).predictions[0]
    said = Classified(best.label, best.score, classifier.model_id)
    return msgspec.structs.replace(found, classified=said)


def square_around(
    box: tuple[float, float, float, float], size: tuple[int, int], seen: float
) -> tuple[int, int, int, int]:
    """The part of a picture to classify for a box: all of the box, and no more than it needs.

    A classifier looks at the middle of what it is given, so a box would lose its edges, and a long
    one its ends: a square with the box in its middle is cut out instead, moved or made smaller
    where the picture ends.

    Args:
        box: left, top, right, bottom as fractions.
        size: the picture's width and height, pixels.
        seen: the share of a crop's side that the classifier looks at.

    Returns:
        Left, top, right, bottom in pixels.
    """
    width, height = size
    left, right = box[0] * width, box[2] * width
    top, bottom = box[1] * height, box[3] * height
    side = max(right - left, bottom - top, 1.0) / seen
    edges = []
    for first, last, length in ((left, right, width), (top, bottom, height)):
        reach = min(side, length)
        start = min(max((first + last - reach) / 2, 0), length - reach)
        edges.append((int(start), max(int(start) + 1, round(start + reach))))
    (left_px, right_px), (top_px, bottom_px) = edges
    return left_px, top_px, right_px, bottom_px


def _stored(embedding: NDArray[np.float16]) -> bytes:
    return embedding.astype("<f2").tobytes()


def _signed(predictions: tuple[Prediction, ...], model: str | None) -> tuple[Prediction, ...]:
    """The predictions with the model that made them."""
    if model is None:
        return predictions
    return tuple(msgspec.structs.replace(each, model=model) for each in predictions)


@contextmanager
def _timed(elapsed_ms: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    elapsed_ms[step] = round((time.perf_counter() - start) * 1000, 3)
