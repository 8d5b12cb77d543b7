"""The shipped model names what is on real photographs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
from objectclassification.classification.images import Picture
from objectclassification.errors import ModelError, NotAnImage
from objectclassification.sureness import CALIBRATIONS
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (CHELSEA, ("cat", "Egyptian Mau")),
        (COFFEE, ("espresso", "cup")),
        (ROCKET, ("missile", "space shuttle")),
        (MOTORCYCLE, ("moped", "motor scooter")),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_photographs_are_named(
    classifier: Classifier, picture: Path, expected: tuple[str, ...]
) -> None:
    best = classifier.classify(picture).predictions[0]
    assert any(name in best.label for name in expected), best


def test_a_result_is_complete(classifier: Classifier) -> None:
    result = classifier.classify(COFFEE, top=1000)
    scores = [prediction.score for prediction in result.predictions]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    assert len(classifier.classify(COFFEE, top=3).predictions) == 3
    assert result.embedding.shape == (1280,)
    assert result.embedding.dtype == np.float16
    assert 0 < result.embedding.max() <= 6  # the pooled output of a ReLU6
    assert result.model_id == "efficientnet-lite0-int8"
    assert len(result.model_sha256) == 64
    assert set(result.elapsed_ms) == {"decode", "infer"}


def test_confidence_is_the_calibrated_score(classifier: Classifier) -> None:
    """Dividing logits by a temperature is a power of their scores, brought to the sum 1."""
    (temperature,) = (one.temperature for one in CALIBRATIONS.values())
    assert set(CALIBRATIONS) == {classifier.model_sha256}
    for picture in (COFFEE, ROCKET):
        found = classifier.classify(picture, top=1000)
        powers = np.array([one.score for one in found.predictions]) ** (1 / temperature)
        assert found.confidence == pytest.approx(powers[0] / powers.sum(), abs=2e-4)


def test_a_model_that_nobody_calibrated_has_its_score(tmp_path: Path) -> None:
    model = onnx.load(SHIPPED_MODEL)
    model.doc_string = "another file"
    onnx.save(model, tmp_path / "other.onnx")
    found = Classifier(tmp_path / "other.onnx").classify(COFFEE)
    assert found.confidence == pytest.approx(found.predictions[0].score, abs=1e-4)


def test_every_kind_of_input_gives_the_same(classifier: Classifier) -> None:
    with Image.open(COFFEE) as image:
        rgb = image.convert("RGB")
    inputs: list[Picture] = [COFFEE, COFFEE.read_bytes(), rgb, np.asarray(rgb)]
    results = classifier.classify_batch(inputs)
    assert len({result.predictions for result in results}) == 1


def test_a_reduced_jpeg_is_named_like_the_whole(classifier: Classifier, tmp_path: Path) -> None:
    with Image.open(COFFEE) as image:
        large = image.convert("RGB").resize((2400, 1600))
    large.save(tmp_path / "large.jpg", quality=92)
    whole = classifier.classify(large)
    reduced = classifier.classify(tmp_path / "large.jpg")
    assert reduced.predictions[0].label == whole.predictions[0].label
    assert reduced.predictions[0].score == pytest.approx(whole.predictions[0].score, abs=0.1)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (1, 8, 8, 3)])
def test_an_array_of_another_shape_is_refused(
    classifier: Classifier, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="height, width, 3"):
        classifier.classify(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (224, 224)])
def test_any_size_can_be_classified(classifier: Classifier, size: tuple[int, int]) -> None:
    assert len(classifier.classify(Image.new("RGB", size, "green")).predictions) == 5


def test_errors_of_the_picture_come_through(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        classifier.classify(b"hello")
    with pytest.raises(FileNotFoundError):
        classifier.classify(tmp_path / "none.png")


def test_a_model_that_cannot_be_used_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Classifier(tmp_path / "none.onnx")

    corrupt = tmp_path / "corrupt.onnx"
    corrupt.write_bytes(SHIPPED_MODEL.read_bytes()[:100_000])
    with pytest.raises(ModelError, match="cannot"):
        Classifier(corrupt)

    model = onnx.load(SHIPPED_MODEL)
    del model.metadata_props[:]
    foreign = tmp_path / "foreign.onnx"
    onnx.save(model, foreign)
    with pytest.raises(ModelError, match="metadata"):
        Classifier(foreign)


@pytest.mark.parametrize("library", ["onnxruntime", "PIL"])
def test_a_missing_library_names_its_extra(library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
import objectclassification.classification.predictions
from objectclassification.errors import MissingExtra
try:
    import objectclassification.classification.classifier
except MissingExtra as exc:
    assert exc.extra == "server"
    sys.exit(42)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 42


def test_two_threads_name_the_same() -> None:
    one, two = Classifier(), Classifier(threads=2)
    assert one.classify(COFFEE).predictions[0].label == two.classify(COFFEE).predictions[0].label
