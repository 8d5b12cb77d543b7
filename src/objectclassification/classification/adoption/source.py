"""What an ONNX file says of itself, read without running it and without leaving its folder."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from objectclassification.classification.adoption.card import Card
from objectclassification.classification.trial import MOST_BYTES
from objectclassification.errors import MissingExtra, ModelError

try:
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model
except ImportError as exc:
    raise MissingExtra("reading other people's models", "models") from exc

DOMAINS: Final = frozenset({"", "ai.onnx", "com.microsoft"})
"""Operators of ONNX itself, and those that ONNX Runtime brings for quantised and fused networks."""
_ENDS_IN: Final = {"Softmax": True, "LogSoftmax": False}
_PASSES: Final = frozenset({"Identity", "Cast", "Squeeze", "Reshape", "Flatten"})


@dataclass(frozen=True, slots=True)
class Source:
    """A network as its file has it.

    Attributes:
        model: all of it, its numbers inside.
        pixels: the name of its input.
        channels_last: ``[N, height, width, 3]``, and not ``[N, 3, height, width]``.
        side: pixels of its square input, None if it is open.
        kind: the input's ``TensorProto.DataType``: float32, float16 or uint8.
        scores: the name of its output.
        classes: how many, None if the file leaves it open.
        gives_probabilities: the output is a softmax's already.
        embedding: the name of what the last layer reads, None if there is no such layer.
        said: what its metadata say.
    """

    model: onnx.ModelProto
    pixels: str
    channels_last: bool
    side: int | None
    kind: int
    scores: str
    classes: int | None
    gives_probabilities: bool
    embedding: str | None
    said: Card


def read(file: Path) -> Source:
    """Reads a file.

    Raises:
        ModelError: it is no classifier that we can use, and why.
        MissingExtra: the extra ``models`` is not installed.
    """
    model = _load(file)
    graph = model.graph
    weights = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        has = f"{_count(len(inputs), 'input')} and {_count(len(graph.output), 'output')}"
        raise ModelError(
            f"{file} has {has}; a classifier has one of each: a picture goes in, and a score for "
            "each class comes out"
        )
    kind, shape = _tensor(inputs[0])
    channels_last, side = _image(file, shape)
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8):
        name = onnx.TensorProto.DataType.Name(kind)
        raise ModelError(f"{file} takes pixels as {name}; FLOAT, FLOAT16 and UINT8 can be given")
    scores = graph.output[0]
    _, outgoing = _tensor(scores)
    sizes = [size for size in outgoing[1:] if size != 1]
    if len(outgoing) < 2 or len(sizes) > 1:
        raise ModelError(
            f"{file} answers {_shape(outgoing)}; a classifier answers one score for each class, "
            "[N, classes]"
        )
    last, gives_probabilities = _last_layer(file, graph, scores.name)
    return Source(
        model=model,
        pixels=inputs[0].name,
        channels_last=channels_last,
        side=side,
        kind=kind,
        scores=scores.name,
        classes=sizes[0] if sizes else None,
        gives_probabilities=gives_probabilities,
        embedding=last,
        said=_said(model),
    )


def _load(file: Path) -> onnx.ModelProto:
    try:
        _check_size(file, file.stat().st_size)
        model = onnx.load(file, load_external_data=False)
    except ModelError:
        raise
    except OSError as exc:
        raise ModelError(f"{file} cannot be read: {exc.strerror}") from exc
    except Exception as exc:  # protobuf's errors, of several unrelated classes
        raise ModelError(f"{file} is not an ONNX file") from exc
    if not model.graph.node:
        raise ModelError(f"{file} is not an ONNX file, or has no network in it")
    strange = sorted({n.domain for n in model.graph.node if n.domain not in DOMAINS})
    if strange:
        raise ModelError(
            f"{file} has custom operators, of {', '.join(strange)}; ONNX's own can be run"
        )
    _bring_in(file, model)
    check(file, model)
    return model


def check(file: Path, model: onnx.ModelProto) -> None:
    """Sees that a graph is whole.

    Raises:
        ModelError: it is not.
    """
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as exc:  # names that are no UTF-8
        why = str(exc).strip().splitlines()[0][:200]
        raise ModelError(f"{file} is not a valid ONNX model: {why}") from exc


def _bring_in(file: Path, model: onnx.ModelProto) -> None:
    """Loads what the model keeps in other files, which must be in its own folder."""
    folder, total = file.resolve().parent, file.stat().st_size
    outside = [
        tensor
        for tensor in _tensors(model.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    for other in {ExternalDataInfo(tensor).location for tensor in outside}:
        place = (folder / other).resolve()
        if not place.is_relative_to(folder) or (folder / other).is_symlink():
            raise ModelError(f"{file} wants numbers from outside its folder: {other!r}")
        if not place.is_file():
            raise ModelError(f"{file} keeps its numbers in {other!r}, which is not beside it")
        total += place.stat().st_size
        _check_size(file, total)
    if outside:
        try:
            load_external_data_for_model(model, str(folder))
        except Exception as exc:  # offsets beyond the file, lengths that are none
            raise ModelError(f"{file}: its numbers in other files cannot be read") from exc


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    found += _tensors(inner)
    return found


def _check_size(file: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise ModelError(
            f"{file} has {size // 2**20} MiB; a model has at most {MOST_BYTES // 2**20}"
        )


def _tensor(value: onnx.ValueInfoProto) -> tuple[int, tuple[int | None, ...]]:
    kind = value.type.tensor_type
    sizes = (dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)
    return kind.elem_type, tuple(sizes)


def _image(file: Path, shape: tuple[int | None, ...]) -> tuple[bool, int | None]:
    """Where the channels are, and the side; None if it is open."""
    is_first = len(shape) == 4 and shape[1] == 3 and shape[3] != 3
    is_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    if not (is_first or is_last) or shape[0] not in (None, 1):
        raise ModelError(
            f"{file} takes {_shape(shape)}; a picture is [N, 3, height, width] or "
            "[N, height, width, 3], of one picture at a time or any number"
        )
    height, width = shape[1:3] if is_last else shape[2:4]
    if height != width:
        raise ModelError(
            f"{file} takes pictures of {width} x {height}; only squares can be cut out"
        )
    return is_last, height


def _last_layer(file: Path, graph: onnx.GraphProto, scores: str) -> tuple[str | None, bool]:
    """What the last dense layer reads, and whether a softmax comes after it."""
    made = {name: node for node in graph.node for name in node.output}
    gives_probabilities, name = False, scores
    while (node := made.get(name)) is not None:
        if node.op_type in _ENDS_IN:
            gives_probabilities |= _ENDS_IN[node.op_type]
        elif node.op_type in ("Gemm", "MatMul"):
            return node.input[0], gives_probabilities
        elif node.op_type == "Sigmoid":
            raise ModelError(
                f"{file} ends in a sigmoid: it says of each class by itself whether it is there, "
                "and a classifier here says which one it is"
            )
        elif node.op_type not in (*_PASSES, "Add"):
            break
        name = node.input[0]
    return None, gives_probabilities


def _said(model: onnx.ModelProto) -> Card:
    """Labels in the metadata, as Ultralytics and others write them: a dict or a list."""
    facts = {each.key: each.value for each in model.metadata_props}
    for key in ("names", "labels", "classes"):
        try:
            said = ast.literal_eval(facts.get(key, ""))
            labels = [said[number] for number in range(len(said))]
            return msgspec.convert({"labels": labels}, Card)
        except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
            continue
        except msgspec.ValidationError:
            continue
    return Card()


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
