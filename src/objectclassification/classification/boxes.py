"""How good boxes are: mAP@50 as PASCAL VOC has measured it since 2010. No I/O.

The rules are those of Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV
2010, section 4.2, and of VOCevaldet.m in the VOC2012 development kit: a detection belongs to the
object of its class that it overlaps most, counts as right if that is half or more and the object
was not found before, and the precision that the average is over is the best at that recall or more.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from objectclassification.receipts import Prediction

LEAST_OVERLAP: Final = 0.5
"""The 50 of mAP@50."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in any unit, the same for all."""


class ClassPrecision(msgspec.Struct, frozen=True):
    """How well one class is found.

    Attributes:
        label: the class.
        objects: how many there were.
        detections: how many boxes were given for them.
        average_precision: 0 to 1.
    """

    label: str
    objects: int
    detections: int
    average_precision: float


class Detections:
    """Boxes beside the true ones, counted picture by picture.

    Takes five bytes for each detection.
    """

    def __init__(self) -> None:
        self._objects: dict[str, int] = {}
        self._scores: dict[str, array[float]] = {}
        self._right: dict[str, bytearray] = {}

    def add(self, found: Sequence[Prediction], truths: Sequence[tuple[str, Box]]) -> None:
        """Counts one picture.

        Args:
            found: what was found on it; predictions without a box are passed over.
            truths: label and box of every object that is on it.
        """
        boxes: dict[str, list[Box]] = {}
        for label, box in truths:
            boxes.setdefault(label, []).append(box)
            self._objects[label] = self._objects.get(label, 0) + 1
        taken: set[tuple[str, int]] = set()
        for one in sorted(found, key=lambda one: -one.score):
            if one.box is None:
                continue
            overlaps = [overlap(one.box, box) for box in boxes.get(one.label, ())]
            most = max(overlaps, default=0.0)
            place = (one.label, overlaps.index(most) if overlaps else -1)
            right = most >= LEAST_OVERLAP and place not in taken
            if right:
                taken.add(place)
            self._scores.setdefault(one.label, array("f")).append(one.score)
            self._right.setdefault(one.label, bytearray()).append(right)

    def classes(self) -> tuple[ClassPrecision, ...]:
        """Every class that had an object, by name."""
        return tuple(
            ClassPrecision(
                label,
                objects,
                len(self._scores.get(label, ())),
                average_precision(
                    np.asarray(self._scores.get(label, ()), np.float32),
                    np.frombuffer(self._right.get(label, b""), np.uint8).astype(bool),
                    objects,
                ),
            )
            for label, objects in sorted(self._objects.items())
        )

    def mean_average_precision(self) -> float:
        """mAP@50, 0 to 1: the mean over the classes that had an object; 0 of none."""
        found = [one.average_precision for one in self.classes()]
        return sum(found) / len(found) if found else 0.0


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1; 0 if either has no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def average_precision(scores: NDArray[np.float32], right: NDArray[np.bool_], objects: int) -> float:
    """The area under precision over recall, with the best precision at that recall or more.

    Args:
        scores: ``[n]``, of the detections.
        right: ``[n]``, which of them are.
        objects: how many could have been found.

    Returns:
        0 to 1; 0 if there was nothing to find.
    """
    if not objects or not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order])
    precision = found / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall rises by one object at each right detection, and nowhere else.
    return float(best[right[order]].sum() / objects)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
