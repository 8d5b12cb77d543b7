"""Quantising networks to int8."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

Inputs = dict[str, NDArray[np.float32]]


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
