"""The shipped detector finds what is on real photographs; one box is chosen for each object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
from objectclassification.classification.detector import (
    MOST_BOXES,
    MOST_OVERLAP,
    SHIPPED_DETECTOR,
    Detector,
    surest,
)
from objectclassification.classification.images import Picture
from objectclassification.errors import ModelError, NotAnImage
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.mark.parametrize(
    ("picture", "label", "box"),
    [
        (CHELSEA, "cat", (0.0, 0.0, 0.9, 1.0)),
        (COFFEE, "cup", (0.29, 0.06, 0.69, 0.64)),
        (MOTORCYCLE, "motorcycle", (0.12, 0.11, 0.94, 0.92)),
    ],
    ids=["cat", "cup", "motorcycle"],
)
def test_objects_are_found_where_they_are(
    detector: Detector, picture: Path, label: str, box: tuple[float, ...]
) -> None:
    best = detector.detect(picture).predictions[0]
    assert best.label == label
    assert best.score > 0.9
    assert best.box == pytest.approx(box, abs=0.05)


def test_where_is_nothing_nothing_is_found(detector: Detector) -> None:
    assert detector.detect(ROCKET).predictions == ()  # COCO has no rockets
    assert detector.detect(Image.new("RGB", (640, 480), "green")).predictions == ()


def test_a_result_is_complete(detector: Detector) -> None:
    found = detector.detect(COFFEE, min_score=0.05, most=4)
    scores = [prediction.score for prediction in found.predictions]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert found.model_id == "ssdlite-mobilenet-v2-float16"
    assert len(found.model_sha256) == 64
    assert set(found.elapsed_ms) == {"decode", "detect"}


def test_every_kind_of_input_gives_the_same(detector: Detector) -> None:
    with Image.open(COFFEE) as image:
        rgb = image.convert("RGB")
    inputs: list[Picture] = [COFFEE, COFFEE.read_bytes(), rgb, np.asarray(rgb)]
    assert len({detector.detect(each).predictions for each in inputs}) == 1


def test_a_box_is_where_it_is_in_the_upright_picture(detector: Detector, tmp_path: Path) -> None:
    with Image.open(COFFEE) as image:
        lying = image.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    lying.save(tmp_path / "lying.jpg", quality=95, exif=exif.tobytes())
    upright, lay = detector.detect(COFFEE), detector.detect(tmp_path / "lying.jpg")
    assert lay.predictions[0].label == "cup"
    assert lay.predictions[0].box == pytest.approx(upright.predictions[0].box, abs=0.03)


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000)])
def test_any_size_can_be_looked_at(detector: Detector, size: tuple[int, int]) -> None:
    assert isinstance(detector.detect(Image.new("RGB", size)).predictions, tuple)


def test_errors_of_the_picture_come_through(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        detector.detect(b"hello")
    with pytest.raises(FileNotFoundError):
        detector.detect(tmp_path / "none.png")
    with pytest.raises(ValueError, match="height, width, 3"):
        detector.detect(np.zeros((8, 8), np.uint8))


def test_a_model_for_something_else_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="metadata"):
        Detector(SHIPPED_MODEL)
    with pytest.raises(ModelError, match="metadata"):
        Classifier(SHIPPED_DETECTOR)
    model = onnx.load(SHIPPED_DETECTOR)
    model.metadata_props[0].value = model.metadata_props[0].value.replace('"person", ', "")
    onnx.save(model, tmp_path / "79.onnx")
    with pytest.raises(ModelError, match="do not fit its metadata"):
        Detector(tmp_path / "79.onnx")


def scored(*scores: tuple[float, float]) -> NDArray[np.float32]:
    return np.array(scores, np.float32)


def test_of_twins_the_surer_one_stays_and_other_labels_do_not_compete() -> None:
    boxes = np.array(
        [[0.1, 0.1, 0.5, 0.5], [0.11, 0.1, 0.5, 0.52], [0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 1.2, 0.9]],
        np.float32,
    )
    scores = scored((0.6, 0.1), (0.9, 0.2), (0.1, 0.7), (0.55, 0.5))
    found = surest(boxes, scores, min_score=0.5, most=10)
    assert [(label, round(score, 2)) for label, score, _ in found] == [
        (0, 0.9),
        (1, 0.7),
        (0, 0.55),
    ]
    assert found[2][2] == pytest.approx((0.6, 0.6, 1.0, 0.9))  # cut at the picture's edge
    assert len(surest(boxes, scores, min_score=0.5, most=1)) == 1
    assert surest(boxes, scores, min_score=0.95, most=10) == []


def test_of_a_crowd_each_is_found_though_each_has_a_dozen_boxes() -> None:
    """As YOLO gives them."""
    places = np.arange(90, dtype=np.float32) / 100
    boxes = np.stack([places, places * 0, places + 0.009, places * 0 + 0.5], axis=1)
    twelve = np.repeat(boxes, 12, axis=0).astype(np.float32)
    scores = np.linspace(0.6, 0.9, len(twelve), dtype=np.float32)[:, None]
    found = surest(twelve, scores, min_score=0.5, most=100)
    assert sorted(box[0] for _, _, box in found) == pytest.approx(places.tolist())


coordinates = st.floats(-2, 3, width=32) | st.just(float("nan"))
numbers = arrays.arrays(np.float32, (30, 4), elements=coordinates)
chances = arrays.arrays(np.float32, (30, 3), elements=st.floats(0, 1, width=32))


@given(boxes=numbers, scores=chances)
def test_whatever_a_model_says_boxes_are_in_the_picture_and_apart(
    boxes: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    found = surest(boxes, scores, min_score=0.5, most=MOST_BOXES)
    assert len(found) <= MOST_BOXES
    assert [score for _, score, _ in found] == sorted((s for _, s, _ in found), reverse=True)
    for number, (label, score, (left, top, right, bottom)) in enumerate(found):
        assert score >= 0.5
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        for other, _, box in found[:number]:
            if other == label:
                wide = min(right, box[2]) - max(left, box[0])
                high = min(bottom, box[3]) - max(top, box[1])
                shared = max(0.0, wide) * max(0.0, high)
                areas = (right - left) * (bottom - top) + (box[2] - box[0]) * (box[3] - box[1])
                assert shared <= MOST_OVERLAP * (areas - shared) + 1e-5
