"""Classifiers: their scores become logits, and what their last layer reads an embedding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx

from objectclassification.classification.adoption.card import Card, Preprocessing
from objectclassification.classification.adoption.nodes import (
    PREFIX,
    Nodes,
    joined,
    prefixed,
    value,
)
from objectclassification.classification.adoption.source import Output, Source
from objectclassification.errors import ModelError

SHORT_SIDE: Final = 256 / 224
"""Of the input's side: what a picture's shorter side is scaled to, as ImageNet's classifiers are
commonly evaluated (He et al. 2015, section 3.4)."""
LEAST: Final = 1e-12
"""Before the logarithm of a probability."""
_ENDS_IN: Final = {"Softmax": True, "LogSoftmax": False}
_PASSES: Final = frozenset({"Identity", "Cast", "Squeeze", "Reshape", "Flatten"})


def answers_as_one(outputs: tuple[Output, ...]) -> bool:
    """Whether a network answers as a classifier does: a score for each class."""
    return len(outputs) == 1 and len(outputs[0].shape) >= 2 and len(_sizes(outputs[0])) <= 1


def adopt(
    source: Source, card: Card, wanted: Preprocessing, size: tuple[int, int]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Makes a model that :class:`~objectclassification.classification.classifier.Classifier` reads.

    Args:
        source: the network.
        card: what is known of it, its labels among that.
        wanted: what it wants of its pixels.
        size: width and height of its input.

    Returns:
        The model, which gives ``logits`` ``[N, classes]``, and ``embedding`` ``[N, size]`` where
        there is one; and facts about it.

    Raises:
        ModelError: it is no classifier that we can use.
    """
    file, labels = source.file, card.labels or ()
    side, height = size
    if side != height:
        raise ModelError(
            f"{file} takes pictures of {side} x {height}; only squares are cut out for a classifier"
        )
    if not answers_as_one(source.outputs):
        raise ModelError(
            f"{file} answers {', '.join(map(str, source.outputs))}; a classifier answers one score "
            "for each class, [N, classes]"
        )
    (scores,) = source.outputs
    classes = next(iter(_sizes(scores)), None)
    if classes not in (None, len(labels)):
        raise ModelError(f"{file} has {classes} classes, and there are {len(labels)} labels")
    short_side = card.short_side or round(side * SHORT_SIDE)
    if short_side < side:
        raise ModelError(f"a shorter side of {short_side} pixels does not hold a square of {side}")
    last = _last_layer(source, scores.name)
    facts = {
        "preprocessing": {"short_side": short_side, "crop": side, "interpolation": "bicubic"},
        "activation": "sigmoid" if last.each_by_itself else "softmax",
    }
    return _rewritten(source, last, wanted, side, len(labels)), facts


def _sizes(output: Output) -> list[int | None]:
    return [size for size in output.shape[1:] if size != 1]


def _rewritten(
    source: Source, last: _LastLayer, wanted: Preprocessing, side: int, classes: int
) -> onnx.ModelProto:
    model, after = prefixed(source), Nodes("after")
    rows = after.constant([-1, classes])
    logits = after.single(after.node("Reshape", [PREFIX + last.gives, rows]))
    if last.gives_probabilities:
        least = after.constant(np.float32(LEAST))
        logits = after.node("Log", [after.node("Max", [logits, least])])
    after.output(logits, "logits")
    outputs = [value("logits", classes)]
    if last.reads is not None and (size := _size_of(model, PREFIX + last.reads)):
        rows = after.constant([-1, size])
        read = after.single(after.node("Reshape", [PREFIX + last.reads, rows]))
        after.output(read, "embedding")
        outputs.append(value("embedding", size))
    return joined(model, source, wanted, (side, side), after, outputs)


@dataclass(frozen=True, slots=True)
class _LastLayer:
    """The dense layer that makes the scores, and what comes after it.

    Attributes:
        gives: the name of what is read: the network's output, or what its sigmoid reads.
        reads: the name of what it reads itself, None if there is no such layer.
        gives_probabilities: a softmax is behind it.
        each_by_itself: a sigmoid is.
    """

    gives: str
    reads: str | None = None
    gives_probabilities: bool = False
    each_by_itself: bool = False


def _last_layer(source: Source, scores: str) -> _LastLayer:
    made = {name: node for node in source.model.graph.node for name in node.output}
    last, name, is_bare = _LastLayer(scores), scores, True
    while (node := made.get(name)) is not None:
        if node.op_type in _ENDS_IN:
            probabilities = last.gives_probabilities or _ENDS_IN[node.op_type]
            last = replace(last, gives_probabilities=probabilities)
        elif node.op_type in ("Gemm", "MatMul"):
            return replace(last, reads=node.input[0])
        elif node.op_type == "Sigmoid" and is_bare:
            last = replace(last, gives=node.input[0], each_by_itself=True)
        elif node.op_type not in (*_PASSES, "Add"):
            break
        is_bare &= node.op_type in _PASSES
        name = node.input[0]
    return last


def _size_of(model: onnx.ModelProto, name: str) -> int | None:
    """The size of one row of a tensor in the graph, if it can be known."""
    try:
        shaped = onnx.shape_inference.infer_shapes(model)
    except Exception:  # noqa: BLE001 - a hint that is missing: the model has no embedding then
        return None
    for each in (*shaped.graph.value_info, *shaped.graph.input, *shaped.graph.output):
        if each.name == name:
            sizes = [dim.dim_value for dim in each.type.tensor_type.shape.dim[1:]]
            size = int(np.prod(sizes)) if sizes else 0
            return size or None
    return None
