"""Model files whose metadata somebody wrote by hand: usable, or refused as a model error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from onnx import TensorProto, helper

from objectclassification.classification.classifier import Classifier
from objectclassification.classification.detector import Detector
from objectclassification.classification.model_file import METADATA_KEY
from objectclassification.errors import ModelError
from tests.fuzz.jsons import mutated
from tests.fuzz.settings import fuzz

FACTS = {
    "id": "tiny",
    "labels": ["red", "green", "blue"],
    "preprocessing": {"short_side": 9, "crop": 8},
}


def tiny() -> onnx.ModelProto:
    """A model that names the strongest colour of a picture of 8 x 8 pixels."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 8, 8, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])
        for name in ("logits", "embedding")
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["logits"], axes=[1, 2], keepdims=0),
        helper.make_node("Identity", ["logits"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


DETECTOR_FACTS = {
    "id": "tiny-detector",
    "task": "detection",
    "labels": ["red", "green", "blue"],
    "preprocessing": {"side": 8},
}


def tiny_detector() -> onnx.ModelProto:
    """A model whose one anchor is the whole picture, and scores by its colour."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 8, 8, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size])
        for name, size in (("boxes", 4), ("scores", 3))
    ]
    whole = helper.make_tensor("whole", TensorProto.FLOAT, [1, 1, 4], [0, 0, 1, 1])
    nodes = [
        helper.make_node("Constant", [], ["boxes"], value=whole),
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["colour"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["colour"], ["strength"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["strength"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "tiny-detector", [image], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "tiny.onnx"


def write(file: Path, model: onnx.ModelProto, metadata: bytes) -> Path:
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = metadata.decode("utf-8", "replace")
    file.write_bytes(model.SerializeToString())
    return file


def load(file: Path, metadata: bytes) -> Classifier:
    return Classifier(write(file, tiny(), metadata))


def load_detector(file: Path, metadata: bytes) -> Detector:
    return Detector(write(file, tiny_detector(), metadata))


def test_the_seed_is_good(file: Path) -> None:
    picture = np.zeros((20, 10, 3), np.uint8)
    picture[..., 1] = 200
    found = load(file, json.dumps(FACTS).encode()).classify(picture)
    assert found.predictions[0].label == "green"


def told(**facts: Any) -> bytes:
    return json.dumps({**FACTS, **facts}).encode()


@fuzz(600)
@example(metadata=told(id=None))
@example(metadata=told(labels="rgb"))
@example(metadata=told(labels=[1, 2, 3]))
@example(metadata=told(preprocessing={"short_side": 0, "crop": 8}))
@example(metadata=told(preprocessing={"short_side": 4, "crop": 8}))
@example(metadata=b"[" * 100_000)
@given(metadata=mutated([FACTS]))
def test_metadata(file: Path, metadata: bytes) -> None:
    try:
        classifier = load(file, metadata)
    except ModelError as exc:
        assert "\n" not in exc.detail
        return
    found = classifier.classify(np.zeros((20, 10, 3), np.uint8))
    assert isinstance(found.model_id, str) and found.model_id
    assert len(found.predictions) == 3
    assert all(isinstance(each.label, str) for each in found.predictions)


def test_the_detectors_seed_is_good(file: Path) -> None:
    picture = np.zeros((20, 10, 3), np.uint8)
    picture[..., 1] = 200
    (found,) = load_detector(file, json.dumps(DETECTOR_FACTS).encode()).detect(picture).predictions
    assert (found.label, found.box) == ("green", (0, 0, 1, 1))


@fuzz(600)
@example(metadata=json.dumps({**DETECTOR_FACTS, "task": "classification"}).encode())
@example(metadata=json.dumps({**DETECTOR_FACTS, "preprocessing": {"side": 9}}).encode())
@example(metadata=json.dumps({**DETECTOR_FACTS, "labels": ["red"]}).encode())
@given(metadata=mutated([DETECTOR_FACTS]))
def test_metadata_of_a_detector(file: Path, metadata: bytes) -> None:
    try:
        detector = load_detector(file, metadata)
    except ModelError as exc:
        assert "\n" not in exc.detail
        return
    found = detector.detect(np.full((20, 10, 3), 200, np.uint8))
    assert isinstance(found.model_id, str) and found.model_id
    assert len(found.predictions) == 1
    assert isinstance(found.predictions[0].label, str)
