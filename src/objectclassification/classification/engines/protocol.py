"""The Open Inference Protocol, version 2, over REST: what is sent, and what comes back. No I/O.

After KServe's specification, and the binary tensor data extension that Triton and KServe offer.
What an engine answers may be anything: each part is checked, and has a bound.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from objectclassification.classification.adoption.card import PREPROCESSING, Preprocessing
from objectclassification.classification.engines.card import EngineCard, WantedEngine, WrongAnswer
from objectclassification.classification.tensors import MOST_SIDE, SIZES, Input
from objectclassification.errors import ModelError

BINARY: Final = "binary_tensor_data"
"""The extension's name in an engine's metadata."""
JSON_LENGTH: Final = "Inference-Header-Content-Length"
"""The header with the length of the JSON that is before the bytes of tensors."""
MOST_METADATA_BYTES: Final = 2**20
_FLOATS: Final[dict[str, np.dtype[Any]]] = {
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_PIXELS: Final[dict[str, np.dtype[Any]]] = {
    "UINT8": np.dtype("u1"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
}
_SUM_WITHIN: Final = 0.02
"""Probabilities add up to 1; those of a quantised softmax nearly."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Shape = Annotated[tuple[int, ...], Meta(max_length=8)]


class _Server(msgspec.Struct):
    name: str
    extensions: tuple[str, ...] = ()


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: Shape


class _Model(msgspec.Struct):
    inputs: tuple[_Tensor, ...] = ()
    outputs: tuple[_Tensor, ...] = ()


class _Parameters(msgspec.Struct):
    binary_data_size: Annotated[int, Meta(ge=0)] | None = None


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: Shape
    parameters: _Parameters | None = None
    data: Any = None


class _Inferred(msgspec.Struct):
    outputs: Annotated[tuple[_Output, ...], Meta(max_length=64)]


class _Problem(msgspec.Struct):
    error: str = ""


def most_answer_bytes(card: EngineCard) -> int:
    """How large an answer may be: 32 digits a score, and its other words."""
    return 2**16 + 32 * len(card.labels)


def speaks_binary(body: bytes) -> bool:
    """Whether an engine offers the binary extension, of what it says of itself.

    Raises:
        WrongAnswer: it does not speak the protocol.
    """
    try:
        return BINARY in msgspec.json.decode(body, type=_Server).extensions
    except _UNREADABLE as exc:
        raise WrongAnswer("what is there does not speak the Open Inference Protocol v2") from exc


def tensors_of(body: bytes, wanted: WantedEngine) -> tuple[Input, str]:
    """The one input and the one output of a model, of its metadata and a caller's words.

    Raises:
        WrongAnswer: these are no metadata.
        ModelError: it is no classifier that can be used, or something must be said first.
    """
    try:
        model = msgspec.json.decode(body, type=_Model)
    except _UNREADABLE as exc:
        raise WrongAnswer("the engine's metadata of the model cannot be read") from exc
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"the engine says that the model has {len(model.inputs)} inputs and "
            f"{len(model.outputs)} outputs; a classifier has one of each, and its metadata name "
            "them"
        )
    (pixels,), (scores,) = model.inputs, model.outputs
    if scores.datatype not in _FLOATS:
        raise ModelError(f"the model answers {scores.datatype}; scores are {', '.join(_FLOATS)}")
    classes = [size for size in scores.shape[1:] if size != 1]
    labels = wanted.labels or ()
    if len(classes) > 1 or (classes and classes[0] not in (-1, len(labels))):
        raise ModelError(
            f"the model answers {list(scores.shape)}, and there are {len(labels)} labels"
        )
    return _input(pixels, wanted), scores.name


def _input(pixels: _Tensor, wanted: WantedEngine) -> Input:
    shape = pixels.shape
    is_first = len(shape) == 4 and shape[1] == 3 and shape[3] != 3
    is_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    if not (is_first or is_last) or shape[0] not in (-1, 1):
        raise ModelError(
            f"the model takes {list(shape)}; a picture is [-1, 3, height, width] or "
            "[-1, height, width, 3]"
        )
    if pixels.datatype not in SIZES:
        raise ModelError(
            f"the model takes pixels as {pixels.datatype}; {', '.join(SIZES)} can be given"
        )
    height, width = shape[1:3] if is_last else shape[2:4]
    if height != width:
        raise ModelError(f"the model takes {width} x {height} pixels; only squares can be cut out")
    normalisation = wanted.normalisation()
    if normalisation is None and pixels.datatype != "UINT8":
        names = ", ".join(PREPROCESSING)
        raise ModelError(f"it must be said how the model wants its pixels: --preprocess {names}")
    side = height if height > 0 else wanted.side
    if side is None:
        raise ModelError("the engine does not say how large a picture is: --side 224")
    if wanted.side not in (None, side):
        raise ModelError(f"the model takes {side} pixels a side, not {wanted.side}")
    if not 8 <= side <= MOST_SIDE:
        raise ModelError(f"the model takes {side} pixels a side; 8 to {MOST_SIDE} can be given")
    short_side = wanted.short_side or round(side * 256 / 224)
    if short_side < side:
        raise ModelError(f"a shorter side of {short_side} pixels does not hold a square of {side}")
    return msgspec.convert(
        {
            "name": pixels.name,
            "datatype": pixels.datatype,
            "channels_last": is_last,
            "side": side,
            "short_side": short_side,
            "preprocess": msgspec.to_builtins(normalisation or Preprocessing(scale=1.0)),
        },
        Input,
    )


