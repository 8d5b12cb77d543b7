"""Other people's detectors: however they answer, the same is found; the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from tools.build_models.packages import fetch

from objectclassification.classification.adoption import Card, adopt
from objectclassification.classification.detector import Detector
from objectclassification.classification.fitting import fitted
from objectclassification.errors import ModelError
from tests.detectors import LABELS, OF_ALL, STYLES, Export, exported, yolo
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, SKIMAGE

pytestmark = pytest.mark.long

PHOTOGRAPHS = (CHELSEA, COFFEE, MOTORCYCLE, SKIMAGE / "astronaut.png")

YOLO = "nudenet==3.4.2"
"""Its wheel (MIT) holds a YOLOv8 as Ultralytics exports them (the weights, they say, AGPL-3.0): 18
classes, among them faces. It is fetched for this test, and neither kept nor shipped."""


def saved(model: onnx.ModelProto, folder: Path, name: str = "theirs.onnx") -> Path:
    file = folder / name
    onnx.save(model, file)
    return file


def adopted(model: onnx.ModelProto, folder: Path, card: Card) -> Detector:
    made = folder / "adopted.onnx"
    made.write_bytes(adopt(saved(model, folder), card))
    return Detector(made)


def of_style(style: Callable[[Export], Card], folder: Path) -> Detector:
    model, card = exported(style)
    return adopted(model, folder, card)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_each_style_finds_what_the_shipped_one_finds(
    style: Callable[[Export], Card], tmp_path: Path
) -> None:
    shipped, theirs = Detector(), of_style(style, tmp_path)
    found = 0
    for photograph in PHOTOGRAPHS:
        ours = shipped.detect(photograph, min_score=0.3).predictions
        other = theirs.detect(photograph, min_score=0.3).predictions
        assert [each.label for each in other] == [each.label for each in ours]
        for one, two in zip(ours, other, strict=True):
            assert two.score == pytest.approx(one.score, abs=1e-4)
            assert two.box == pytest.approx(one.box, abs=1e-4)
        found += len(ours)
    assert found >= 5


def test_pixels_as_other_networks_take_them(tmp_path: Path) -> None:
    """Channels first, float32, 0 to 1, of any size, one picture at a time."""
    export = Export()
    yolo(export)
    export.take(
        [1, 3, "height", "width"],
        TensorProto.FLOAT,
        ("Transpose", [], {"perm": [0, 2, 3, 1]}),
        ("Mul", [export.constant(255)], {}),
        ("Cast", [], {"to": TensorProto.UINT8}),
    )
    model = export.model
    with pytest.raises(ModelError, match="the pixels of its side"):
        adopt(saved(model, tmp_path), Card(labels=LABELS, preprocess="unit"))
    card = Card(labels=LABELS, preprocess="unit", side=300, fit="stretch")
    theirs = adopted(model, tmp_path, card).detect(COFFEE).predictions[0]
    ours = Detector().detect(COFFEE).predictions[0]
    assert theirs.label == ours.label
    assert theirs.box == pytest.approx(ours.box, abs=0.01)


def test_a_letterboxed_picture_has_its_boxes_where_they_are(tmp_path: Path) -> None:
    """A cup that is squeezed into a tall picture is found where it was put."""
    model, card = exported(yolo)
    theirs = adopted(model, tmp_path, Card(fit="letterbox").over(card))
    with Image.open(COFFEE) as image:
        cup = image.convert("RGB")
    tall = Image.new("RGB", (cup.width, cup.height * 2), "grey")
    tall.paste(cup, (0, cup.height))
    best = theirs.detect(tall).predictions[0]
    box = Detector().detect(cup).predictions[0].box
    assert box is not None
    left, top, right, bottom = box
    assert best.label == "cup"
    assert best.box == pytest.approx((left, (1 + top) / 2, right, (1 + bottom) / 2), abs=0.02)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch(YOLO, tmp_path_factory.mktemp("yolo")) / "nudenet" / "320n.onnx"


class TestARealYolo:
    """One that Ultralytics' exporter wrote says all of itself that must be known."""

    def test_it_finds_a_face(self, theirs: Path, tmp_path: Path) -> None:
        made = tmp_path / "faces.onnx"
        made.write_bytes(adopt(theirs, Card(id="faces", min_score=0.25)))
        detector = Detector(made)
        assert detector.size == (320, 320)
        assert (len(detector.labels), detector.model_id) == (18, "faces")
        (face,) = detector.detect(SKIMAGE / "astronaut.png").predictions
        assert face.label == "FACE_FEMALE"
        assert face.score > 0.7
        assert face.box == pytest.approx((0.34, 0.16, 0.54, 0.35), abs=0.03)

    def test_every_box_and_score_is_the_networks_own(self, theirs: Path, tmp_path: Path) -> None:
        made = tmp_path / "faces.onnx"
        made.write_bytes(adopt(theirs, Card()))
        with Image.open(MOTORCYCLE) as image:
            pixels, _ = fitted(image.convert("RGB"), (320, 320), "letterbox")
        (table,) = run(theirs, (pixels[None].transpose(0, 3, 1, 2) / 255).astype(np.float32))
        boxes, scores = run(made, pixels[None])
        centre, size = table[0, :2].T / 320, table[0, 2:4].T / 320
        expected = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        assert boxes[0] == pytest.approx(expected, abs=1e-5)
        assert scores[0] == pytest.approx(table[0, 4:].T, abs=1e-5)

    def test_one_for_something_else_is_refused(self, theirs: Path, tmp_path: Path) -> None:
        model = onnx.load(theirs)
        next(each for each in model.metadata_props if each.key == "task").value = "pose"
        with pytest.raises(ModelError, match="is for 'pose', its metadata say"):
            adopt(saved(model, tmp_path), Card())


