"""Graph models of TensorFlow.js: read, and their convolutions translated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.build_models.network import Network

Floats = NDArray[np.float64]

DTYPES: Final = {"float32": "<f4", "int32": "<i4"}
CONVOLUTIONS: Final = ("Conv2D", "DepthwiseConv2dNative")


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph: its inputs' names, constants included, and its attributes."""

    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph model: nodes and constants by name."""

    nodes: dict[str, Node]
    weights: dict[str, NDArray[Any]]


def read_graph(path: Path) -> Graph:
    """Read a graph model.

    Args:
        path: its ``model.json``, with the shards beside it.
    """
    content = json.loads(path.read_text())
    nodes = {
        node["name"]: Node(node["op"], tuple(node.get("input", ())), node.get("attr", {}))
        for node in content["modelTopology"]["node"]
    }
    weights: dict[str, NDArray[Any]] = {}
    for group in content["weightsManifest"]:
        shards = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        offset = 0
        for each in group["weights"]:
            count = int(np.prod(each["shape"]))
            flat = np.frombuffer(shards, DTYPES[each["dtype"]], count, offset)
            weights[each["name"]] = flat.reshape(each["shape"])
            offset += flat.nbytes
    return Graph(nodes, weights)


class Translation:
    """Translates a graph's convolutions, and what lies between them, into a network.

    What multiplies a convolution's output, or is added to it, becomes part of its weights: batch
    normalisation in any of its forms, and biases.
    """

    def __init__(self, graph: Graph, net: Network, image: tuple[str, str, int]) -> None:
        """Describe a translation.

        Args:
            graph: to translate.
            net: where to.
            image: the tensor in the graph to begin at, what it is called in the network, and the
                pixels of its side.
        """
        self._graph = graph
        self._net = net
        begin, name, side = image
        self._names = {begin: name}
        self._sides = {name: side}

    def tensor(self, name: str, channels: NDArray[np.intp] | None = None) -> str:
        """Translate all that a tensor needs.

        Args:
            name: in the graph.
            channels: of a convolution's outputs, which to keep, in this order; None: all.

        Returns:
            Its name in the network, ``[N, channels, side, side]``.
        """
        if name not in self._names:
            node = self._graph.nodes[name]
            if node.op == "Relu6":
                before = self.tensor(node.inputs[0])
                self._names[name] = self._net.relu6(before)
                self._sides[self._names[name]] = self._sides[before]
            else:
                self._names[name] = self._affine(name, np.array(1.0), np.array(0.0), channels)
        return self._names[name]

    def channels(self, name: str) -> int:
        """How many outputs a convolution of the graph has."""
        return int(self._graph.weights[self._graph.nodes[name].inputs[1]].shape[-1])

    def _affine(
        self, name: str, factor: Floats, offset: Floats, channels: NDArray[np.intp] | None = None
    ) -> str:
        """``tensor(name) * factor + offset``, folded into the convolution it comes from."""
        node = self._graph.nodes[name]
        if node.op == "FusedBatchNorm":
            gamma, beta, mean, variance = (self._constant(each) for each in node.inputs[1:])
            scale = gamma / np.sqrt(variance + node.attributes["epsilon"]["f"])
            shift = beta - mean * scale
            return self._affine(node.inputs[0], factor * scale, offset + factor * shift, channels)
        if node.op in ("Mul", "Add", "BiasAdd"):
            # Which of the two is the constant differs from node to node.
            x, constant = sorted(node.inputs, key=self._graph.weights.__contains__)
            value = self._constant(constant)
            if node.op == "Mul":
                return self._affine(x, factor * value, offset, channels)
            return self._affine(x, factor, offset + factor * value, channels)
        if node.op == "AddN":
            # TensorFlow moved the bias behind the sum; only the convolution takes it.
            inputs = sorted(node.inputs, key=lambda each: self._graph.nodes[each].op != "Conv2D")
            conv, skip = self._affine(inputs[0], factor, offset), self.tensor(inputs[1])
            return self._with_side(self._net.node("Add", [conv, skip], name), self._sides[skip])
        if node.op in CONVOLUTIONS:
            return self._convolution(name, factor, offset, channels)
        raise ValueError(f"{name} is a {node.op}, which is not translated")

    def _convolution(
        self, name: str, factor: Floats, offset: Floats, channels: NDArray[np.intp] | None
    ) -> str:
        node = self._graph.nodes[name]
        x = self.tensor(node.inputs[0])
        weight = self._constant(node.inputs[1]).transpose(3, 2, 0, 1)
        groups = 1
        if node.op != "Conv2D":  # [kernel, kernel, channels, 1], and one output for each channel
            weight = weight.transpose(1, 0, 2, 3)
            groups = len(weight)
        weight = weight * np.broadcast_to(factor, len(weight))[:, None, None, None]
        bias = np.broadcast_to(offset, len(weight))
        if channels is not None:
            weight, bias = weight[channels], bias[channels]
        side, stride = self._sides[x], int(node.attributes["strides"]["list"]["i"][1])
        self._net.conv(x, name, weight, bias, side=side, stride=stride, groups=groups)
        return self._with_side(name, -(-side // stride))

    def _constant(self, name: str) -> Floats:
        return self._graph.weights[name].astype(np.float64)

    def _with_side(self, name: str, side: int) -> str:
        self._sides[name] = side
        return name
