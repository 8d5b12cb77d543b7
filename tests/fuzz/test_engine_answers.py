"""What an engine answers may be anything: it is read or refused, and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.classification.adoption.card import Preprocessing
from objectclassification.classification.engines import protocol
from objectclassification.classification.engines.card import (
    EngineCard,
    Output,
    WantedEngine,
    WrongAnswer,
)
from objectclassification.classification.tensors import Input
from objectclassification.errors import ModelError
from tests.engines import METADATA, output
from tests.fuzz.jsons import mutated
from tests.fuzz.settings import fuzz

WANTED = WantedEngine(address="http://h/v2/models/net", labels=("a", "b", "c"), preprocess="unit")
DTYPES = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}


def card(*labels: str, binary: bool = False, datatype: Any = "FP32") -> EngineCard:
    pixels = Input("x", datatype, False, 8, 9, Preprocessing())
    return EngineCard("net", WANTED.address, labels, pixels, Output("y", False), binary)


THREE = card("a", "b", "c")
ANSWERS = [
    output([1.0, 2.0, 3.0]),
    output([[1.0, 2.0, 3.0]], parameters={"content_type": "np"}),
    output([], parameters={"binary_data_size": 12}),
]


def read(body: bytes, length: str | None) -> None:
    try:
        found = protocol.scores_of(THREE, body, length)
    except WrongAnswer as exc:
        assert exc.detail and len(exc.detail) < 512
        return
    assert found.shape == (3,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@fuzz(1500)
@given(mutated(ANSWERS), st.none() | st.integers(-1, 300).map(str) | st.text(max_size=8))
def test_an_answer(body: bytes, length: str | None) -> None:
    read(body, length)


@fuzz(700)
@given(st.sampled_from(ANSWERS), st.binary(max_size=40), st.integers(-3, 3))
def test_an_answer_with_bytes_behind_it(answer: dict[str, Any], tail: bytes, off: int) -> None:
    head = json.dumps(answer).encode()
    read(head + tail, str(len(head) + off))


@fuzz(700)
@given(mutated([METADATA, {"name": "stub", "extensions": ["binary_tensor_data"]}]))
def test_what_it_says_of_itself(body: bytes) -> None:
    try:
        protocol.speaks_binary(body)
    except WrongAnswer:
        pass
    try:
        taken, given_ = protocol.tensors_of(body, WANTED)
    except ModelError as exc:
        assert exc.detail
    else:
        assert taken.size_bytes <= 12 * 1024**2 and given_
    assert len(protocol.said(body)) <= 200


@pytest.mark.parametrize("binary", [False, True])
@given(
    st.data(),
    st.sampled_from(sorted(DTYPES)),
    st.integers(1, 20),
)
def test_scores_come_through(binary: bool, data: st.DataObject, datatype: str, number: int) -> None:
    """As bytes exactly; as numbers to the last digit of their kind."""
    values = st.floats(-60_000, 60_000, width=16)
    scores = np.asarray(data.draw(st.lists(values, min_size=number, max_size=number)))
    sent = scores.astype(DTYPES[datatype])
    told: dict[str, Any] = {"name": "y", "datatype": datatype, "shape": [1, number]}
    tail = b""
    if binary:
        tail = sent.tobytes()
        told["parameters"] = {"binary_data_size": len(tail)}
    else:
        told["data"] = sent.tolist()
    head = json.dumps({"outputs": [told]}).encode()
    labels = [str(n) for n in range(number)]
    found = protocol.scores_of(card(*labels), head + tail, str(len(head)) if binary else None)
    assert found.tolist() == sent.astype(np.float32).tolist()


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
@given(st.data())
def test_pixels_go_out_as_they_are(datatype: str, data: st.DataObject) -> None:
    """As numbers in JSON and as bytes behind it, an engine reads the same tensor."""
    kind = np.dtype("u1" if datatype == "UINT8" else "<f4")
    values = st.integers(0, 255) if datatype == "UINT8" else st.floats(-5, 5, width=32)
    few = np.asarray(data.draw(st.lists(values, min_size=4, max_size=4))).astype(kind)
    tensor = np.tile(few, 8 * 8 * 3 // 4).tobytes()
    body, _ = protocol.request(card("a", datatype=datatype), tensor)
    (asked,) = json.loads(body)["inputs"]
    assert np.asarray(asked["data"], kind).tobytes() == tensor
    body, headers = protocol.request(card("a", datatype=datatype, binary=True), tensor)
    length = int(headers[protocol.JSON_LENGTH])
    (told,) = json.loads(body[:length])["inputs"]
    assert told["parameters"]["binary_data_size"] == len(tensor) == len(body) - length
    assert body[length:] == tensor
    assert told["shape"] == [1, 3, 8, 8]
