"""Making networks smaller: int8, or weights stored as float16."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

Inputs = dict[str, NDArray[np.float32]]


# Smaller ones are not worth a node.
FEWEST_HALVED: Final = 1024


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration pictures, one a batch."""

    def __init__(self, inputs: Iterator[Inputs]) -> None:
        self.inputs = inputs

    def get_next(self) -> Inputs | None:
        return next(self.inputs, None)


def quantise(
    model: onnx.ModelProto, inputs: Iterator[Inputs], *, exclude: Sequence[str]
) -> onnx.ModelProto:
    """Quantise to int8: u8 activations, s8 weights with a scale for each output channel.

    Args:
        model: float32.
        inputs: what it is calibrated with.
        exclude: names of the nodes that stay float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_static(
            copy.deepcopy(model),  # it moves the weights of the model it is given to a file
            path,
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(exclude),
            op_types_to_quantize=["Conv", "Clip", "Add", "Gemm"],
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
        )
        return onnx.load(path)


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 weights as float16; a runtime makes them float32 again as it loads."""
    halved = copy.deepcopy(model)
    casts = []
    for each in halved.graph.initializer:
        weight = numpy_helper.to_array(each)
        if weight.dtype == np.float32 and weight.size >= FEWEST_HALVED:
            stored = f"{each.name}.float16"
            casts.append(helper.make_node("Cast", [stored], [each.name], to=TensorProto.FLOAT))
            each.CopyFrom(numpy_helper.from_array(weight.astype(np.float16), stored))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved
