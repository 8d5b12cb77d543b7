"""Detectors: however they answer, it becomes boxes and scores.

What a detector here gives has one form: for each of its anchors a box, left, top, right and bottom
as fractions of its input, and a score for each label. One whose boxes are chosen already gives
these as anchors, with all their score on one label.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from objectclassification.classification.adoption.card import BoxOrder, Card, Preprocessing
from objectclassification.classification.adoption.nodes import (
    PREFIX,
    Nodes,
    joined,
    prefixed,
    value,
)
from objectclassification.classification.adoption.source import Source
from objectclassification.classification.adoption.styles import Answer, recognise
from objectclassification.errors import ModelError

# What left, top, right and bottom are made of: how much of each of a box's four numbers.
_EDGES: Final[dict[BoxOrder, list[list[float]]]] = {
    "ltrb": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "tlbr": [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
    "cxcywh": [[1, 0, -0.5, 0], [0, 1, 0, -0.5], [1, 0, 0.5, 0], [0, 1, 0, 0.5]],
    "ltwh": [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]],
}
_ITS_BOXES_ARE_CHOSEN: Final = frozenset({"end2end", "chosen"})


def adopt(
    source: Source, card: Card, wanted: Preprocessing, size: tuple[int, int]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Makes a model that :class:`~objectclassification.classification.detector.Detector` reads.

    Args:
        source: the network.
        card: what is known of it, its labels among that.
        wanted: what it wants of its pixels.
        size: width and height of its input.

    Returns:
        The model, which gives ``boxes`` ``[N, anchors, 4]`` and ``scores`` ``[N, anchors,
        labels]``; and facts about it.

    Raises:
        ModelError: it is no detector that we can use, or something must be said first.
    """
    labels = len(card.labels or ())
    answer = recognise(source, card, labels)
    card = _completed(source, card, answer, labels)
    model, after = prefixed(source), Nodes("after")
    boxes, scores = _Reading(after, answer, card, labels).boxes_and_scores()
    after.output(after.node("MatMul", [boxes, after.constant(_edges(card, size))]), "boxes")
    after.output(scores, "scores")
    anchors = answer.anchors or "anchors"
    outputs = [value("boxes", anchors, 4), value("scores", anchors, labels)]
    preprocessing = {"fit": card.fit or answer.fit, "interpolation": "bilinear"}
    facts: dict[str, Any] = {"preprocessing": preprocessing}
    if card.min_score is not None:
        facts["min_score"] = card.min_score
    if card.max_overlap is not None:
        facts["max_overlap"] = card.max_overlap
    elif answer.style in _ITS_BOXES_ARE_CHOSEN:
        facts["max_overlap"] = 1.0
    return joined(model, source, wanted, size, after, outputs), facts


def _completed(source: Source, card: Card, answer: Answer, labels: int) -> Card:
    """The card, with what is known of such networks where it says nothing.

    Raises:
        ModelError: something must be said first.
    """
    card = card.over(Card(box=answer.box, unit=answer.unit, first_class=answer.first_class))
    missing = []
    if card.box is None:
        missing.append('what its boxes are (box = "ltrb", "tlbr", "cxcywh" or "ltwh")')
    if card.unit is None:
        missing.append('in which unit (unit = "pixels" or "fractions")')
    if card.first_class is None and answer.style == "chosen":
        missing.append("the number of its first label (first_class = 0 or 1)")
    if answer.style == "ssd" and card.background is None:
        if answer.columns == labels + 1:
            missing.append('which score is of nothing at all (background = "first" or "last")')
        elif answer.columns not in (None, labels):
            raise ModelError(
                f"{source.file} has {answer.columns} scores for each box, and there are {labels} "
                "labels: one each, or one more for nothing at all"
            )
    if missing:
        raise ModelError(
            f"{source.file} is a detector, and does not say {'; nor '.join(missing)}. A file "
            f"{source.file.with_suffix('.toml').name} beside it can say it"
        )
    return card