def run(file: Path, fed: NDArray[np.generic]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(None, {session.get_inputs()[0].name: fed})
    return found


def answering(*outputs: tuple[str, int, tuple[int | str, ...]]) -> onnx.ModelProto:
    """A network that answers zeros in these shapes."""
    nodes, tensors = [], []
    for name, kind, shape in outputs:
        sizes = [size if isinstance(size, int) else 7 for size in shape]
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        zeros = onnx.numpy_helper.from_array(np.zeros(sizes, dtype), f"{name}/zeros")
        nodes.append(helper.make_node("Identity", [zeros.name], [name]))
        tensors.append(zeros)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 64, 96])
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
    graph = helper.make_graph(nodes, "zeros", [pixels], infos, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


F, I = TensorProto.FLOAT, TensorProto.INT64  # noqa: E741
TWO = Card(labels=("cat", "dog"), preprocess="unit")


class TestWhatIsAskedFor:
    """What neither the file nor the card says, in one line."""

    @pytest.mark.parametrize(
        ("outputs", "card", "why"),
        [
            ([("o", F, (1, 6, 50))], Card(preprocess="unit"), r"its labels \(--labels FILE"),
            (
                [("o", F, (1, 50, 6))],
                TWO,
                'either: a card says style = "yolo" or style = "end2end"',
            ),
            ([("o", F, (1, 50, 7))], TWO, 'if a card says style = "yolov5"'),
            (
                [("b", F, (1, 50, 4)), ("s", F, (1, 50, 2))],
                TWO,
                r'what its boxes are \(box = "ltrb".*; nor in which unit \(unit = "pixels"',
            ),
            (
                [("b", F, (1, 50, 4)), ("s", F, (1, 50, 3))],
                Card(box="ltrb", unit="pixels").over(TWO),
                r'nothing at all \(background = "first" or "last"\)',
            ),
            (
                [("boxes", F, ("n", 4)), ("labels", I, ("n",)), ("scores", F, ("n",))],
                TWO,
                r"first label \(first_class = 0 or 1\)",
            ),
        ],
    )
    def test_it(
        self,
        outputs: list[tuple[str, int, tuple[int | str, ...]]],
        card: Card,
        why: str,
        tmp_path: Path,
    ) -> None:
        file = saved(answering(*outputs), tmp_path)
        with pytest.raises(ModelError, match=why) as asked:
            adopt(file, card)
        assert "\n" not in asked.value.detail

    @pytest.mark.parametrize(
        ("outputs", "card"),
        [
            ([("o", F, (1, 50, 6))], Card(style="end2end")),
            ([("o", F, (1, 50, 6))], Card(style="yolo")),
            ([("o", F, (1, 7, 50))], Card(style="yolov5")),
            ([("o", F, ("batch", 6, "anchors"))], Card()),
            (
                [
                    ("num_dets", I, (1, 1)),
                    ("det_boxes", F, (1, 9, 4)),
                    ("det_scores", F, (1, 9)),
                    ("det_classes", I, (1, 9)),
                ],
                Card(box="ltrb", unit="pixels", first_class=0),
            ),
        ],
    )
    def test_once_it_is_said_it_is_taken(
        self,
        outputs: list[tuple[str, int, tuple[int | str, ...]]],
        card: Card,
        tmp_path: Path,
    ) -> None:
        detector = adopted(answering(*outputs), tmp_path, card.over(TWO))
        assert detector.size == (96, 64)  # need not be square
        detector.check(Image.new("RGB", (640, 480)))
        assert detector.detect(COFFEE).predictions == ()


class TestWhatIsRefused:
    """With what it answers, and what is known."""

    @pytest.mark.parametrize(
        ("outputs", "why"),
        [
            ([("mask", F, (1, 2, 64, 96))], r"answers mask \[1, 2, 64, 96\]: neither a score for"),
            ([("a", F, (1, 9, 4)), ("b", F, (1, 9, 4))], r"a \[1, 9, 4\], b \[1, 9, 4\]: neither"),
            ([("a", F, (1, 2)), ("b", F, (1, "n"))], r"a \[1, 2\], b \[1, \?\]: neither"),
            ([("o", F, (1, 84, 50))], "does not fit 2 labels: YOLO's would answer 6 numbers"),
            ([("b", F, (1, 9, 4)), ("s", F, (1, 9, 5))], "5 scores for each box, and there are 2"),
        ],
    )
    def test_a_network_of_no_known_style(
        self, outputs: list[tuple[str, int, tuple[int | str, ...]]], why: str, tmp_path: Path
    ) -> None:
        card = Card(box="ltrb", unit="pixels").over(TWO)
        with pytest.raises(ModelError, match=why):
            adopted(answering(*outputs), tmp_path, card)

    def test_too_few_labels(self, tmp_path: Path) -> None:
        model, card = exported(yolo)
        with pytest.raises(ModelError, match=r"\[1, 84, 1917\]: YOLOv5's of 79 labels would"):
            adopted(model, tmp_path, Card(labels=LABELS[1:]).over(card))

    def test_a_classifier_it_is_not(self, tmp_path: Path) -> None:
        model, _ = exported(yolo)
        with pytest.raises(ModelError, match="a classifier answers one score for each class"):
            adopted(model, tmp_path, Card(task="classification").over(OF_ALL))

    @pytest.mark.parametrize(
        ("boxes", "scores", "why"),
        [
            (np.nan, 0.5, "not numbers"),
            (0.5, np.inf, "not numbers"),
            (0.5, 4.0, r"its scores are 4 to 4, and not 0 to 1: .*activation"),
            (400.0, 0.5, 'far outside of the picture: a card says `unit = "pixels"`'),
        ],
    )
    def test_what_is_no_box_and_no_score(
        self, boxes: float, scores: float, why: str, tmp_path: Path
    ) -> None:
        model = answering(("boxes", F, (1, 9, 4)), ("scores", F, (1, 9, 2)))
        for tensor, number in zip(model.graph.initializer, (boxes, scores), strict=True):
            full = np.full(onnx.numpy_helper.to_array(tensor).shape, number, np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(full, tensor.name))
        detector = adopted(model, tmp_path, Card(box="ltrb", unit="fractions").over(TWO))
        with pytest.raises(ModelError, match=why):
            detector.check(Image.new("RGB", (64, 64)))
        assert len(detector.detect(COFFEE).predictions) <= 20  # and it harms nobody

    @given(noise=st.binary(max_size=100), at=st.integers(0, 5000), cut=st.integers(1, 40))
    @settings(
        max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_damaged_files_never_do_anything_else(
        self, noise: bytes, at: int, cut: int, tmp_path: Path
    ) -> None:
        shapes = (("boxes", F, (1, 9, 4)), ("scores", F, (1, 9)), ("classes", I, (1, 9)))
        model = answering(*shapes, ("num", I, (1,)))
        helper.set_model_props(
            model, {"task": "detect", "imgsz": "[64, 96]", "names": "['a', 'b']"}
        )
        whole = model.SerializeToString()
        file = tmp_path / "damaged.onnx"
        file.write_bytes(whole[: at % len(whole)] + noise + whole[at % len(whole) + cut :])
        card = Card(box="ltrb", unit="pixels", first_class=0, side=64).over(TWO)
        try:
            content = adopt(file, card)
            (tmp_path / "made.onnx").write_bytes(content)
            Detector(tmp_path / "made.onnx").check(Image.new("RGB", (64, 64)))
        except ModelError:
            return
