"""How good a model is on pictures whose content is known.

Pictures are looked at one after the other on one thread, as a classifying child works, so that the
speed means something. What is kept does not grow with the pictures, but for some 100 bytes of each.
"""

from __future__ import annotations

import heapq
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final, TypeVar

import msgspec

from objectclassification.classification.boxes import ClassPrecision, Detections
from objectclassification.classification.predictions import Classification, Prediction
from objectclassification.classification.samples import Sample
from objectclassification.classification.scores import Bin, Calibration, Share, cover, separation
from objectclassification.errors import ImageError, NotFound, ObjectClassificationError, Undecodable
from objectclassification.sureness import DEFAULT_PRECISION, Coverage

TOP: Final = 5
MOST_MISTAKES: Final = 30
MOST_REFUSED: Final = 1000
"""That are listed; all are counted."""

T = TypeVar("T")
Progress = Callable[[int], None]
"""Told how many pictures were looked at."""


class Refused(msgspec.Struct, frozen=True):
    """A file that is not a picture we can use: ``code`` is the error's, ``detail`` its line."""

    file: str
    code: str
    detail: str


class Mistake(msgspec.Struct, frozen=True):
    """A picture that was given a wrong label, and how sure of it the model was."""

    file: str
    truth: str
    predicted: str
    score: float


class ClassScore(msgspec.Struct, frozen=True):
    """How well one class is recognized.

    Attributes:
        label: the class.
        pictures: that show it.
        right: how many of them were named so.
        named: how many pictures were named so, rightly or not.
    """

    label: str
    pictures: int
    right: int
    named: int


class Speed(msgspec.Struct, frozen=True):
    """How long pictures took, on one thread.

    Attributes:
        median_ms: from the file to the answer.
        p95_ms: of 95 in 100 pictures, at most.
        decode_ms: of that, the median for decoding; None where it is not known.
        infer_ms: and for the model.
        pictures_per_s: one through the mean.
    """

    median_ms: float
    p95_ms: float
    decode_ms: float | None
    infer_ms: float | None
    pictures_per_s: float


class Evaluation(msgspec.Struct, frozen=True):
    """How good a classifier is.

    Attributes:
        model: its name.
        model_sha256: of its file.
        pictures: how many it looked at.
        top1: its best label was right.
        top5: one of its best five was.
        ece: expected calibration error of the confidences, 0 to 1.
        separation: how often a right answer is more confident than a wrong one (AUROC); None
            without both.
        coverage: from which confidence on answers are right as often as wanted, and how many these
            are; None if no threshold does it.
        calibration: accuracy beside confidence, the least confident first.
        classes: by name.
        confusion: how many pictures of the first label were named the second, right ones included.
        mistakes: the surest first.
        refused: files that could not be used, the first :data:`MOST_REFUSED`.
        refused_files: how many there were.
        speed: None if there was no picture.
    """

    model: str
    model_sha256: str
    pictures: int
    top1: Share
    top5: Share
    ece: float
    separation: float | None
    coverage: Coverage | None
    calibration: tuple[Bin, ...]
    classes: tuple[ClassScore, ...]
    confusion: dict[str, dict[str, int]]
    mistakes: tuple[Mistake, ...]
    refused: tuple[Refused, ...]
    refused_files: int
    speed: Speed | None


class BoxEvaluation(msgspec.Struct, frozen=True):
    """How good a detector is; ``map50`` is mAP@50, the rest as in :class:`Evaluation`."""

    model: str
    model_sha256: str
    pictures: int
    map50: float
    classes: tuple[ClassPrecision, ...]
    refused: tuple[Refused, ...]
    refused_files: int
    speed: Speed | None


class Classifies(msgspec.Struct, frozen=True):
    """What is evaluated: a model's name, its file's hash, and how it looks at a picture."""

    model: str
    model_sha256: str
    classify: Callable[[Path], Classification]


class Detects(msgspec.Struct, frozen=True):
    """A detector: a model's name, its file's hash, and how it looks at a picture."""

    model: str
    model_sha256: str
    detect: Callable[[Path], Sequence[Prediction]]