def _edges(card: Card, size: tuple[int, int]) -> NDArray[np.float32]:
    """``[4, 4]``: what makes left, top, right and bottom, as fractions, of a box's four numbers."""
    assert card.box  # noqa: S101 - it was asked for
    lengths = np.array(size * 2 if card.unit == "pixels" else (1, 1, 1, 1), np.float64)
    return (np.array(_EDGES[card.box]).T / lengths).astype(np.float32)


class _Reading:
    """What reads a network's outputs, node by node.

    Args:
        after: where nodes go.
        answer: how the network answers.
        card: complete.
        labels: how many.
    """

    def __init__(self, after: Nodes, answer: Answer, card: Card, labels: int) -> None:
        self._after, self._answer, self._card, self._labels = after, answer, card, labels

    def boxes_and_scores(self) -> tuple[str, str]:
        """Names of boxes ``[N, anchors, 4]``, as they are, and scores ``[N, anchors, labels]``."""
        after, labels = self._after, self._labels
        table = self._table(self._answer.boxes)
        match self._answer.style:
            case "ssd":
                return table, self._of_labels(self._activated(self._table(self._answer.scores)))
            case "chosen":
                return table, self._spread(self._counted(), self._column(self._answer.classes))
            case "end2end":
                scores = self._spread(after.part(table, 4, 5), after.part(table, 5, 6))
            case "yolo":
                scores = self._activated(after.part(table, 4, 4 + labels))
            case "yolov5":
                there = self._activated(after.part(table, 4, 5))
                which = self._activated(after.part(table, 5, 5 + labels))
                scores = after.node("Mul", [which, there])
        return after.part(table, 0, 4), scores

    def _table(self, name: str) -> str:
        """An output as ``[N, boxes, columns]``."""
        table = self._after.single(PREFIX + name)
        if not self._answer.rows_first:
            table = self._after.node("Transpose", [table], perm=[0, 2, 1])
        return table if self._answer.has_batch else self._unsqueezed(table, 0)

    def _column(self, name: str) -> str:
        """An output ``[N, boxes]`` as ``[N, boxes, 1]``."""
        column = self._after.single(PREFIX + name)
        if not self._answer.has_batch:
            column = self._unsqueezed(column, 0)
        return self._unsqueezed(column, 2)

    def _unsqueezed(self, name: str, axis: int) -> str:
        return self._after.node("Unsqueeze", [name, self._after.constant([axis])])

    def _activated(self, scores: str) -> str:
        match self._card.activation:
            case "sigmoid":
                return self._after.node("Sigmoid", [scores])
            case "softmax":
                return self._after.node("Softmax", [scores], axis=2)
        return scores

    def _of_labels(self, scores: str) -> str:
        """Scores without the one of nothing at all."""
        if self._card.background in (None, "none"):
            return scores
        start = 1 if self._card.background == "first" else 0
        return self._after.part(scores, start, start + self._labels)

    def _counted(self) -> str:
        """Scores of boxes that were chosen, ``[N, boxes, 1]``: 0 behind the last one."""
        scores = self._column(self._answer.scores)
        if not self._answer.count:
            return scores
        after = self._after
        length = after.node("Gather", [after.node("Shape", [scores]), after.constant([1])])
        length = after.node("Squeeze", [length, after.constant([0])])
        zero, one = (after.constant(np.array(number, np.int64)) for number in (0, 1))
        places = after.node("Range", [zero, length, one])
        places = after.node("Reshape", [places, after.constant([1, -1, 1])])
        count = after.node("Cast", [PREFIX + self._answer.count], to=TensorProto.INT64)
        count = after.node("Reshape", [count, after.constant([-1, 1, 1])])
        is_there = after.node("Less", [places, count])
        return after.node("Where", [is_there, scores, after.constant(np.float32(0))])

    def _spread(self, scores: str, classes: str) -> str:
        """One score and the number of its class, ``[N, boxes, 1]`` each, as a score a label."""
        first = self._card.first_class or 0
        numbers = np.arange(first, first + self._labels, dtype=np.float32)
        is_it = self._after.node("Equal", [classes, self._after.constant(numbers)])
        return self._after.node("Mul", [scores, self._after.single(is_it)])