def request(card: EngineCard, tensor: bytes) -> tuple[bytes, dict[str, str]]:
    """What to POST for one picture: the body, and its headers."""
    pixels: dict[str, Any] = {
        "name": card.input.name,
        "shape": card.input.shape,
        "datatype": card.input.datatype,
    }
    scores: dict[str, Any] = {"name": card.output.name}
    if not card.binary:
        pixels["data"] = np.frombuffer(tensor, _PIXELS[card.input.datatype]).tolist()
        body = msgspec.json.encode({"inputs": [pixels], "outputs": [scores]})
        return body, {"Content-Type": "application/json"}
    pixels["parameters"] = {"binary_data_size": len(tensor)}
    scores["parameters"] = {"binary_data": True}
    head = msgspec.json.encode({"inputs": [pixels], "outputs": [scores]})
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
    return head + tensor, headers


def scores_of(card: EngineCard, body: bytes, json_length: str | None) -> NDArray[np.float32]:
    """The scores in an answer, as they came.

    Args:
        card: of the model.
        body: of the answer.
        json_length: the header of that name, if the answer has it.

    Returns:
        float32 ``[labels]``, all finite.

    Raises:
        WrongAnswer: it is none.
    """
    length = len(body) if json_length is None else _length(json_length, len(body))
    try:
        outputs = msgspec.json.decode(memoryview(body)[:length], type=_Inferred).outputs
    except _UNREADABLE as exc:
        raise WrongAnswer("its answer is not JSON of the protocol") from exc
    position, found = length, None
    for output in outputs:
        size = output.parameters.binary_data_size if output.parameters else None
        if output.name == card.output.name and found is None:
            piece = None if size is None else body[position : position + size]
            found = _numbers(output, piece, len(card.labels))
        position += size or 0
    if found is None:
        raise WrongAnswer(f"its answer has no output {card.output.name!r}")
    if not np.isfinite(found).all():
        raise WrongAnswer("its scores are not numbers")
    if card.output.are_probabilities and not _within_one(found):
        raise WrongAnswer("its scores were probabilities, and are not any more: add it anew")
    return found


def _within_one(scores: NDArray[np.float32]) -> bool:
    return bool((scores >= -_SUM_WITHIN).all() and (scores <= 1 + _SUM_WITHIN).all())


def are_probabilities(scores: NDArray[np.float32]) -> bool:
    """Whether scores are a softmax's already, and not logits."""
    total = float(scores.astype(np.float64).sum())
    return bool((scores >= 0).all()) and abs(total - 1) <= _SUM_WITHIN


def said(body: bytes) -> str:
    """What an engine says went wrong; empty if it says nothing."""
    try:
        words = msgspec.json.decode(body, type=_Problem).error
    except _UNREADABLE:
        return ""
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())[:200]


def _numbers(output: _Output, piece: bytes | None, labels: int) -> NDArray[np.float32]:
    kind = _FLOATS.get(output.datatype)
    if kind is None:
        raise WrongAnswer(f"it answers {output.datatype}; scores are {', '.join(_FLOATS)}")
    if min(output.shape, default=0) < 0 or prod(output.shape) != labels:
        raise WrongAnswer(f"it answers {list(output.shape)}, and there are {labels} labels")
    if piece is not None:
        if len(piece) != labels * kind.itemsize:
            raise WrongAnswer(f"its answer is {len(piece)} bytes long, not {labels} scores")
        found: NDArray[Any] = np.frombuffer(piece, kind)
    else:
        try:
            found = np.asarray(output.data)
        except (ValueError, OverflowError) as exc:  # lists of different lengths, or too deep
            raise WrongAnswer("its scores are not numbers") from exc
        if found.dtype.kind not in "fiu":
            raise WrongAnswer("its scores are not numbers")
        if found.size != labels:
            raise WrongAnswer(f"it answers {found.size} scores, and there are {labels} labels")
    with np.errstate(over="ignore"):  # a number that float32 does not hold is none
        scores: NDArray[np.float32] = found.astype(np.float32).reshape(-1)
    return scores


def _length(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12) or int(text) > most:
        raise WrongAnswer(f"its answer's {JSON_LENGTH} is not one")
    return int(text)
