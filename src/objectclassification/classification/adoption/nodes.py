"""Nodes of our own, before and behind a network of somebody else's."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from objectclassification.classification.adoption.card import Preprocessing
from objectclassification.classification.adoption.source import Source
from objectclassification.errors import ModelError

PREFIX: Final = "theirs/"
"""Before every name of the network's own, which may be any."""
LEAST_IR_VERSION: Final = 8
"""Before 4, weights had to be inputs, too."""
OPSET: Final = 13
"""The oldest that our nodes are of."""


class Nodes:
    """Collects nodes and numbers of our own.

    Args:
        where: a word before their names.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | np.float32 | list[int]) -> str:
        """Adds an array, of int64 if it is a list; returns its name."""
        array = np.asarray(value, np.int64 if isinstance(value, list) else None)
        name = f"ours/{self._where}/constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        name = f"ours/{self._where}/{len(self.nodes)}/{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def part(self, name: str, start: int, end: int) -> str:
        """The columns of a table ``[N, rows, columns]`` from ``start`` to before ``end``."""
        edges = (self.constant([edge]) for edge in (start, end, 2))
        return self.node("Slice", [name, *edges])

    def single(self, name: str) -> str:
        """A tensor in float32."""
        return self.node("Cast", [name], to=TensorProto.FLOAT)

    def output(self, name: str, called: str) -> None:
        """Gives a tensor a name of its own."""
        self.nodes.append(helper.make_node("Identity", [name], [called], name=f"ours/{called}"))


def prefixed(source: Source) -> onnx.ModelProto:
    """The network with :data:`PREFIX` before its names, of an opset that our nodes are of.

    Raises:
        ModelError: it is older, and cannot be made newer.
    """
    model = compose.add_prefix(source.model, PREFIX)
    version = next((each.version for each in model.opset_import if each.domain == ""), 0)
    if version >= OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as exc:  # its C++ errors have no class of their own
        raise ModelError(
            f"it is of ONNX opset {version}, and cannot be brought to {OPSET}: export it again"
        ) from exc


def joined(
    model: onnx.ModelProto,
    source: Source,
    wanted: Preprocessing,
    size: tuple[int, int],
    after: Nodes,
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """A network between what feeds it, from uint8 RGB ``[N, height, width, 3]``, and ``after``.

    Args:
        model: as :func:`prefixed` made it.
        source: the same as its file had it.
        wanted: what it wants of its pixels.
        size: width and height of its input.
        after: what reads its outputs.
        outputs: of ``after``.
    """
    before = Nodes("before")
    pixels = _feed(before, source, wanted)
    for node in model.graph.node:
        for number, name in enumerate(node.input):
            if name == PREFIX + source.pixels:
                node.input[number] = pixels
    width, height = size
    whole = helper.make_graph(
        [*before.nodes, *model.graph.node, *after.nodes],
        "adopted",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])],
        outputs,
        [*before.constants, *model.graph.initializer, *after.constants],
    )
    return helper.make_model(
        whole,
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=max(model.ir_version, LEAST_IR_VERSION),
    )


def value(name: str, *sizes: int | str) -> onnx.ValueInfoProto:
    """Describes a float32 output ``[N, …]``."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *sizes])


def _feed(nodes: Nodes, source: Source, wanted: Preprocessing) -> str:
    """From RGB uint8 ``[N, height, width, 3]`` to what the network reads; returns its name."""
    name = "image"
    if wanted.color == "bgr":
        name = nodes.node("Gather", [name, nodes.constant([2, 1, 0])], axis=3)
    if source.kind != TensorProto.UINT8:
        # (value / scale - mean) / std, as one product and one sum for each channel.
        std = np.asarray(wanted.std, np.float64)
        factor = 1 / (wanted.scale * std)
        offset = -np.asarray(wanted.mean, np.float64) / std
        name = nodes.single(name)
        name = nodes.node("Mul", [name, nodes.constant(factor.astype(np.float32))])
        name = nodes.node("Add", [name, nodes.constant(offset.astype(np.float32))])
        if source.kind == TensorProto.FLOAT16:
            name = nodes.node("Cast", [name], to=TensorProto.FLOAT16)
    if not source.channels_last:
        name = nodes.node("Transpose", [name], perm=[0, 3, 1, 2])
    return name if source.has_batch else nodes.node("Squeeze", [name, nodes.constant([0])])