def evaluate(
    model: Classifies,
    samples: Sequence[Sample],
    progress: Progress,
    precision: float = DEFAULT_PRECISION,
) -> Evaluation:
    """Compares a classifier's labels with the right ones.

    Args:
        model: the classifier; it gives its best five labels, if it has so many.
        samples: the pictures, with a label each.
        progress: told after each picture.
        precision: the share of answers that should be right, of those that are not unsure.
    """
    looks, calibration = _Looks(progress), Calibration()
    pairs: Counter[tuple[str, str]] = Counter()
    mistakes: list[tuple[float, int, Mistake]] = []
    among_best = 0
    sure: list[tuple[float, bool]] = []
    for sample, found in looks.each(samples, model.classify):
        looks.took(found.elapsed_ms.get("decode"), found.elapsed_ms.get("infer"))
        best = found.predictions[0]
        right = best.label == sample.label
        among_best += any(one.label == sample.label for one in found.predictions[:TOP])
        calibration.add(found.confidence, right)
        sure.append((found.confidence, right))
        pairs[sample.label, best.label] += 1
        if not right:
            mistake = Mistake(sample.name, sample.label, best.label, best.score)
            heapq.heappush(mistakes, (best.score, -looks.pictures, mistake))
            if len(mistakes) > MOST_MISTAKES:
                heapq.heappop(mistakes)
    confusion: dict[str, dict[str, int]] = {}
    for (truth, predicted), number in sorted(pairs.items()):
        confusion.setdefault(truth, {})[predicted] = number
    classes = _classes(pairs)
    return Evaluation(
        model=model.model,
        model_sha256=model.model_sha256,
        pictures=looks.pictures,
        top1=Share.counted(sum(one.right for one in classes), looks.pictures),
        top5=Share.counted(among_best, looks.pictures),
        ece=calibration.error(),
        separation=separation(
            [confidence for confidence, right in sure if right],
            [confidence for confidence, right in sure if not right],
        ),
        coverage=cover(sure, precision),
        calibration=calibration.bins(),
        classes=classes,
        confusion=confusion,
        mistakes=tuple(mistake for _, _, mistake in sorted(mistakes, reverse=True)),
        refused=tuple(looks.refused),
        refused_files=looks.refused_files,
        speed=looks.speed(),
    )


def evaluate_boxes(model: Detects, samples: Sequence[Sample], progress: Progress) -> BoxEvaluation:
    """Compares a detector's boxes with the right ones.

    Args:
        model: the detector.
        samples: the pictures, with their boxes.
        progress: told after each picture.
    """
    looks, detections = _Looks(progress), Detections()
    for sample, found in looks.each(samples, model.detect):
        looks.took(None, None)
        detections.add(found, sample.boxes)
    return BoxEvaluation(
        model=model.model,
        model_sha256=model.model_sha256,
        pictures=looks.pictures,
        map50=detections.mean_average_precision(),
        classes=detections.classes(),
        refused=tuple(looks.refused),
        refused_files=looks.refused_files,
        speed=looks.speed(),
    )


def confused(confusion: Mapping[str, Mapping[str, int]]) -> Sequence[tuple[str, str, int]]:
    """True label, wrong label and how often, the most frequent first."""
    pairs = [
        (truth, predicted, number)
        for truth, named in confusion.items()
        for predicted, number in named.items()
        if truth != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair))


class _Looks:
    """Looks at pictures, and keeps what that took and which could not be used."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._ms, self._decode_ms, self._infer_ms = array("d"), array("f"), array("f")
        self.pictures = self.refused_files = 0
        self.refused: list[Refused] = []

    def each(
        self, samples: Sequence[Sample], look: Callable[[Path], T]
    ) -> Iterator[tuple[Sample, T]]:
        """Every sample whose file is a picture, with what was seen on it."""
        for number, sample in enumerate(samples, 1):
            began = time.perf_counter()
            try:
                if not sample.path.is_file():  # a pipe would be waited for
                    raise NotFound("there is no such file")
                found = look(sample.path)
            except (ImageError, NotFound) as exc:
                self._refuse(sample, exc)
            except OSError as exc:
                self._refuse(sample, NotFound(f"it cannot be read: {exc.strerror}"))
            except MemoryError:
                self._refuse(sample, Undecodable("decoding it takes more memory than there is"))
            else:
                self._ms.append((time.perf_counter() - began) * 1000)
                self.pictures += 1
                yield sample, found
            self._progress(number)

    def took(self, decode_ms: float | None, infer_ms: float | None) -> None:
        """Notes the stages of the last picture, as far as they are known."""
        if decode_ms is not None:
            self._decode_ms.append(decode_ms)
        if infer_ms is not None:
            self._infer_ms.append(infer_ms)

    def speed(self) -> Speed | None:
        """What the pictures took."""
        if not self._ms:
            return None
        # One picture has no quantiles.
        p95 = quantiles(self._ms, n=20)[-1] if len(self._ms) > 1 else self._ms[0]
        return Speed(
            median_ms=median(self._ms),
            p95_ms=p95,
            decode_ms=median(self._decode_ms) if self._decode_ms else None,
            infer_ms=median(self._infer_ms) if self._infer_ms else None,
            pictures_per_s=1000 * len(self._ms) / sum(self._ms),
        )

    def _refuse(self, sample: Sample, why: ObjectClassificationError) -> None:
        self.refused_files += 1
        if len(self.refused) < MOST_REFUSED:
            self.refused.append(Refused(sample.name, why.code, why.detail))


def _classes(pairs: Counter[tuple[str, str]]) -> tuple[ClassScore, ...]:
    pictures: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for (truth, predicted), number in pairs.items():
        pictures[truth] += number
        named[predicted] += number
    return tuple(
        ClassScore(label, number, pairs[label, label], named[label])
        for label, number in sorted(pictures.items())
    )
