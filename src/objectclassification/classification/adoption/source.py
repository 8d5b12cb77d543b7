"""What an ONNX file says of itself, read without running it and without leaving its folder."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from objectclassification.classification.adoption.card import Card, Labels, Side
from objectclassification.classification.trial import MOST_BYTES
from objectclassification.errors import MissingExtra, ModelError

try:
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model
except ImportError as exc:
    raise MissingExtra("reading other people's models", "models") from exc

DOMAINS: Final = frozenset({"", "ai.onnx", "com.microsoft"})
"""Operators of ONNX itself, and those that ONNX Runtime brings for quantised and fused networks."""
_PIXELS: Final = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8}
)
_NO_LITERAL: Final = (
    ValueError,
    SyntaxError,
    KeyError,
    TypeError,
    RecursionError,
    MemoryError,
    msgspec.ValidationError,
)
_ULTRALYTICS_TASKS: Final = {"classify": "classification", "detect": "detection"}


@dataclass(frozen=True, slots=True)
class Output:
    """One of a network's outputs.

    Attributes:
        name: its name.
        shape: its sizes, None where one is open.
        is_whole: it has whole numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    is_whole: bool

    def __str__(self) -> str:
        """Name and shape, for a person."""
        return f"{self.name} {show_shape(self.shape)}"


@dataclass(frozen=True, slots=True)
class Source:
    """A network as its file has it.

    Attributes:
        file: where it is from.
        model: all of it, its numbers inside.
        pixels: the name of its input.
        has_batch: the input's first size is that of a batch; else it is one picture.
        channels_last: ``[height, width, 3]``, and not ``[3, height, width]``.
        size: width and height of its input, None if they are open.
        kind: the input's ``TensorProto.DataType``: float32, float16 or uint8.
        outputs: what it answers.
        said: what its metadata say.
    """

    file: Path
    model: onnx.ModelProto
    pixels: str
    has_batch: bool
    channels_last: bool
    size: tuple[int, int] | None
    kind: int
    outputs: tuple[Output, ...]
    said: Card


def read(file: Path) -> Source:
    """Reads a file.

    Raises:
        ModelError: it is no network that looks at a picture, and why.
        MissingExtra: the extra ``models`` is not installed.
    """
    model = _load(file)
    graph = model.graph
    weights = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    if len(inputs) != 1:
        raise ModelError(
            f"{file} has {len(inputs) or 'no'} inputs; a network here has one, for a picture"
        )
    kind, shape = _tensor(inputs[0])
    channels_last, size = _image(file, shape)
    if kind not in _PIXELS:
        name = onnx.TensorProto.DataType.Name(kind)
        raise ModelError(f"{file} takes pixels as {name}; FLOAT, FLOAT16 and UINT8 can be given")
    return Source(
        file=file,
        model=model,
        pixels=inputs[0].name,
        has_batch=len(shape) == 4,
        channels_last=channels_last,
        size=size,
        kind=kind,
        outputs=tuple(_output(each) for each in graph.output),
        said=_said(file, model),
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


def _output(value: onnx.ValueInfoProto) -> Output:
    kind, shape = _tensor(value)
    return Output(value.name, shape, kind in (onnx.TensorProto.INT32, onnx.TensorProto.INT64))


def _image(file: Path, shape: tuple[int | None, ...]) -> tuple[bool, tuple[int, int] | None]:
    """Where the channels are, and width and height; None if they are open."""
    inner = shape[-3:]
    is_first = len(inner) == 3 and inner[0] == 3 and inner[2] != 3
    is_last = len(inner) == 3 and inner[2] == 3 and inner[0] != 3
    if len(shape) > 4 or not (is_first or is_last) or shape[:-3] not in ((), (None,), (1,)):
        raise ModelError(
            f"{file} takes {show_shape(shape)}; a picture is [N, 3, height, width] or "
            "[N, height, width, 3], of one picture at a time or any number"
        )
    height, width = inner[:2] if is_last else inner[1:]
    return is_last, None if height is None or width is None else (width, height)


def _said(file: Path, model: onnx.ModelProto) -> Card:
    """What the metadata know: labels, a dict or a list; and all that Ultralytics writes there.

    Raises:
        ModelError: it is a network for something else.
    """
    facts = {each.key: each.value for each in model.metadata_props}
    labels = next(
        filter(None, (_names(facts.get(k)) for k in ("names", "labels", "classes"))), None
    )
    if "task" not in facts or "imgsz" not in facts:
        return Card(labels=labels)
    # What Ultralytics' exporter writes (ultralytics/engine/exporter.py), and what its networks are
    # fed with (ultralytics/data/augment.py): RGB from 0 to 1, letterboxed for a detector.
    task = _ULTRALYTICS_TASKS.get(facts["task"])
    if task is None:
        known = " and ".join(map(repr, _ULTRALYTICS_TASKS))
        raise ModelError(f"{file} is for {facts['task']!r}, its metadata say; {known} can be used")
    height, width = _numbers(facts["imgsz"])
    side = height if height == width else None
    return msgspec.convert(
        {
            "labels": labels,
            "preprocess": "unit",
            "side": side,
            "short_side": side if task == "classification" else None,
            "license": facts.get("license", "")[:256] or None,
            "task": task,
            "fit": "letterbox" if task == "detection" else None,
            "style": "end2end" if facts.get("end2end") == "True" else None,
        },
        Card,
    )


def _names(text: str | None) -> tuple[str, ...] | None:
    """Labels as a Python literal; None if they are none."""
    try:
        said = ast.literal_eval(text or "")
        return msgspec.convert([said[number] for number in range(len(said))], Labels)
    except _NO_LITERAL:
        return None


def _numbers(text: str) -> tuple[int | None, int | None]:
    """Height and width as a Python literal; None if they are none that can be."""
    try:
        return msgspec.convert(ast.literal_eval(text), tuple[Side, Side])
    except _NO_LITERAL:
        return None, None


def show_shape(shape: tuple[int | None, ...]) -> str:
    """A shape as a person reads it."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
