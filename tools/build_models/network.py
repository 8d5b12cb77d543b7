"""Writing networks as ONNX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from objectclassification.classification.model_file import METADATA_KEY

# 13 is the first opset with per-channel QDQ; 17 and IR 9 are read by every supported runtime.
OPSET: Final = 17
IR_VERSION: Final = 9

Shape = tuple[int, ...]


class Network:
    """Collects the nodes and weights of one graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: set[str] = set()

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Adds a constant; returns its name."""
        self.initializers.append(numpy_helper.from_array(value, name))
        self._names.add(name)
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name, which is the node's."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def split(self, inputs: Sequence[str], names: Sequence[str], *, axis: int) -> None:
        """Adds a split into as many outputs as there are names."""
        self.nodes.append(helper.make_node("Split", inputs, names, name=names[0], axis=axis))

    def conv(
        self,
        x: str,
        name: str,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64],
        *,
        side: int,
        stride: int = 1,
        groups: int = 1,
    ) -> str:
        """Adds a convolution, padded like TensorFlow's SAME; returns its output's name.

        Args:
            x: the input's name.
            name: of the node.
            weight: ``[out, in / groups, kernel, kernel]``.
            bias: ``[out]``.
            side: pixels of the square input.
            stride: of both axes.
            groups: 1, or the channels of a depthwise convolution.
        """
        kernel = weight.shape[-1]
        # SAME puts the odd pixel of padding after the image, not before it.
        padding = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        before, after = padding // 2, padding - padding // 2
        return self.node(
            "Conv",
            [
                x,
                self.constant(f"{name}.weight", weight.astype(np.float32)),
                self.constant(f"{name}.bias", bias.astype(np.float32)),
            ],
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )

    def relu6(self, x: str) -> str:
        """Adds a ReLU that is cut at 6; returns its output's name."""
        for name, value in (("zero", 0), ("six", 6)):
            if name not in self._names:
                self.constant(name, np.array(value, np.float32))
        return self.node("Clip", [x, "zero", "six"], f"{x}.relu6")

    def append(self, model: onnx.ModelProto) -> None:
        """Adds another model's nodes and weights behind these."""
        self.nodes += model.graph.node
        self.initializers += model.graph.initializer

    def model(
        self, name: str, image: tuple[str, int, Shape], outputs: Sequence[tuple[str, Shape]]
    ) -> onnx.ModelProto:
        """Makes the model.

        Args:
            name: of the graph.
            image: the input's name, its ONNX type and its shape without the batch.
            outputs: names and shapes without the batch; all are float32.
        """
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(image[0], image[1], ["N", *image[2]])],
            [
                helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape])
                for output, shape in outputs
            ],
            self.initializers,
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)


def add_metadata(model: onnx.ModelProto, facts: dict[str, Any]) -> None:
    """Put what a caller must know about the model into the file: one JSON object."""
    helper.set_model_props(model, {METADATA_KEY: json.dumps(facts, ensure_ascii=False)})
