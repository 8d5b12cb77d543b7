"""Writes what a network wants of its pixels into its own graph, and its card into its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from objectclassification.classification.adoption import source as sources
from objectclassification.classification.adoption.card import PREPROCESSING, Card, Preprocessing
from objectclassification.classification.adoption.source import Source
from objectclassification.classification.model_file import METADATA_KEY
from objectclassification.errors import ModelError

PREFIX: Final = "theirs/"
"""Before every name of the network's own, which may be any."""
SHORT_SIDE: Final = 256 / 224
"""Of the input's side: what a picture's shorter side is scaled to, as ImageNet's classifiers are
commonly evaluated (He et al. 2015, section 3.4)."""
LEAST_IR_VERSION: Final = 8
"""Before 4, weights had to be inputs, too."""
LEAST: Final = 1e-12
"""Before the logarithm of a probability."""


def adopt(file: Path, told: Card) -> bytes:
    """Makes a model that :class:`~objectclassification.classification.classifier.Classifier` reads.

    Args:
        file: any ONNX classifier.
        told: what the caller knows; the file's own metadata say the rest.

    Returns:
        An ONNX file: uint8 RGB ``[N, side, side, 3]`` as ``image``, ``logits`` ``[N, classes]``,
        and ``embedding`` ``[N, size]`` where there is one.

    Raises:
        ModelError: it cannot be used, or something must be said first.
        MissingExtra: the extra ``models`` is not installed.
    """
    source = sources.read(file)
    card = told.over(source.said)
    normalisation = card.normalisation()
    side = source.side or card.side
    _ask_for_what_is_missing(file, card, normalisation, side)
    assert card.labels and side  # noqa: S101 - both were asked for
    if source.classes not in (None, len(card.labels)):
        raise ModelError(
            f"{file} has {source.classes} classes, and there are {len(card.labels)} labels"
        )
    if card.side and source.side and card.side != source.side:
        raise ModelError(f"{file} takes {source.side} pixels a side, not {card.side}")
    model = _rewritten(source, normalisation or Preprocessing(), side, len(card.labels))
    short_side = card.short_side or round(side * SHORT_SIDE)
    if short_side < side:
        raise ModelError(f"a shorter side of {short_side} pixels does not hold a square of {side}")
    facts = {
        "id": card.id or file.stem,
        "license": card.license,
        "source": file.name,
        "preprocessing": {"short_side": short_side, "crop": side, "interpolation": "bicubic"},
        "labels": card.labels,
    }
    helper.set_model_props(model, {METADATA_KEY: json.dumps(facts, ensure_ascii=False)})
    sources.check(file, model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _ask_for_what_is_missing(
    file: Path, card: Card, normalisation: Preprocessing | None, side: int | None
) -> None:
    missing = []
    if card.labels is None:
        missing.append("its labels (--labels FILE, one a line, in the order of its output)")
    if normalisation is None:
        names = ", ".join(PREPROCESSING)
        missing.append(f"how it wants its pixels (--preprocess {names})")
    if side is None:
        missing.append("the pixels of its side (--side 224)")
    if missing:
        card_file = file.with_suffix(".toml").name
        raise ModelError(
            f"{file} does not say {'; nor '.join(missing)}. A file {card_file} beside it can say it"
        )


def _rewritten(
    source: Source, normalisation: Preprocessing, side: int, classes: int
) -> onnx.ModelProto:
    model = compose.add_prefix(source.model, PREFIX)
    graph = model.graph
    version = next((each.version for each in model.opset_import if each.domain == ""), 0)
    if version < 13:
        try:
            model = onnx.version_converter.convert_version(model, 13)
        except Exception as exc:  # its C++ errors have no class of their own
            raise ModelError(
                f"it is of ONNX opset {version}, and cannot be brought to 13: export it again"
            ) from exc
        graph = model.graph
    before = _Nodes()
    pixels = _feed(before, source, normalisation)
    after = _Nodes()
    logits = after.node("Reshape", [PREFIX + source.scores, after.constant("c", [-1, classes])])
    logits = after.node("Cast", [logits], to=TensorProto.FLOAT)
    if source.gives_probabilities:
        logits = after.node("Max", [logits, after.constant("least", np.float32(LEAST))])
        logits = after.node("Log", [logits])
    after.rename(logits, "logits")
    outputs = [_value("logits", TensorProto.FLOAT, classes)]
    if source.embedding is not None and (size := _size_of(model, PREFIX + source.embedding)):
        read = after.node("Reshape", [PREFIX + source.embedding, after.constant("e", [-1, size])])
        read = after.node("Cast", [read], to=TensorProto.FLOAT)
        after.rename(read, "embedding")
        outputs.append(_value("embedding", TensorProto.FLOAT, size))
    for node in graph.node:
        for number, name in enumerate(node.input):
            if name == PREFIX + source.pixels:
                node.input[number] = pixels
    whole = helper.make_graph(
        [*before.nodes, *graph.node, *after.nodes],
        "adopted",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", side, side, 3])],
        outputs,
        [*before.constants, *graph.initializer, *after.constants],
    )
    return helper.make_model(
        whole,
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=max(model.ir_version, LEAST_IR_VERSION),
    )


class _Nodes:
    """Collects nodes and numbers of our own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: object) -> str:
        array = np.asarray(value, np.int64 if isinstance(value, list) else None)
        self.constants.append(numpy_helper.from_array(array, f"ours/{name}"))
        return f"ours/{name}"

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"ours/{kind}/{inputs[0]}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def rename(self, output: str, name: str) -> None:
        self.nodes.append(helper.make_node("Identity", [output], [name], name=f"ours/{name}"))


def _feed(nodes: _Nodes, source: Source, wanted: Preprocessing) -> str:
    """From RGB uint8 ``[N, side, side, 3]`` to what the network reads; returns its name."""
    name = "image"
    if wanted.color == "bgr":
        name = nodes.node("Gather", [name, nodes.constant("bgr", [2, 1, 0])], axis=3)
    if source.kind != TensorProto.UINT8:
        # (value / scale - mean) / std, as one product and one sum for each channel.
        std = np.asarray(wanted.std, np.float64)
        factor = 1 / (wanted.scale * std)
        offset = -np.asarray(wanted.mean, np.float64) / std
        name = nodes.node("Cast", [name], to=TensorProto.FLOAT)
        name = nodes.node("Mul", [name, nodes.constant("factor", _single(factor))])
        name = nodes.node("Add", [name, nodes.constant("offset", _single(offset))])
        if source.kind == TensorProto.FLOAT16:
            name = nodes.node("Cast", [name], to=TensorProto.FLOAT16)
    if not source.channels_last:
        name = nodes.node("Transpose", [name], perm=[0, 3, 1, 2])
    return name


def _size_of(model: onnx.ModelProto, name: str) -> int | None:
    """The size of one row of a tensor in the graph, if it can be known."""
    try:
        shaped = onnx.shape_inference.infer_shapes(model)
    except Exception:  # noqa: BLE001 - a hint that is missing: the model has no embedding then
        return None
    for value in (*shaped.graph.value_info, *shaped.graph.input, *shaped.graph.output):
        if value.name == name:
            sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]
            size = int(np.prod(sizes)) if sizes else 0
            return size or None
    return None


def _single(value: NDArray[np.float64]) -> NDArray[np.float32]:
    return value.astype(np.float32)


def _value(name: str, kind: int, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N", size])
