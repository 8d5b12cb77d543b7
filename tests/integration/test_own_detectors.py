"""Detectors of one's own on a real server: beside a camera's classifier, exchanged, removed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from objectclassification.classification.adoption import Card, adopt
from objectclassification.classification.classifier import SHIPPED_MODEL
from objectclassification.classification.detector import SHIPPED_DETECTOR
from tests.detectors import LABELS, exported, ssd, yolo
from tests.integration.test_adoption import COLORS, network, saved
from tests.photographs import COFFEE
from tests.serving import Served

pytestmark = pytest.mark.long

CLASSIFIER, DETECTOR = SHIPPED_MODEL.stem, SHIPPED_DETECTOR.stem


@cache
def finder(name: str, folder: Path) -> bytes:
    """A detector that finds what the shipped one finds, and calls it after itself."""
    model, card = exported(yolo)
    labels = tuple(f"{name} {label}" for label in LABELS)
    return adopt(saved(model, folder, f"{name}.onnx"), Card(id=name, labels=labels).over(card))


def colours(folder: Path) -> bytes:
    return adopt(saved(network(), folder), Card(labels=COLORS, preprocess="unit"))


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests: what is exported is exported once."""
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two cameras, both of whose pictures get boxes: `door` and `yard`."""
    with Served(tmp_path_factory.mktemp("plant") / "data") as server:
        for camera in ("door", "yard"):
            server.new_token("camera", camera)
            server.call("PATCH", f"/api/cameras/{camera}", json={"detect": True})
        yield server


@pytest.fixture
def bare(plant: Served) -> Iterator[Served]:
    """The plant, without models again afterwards."""
    yield plant
    use(plant, "shipped")
    use(plant, "shipped", "door", "yard")
    for row in plant.call("GET", "/api/models").json():
        assert plant.call("DELETE", f"/api/models/{row['id']}").status_code == 204


def put(server: Served, slot: int, mark: str) -> dict[str, Any]:
    """PUTs a picture of a cup, and returns it once it is looked at."""
    made = server.call("PUT", f"/snippets/{slot}", data=COFFEE.read_bytes() + mark.encode())
    assert made.status_code == 201, made.text
    server.settle()
    found: dict[str, Any] = server.call("GET", f"/api/pictures/{made.json()['id']}").json()
    return found


def add(server: Served, name: str, content: bytes) -> dict[str, Any]:
    made = server.call("PUT", f"/api/models/{name}", data=content)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def use(server: Served, name: str, *cameras: str, **more: str) -> None:
    asked = {"cameras": cameras, **more}
    answer = server.call("POST", f"/api/models/{name}/use", json=asked)
    assert answer.status_code == 200, answer.text


def said(picture: dict[str, Any]) -> tuple[str, str, str]:
    """Which model named a picture, which found its surest box, and what that is."""
    box = next(each for each in picture["predictions"] if "box" in each)
    assert picture["models"].keys() == {picture["model"]["id"], box["model"]}
    return picture["model"]["id"], box["model"], box["label"]


def test_a_camera_has_a_classifier_and_a_detector(bare: Served, folder: Path) -> None:
    row = add(bare, "mine", finder("mine", folder))
    assert row["task"] == "detection"
    assert add(bare, "colours", colours(folder))["task"] == "classification"
    use(bare, "mine", "door")
    door = put(bare, 1, "a")
    assert said(door) == (CLASSIFIER, "mine", "mine cup")
    assert door["models"]["mine"] == row["sha256"]
    assert said(put(bare, 2, "b")) == (CLASSIFIER, DETECTOR, "cup")

    use(bare, "colours", "door")
    assert said(put(bare, 1, "c")) == ("colours", "mine", "mine cup")
    use(bare, "shipped", "door", task="detection")
    assert said(put(bare, 1, "d")) == ("colours", DETECTOR, "cup")
    use(bare, "mine")  # every other camera
    assert said(put(bare, 1, "e")) == ("colours", DETECTOR, "cup")
    assert said(put(bare, 2, "f")) == (CLASSIFIER, "mine", "mine cup")
    use(bare, "shipped", "door")
    assert said(put(bare, 1, "g")) == (CLASSIFIER, DETECTOR, "cup")
    use(bare, "shipped")
    assert said(put(bare, 2, "h")) == (CLASSIFIER, DETECTOR, "cup")
    assert said(bare.call("GET", f"/api/pictures/{door['id']}").json())[1] == "mine"


def test_a_detector_is_no_classifier(bare: Served, folder: Path) -> None:
    add(bare, "mine", finder("mine", folder))
    asked = {"cameras": ["door"], "task": "classification"}
    refused = bare.call("POST", "/api/models/mine/use", json=asked)
    assert refused.status_code == 409
    assert refused.json()["detail"] == "mine is for detection, not for classification"
    wrong = bare.call("POST", "/api/models/mine/use", json={"task": "poetry"})
    assert wrong.status_code == 422
    use(bare, "mine", "yard")
    assert "is used by yard" in bare.call("DELETE", "/api/models/mine").json()["detail"]


def test_what_is_exchanged_and_removed_while_pictures_wait_drops_none(
    tmp_path: Path, folder: Path
) -> None:
    """A job that was leased with the detector that is gone is done with the new one."""
    others = set(psutil.Process().children())
    with Served(tmp_path / "data") as server:
        server.new_token("camera", "door")
        server.call("PATCH", "/api/cameras/door", json={"detect": True})
        (child,) = set(psutil.Process().children()) - others
        for name in ("one", "two"):
            add(server, name, finder(name, folder))
        use(server, "one", "door")
        child.suspend()  # one picture is with it, and the others wait
        made = [
            server.call("PUT", "/snippets/1", data=COFFEE.read_bytes() + bytes([n])).json()["id"]
            for n in range(3)
        ]
        use(server, "two", "door")
        assert server.call("DELETE", "/api/models/one").status_code == 204
        child.resume()
        server.settle()
        for picture in made:
            found = server.call("GET", f"/api/pictures/{picture}").json()
            assert said(found) == (CLASSIFIER, "two", "two cup")


def not_numbers(model: onnx.ModelProto) -> None:
    rename(model)
    nan = numpy_helper.from_array(np.array([np.nan], np.float32), "nan")
    model.graph.initializer.append(nan)
    model.graph.node.append(helper.make_node("Mul", ["before", "nan"], ["scores"]))


def out_of_bounds(model: onnx.ModelProto) -> None:
    """It looks for boxes behind its last one, which shows only when it runs."""
    rename(model)
    for name, value in (("far", 5000), ("anchors", [1917])):
        array = np.array(value, np.int64)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    for node in (
        helper.make_node("ReduceMax", ["before"], ["one"], keepdims=0),
        helper.make_node("Cast", ["one"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "far"], ["behind"]),
        helper.make_node("Expand", ["behind", "anchors"], ["places"]),
        helper.make_node("Gather", ["before", "places"], ["scores"], axis=1),
    ):
        model.graph.node.append(node)


def greedy(model: onnx.ModelProto) -> None:
    """It makes a tensor of 8 GiB of each picture."""
    rename(model)
    shape = numpy_helper.from_array(np.array([2**31], np.int64), "shape")
    model.graph.initializer.append(shape)
    for node in (
        helper.make_node("ReduceMax", ["before"], ["one"], keepdims=0),
        helper.make_node("Expand", ["one", "shape"], ["huge"]),
        helper.make_node("ReduceMean", ["huge"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["before", "mean"], ["scores"]),
    ):
        model.graph.node.append(node)


def rename(model: onnx.ModelProto) -> None:
    """Makes room for something behind its scores."""
    (node,) = (each for each in model.graph.node if list(each.output) == ["scores"])
    node.output[0] = "before"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (not_numbers, "it was tried on a picture: its boxes or scores are not numbers"),
        (out_of_bounds, "it was tried on a picture: it failed: "),
        (greedy, "it was tried on a picture"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_that_fails_is_refused_and_nothing_is_left(
    bare: Served, spoil: Callable[[onnx.ModelProto], None], why: str, tmp_path: Path
) -> None:
    model, card = exported(ssd)
    spoil(model)
    content = adopt(saved(model, tmp_path, "odd.onnx"), card)
    before = bare.files()
    refused = bare.call("PUT", "/api/models/odd", data=content)
    assert (refused.status_code, why in refused.json()["detail"]) == (422, True), refused.text
    assert bare.files() == before
    assert bare.call("GET", "/api/models").json() == []
    assert said(put(bare, 1, spoil.__name__)) == (CLASSIFIER, DETECTOR, "cup")


def test_the_command_line(bare: Served, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        (tmp_path / "token").write_text(bare.token or "")
        login = ("--server", bare.url, "--token-file", "token")
        done = subprocess.run(
            [sys.executable, "-m", "objectclassification", "models", *arguments, *login],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    model, _ = exported(ssd)
    saved(model, tmp_path, "parts.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    told = ("parts.onnx", "--labels", "labels.txt", "--preprocess", "raw")
    asked = run("add", *told, code=78)
    assert asked.startswith("error: parts.onnx is a detector, and does not say what its boxes are")
    assert asked.count("\n") == 1
    (tmp_path / "parts.toml").write_text('box = "ltrb"\nunit = "fractions"\nmin_score = 0.9\n')
    assert run("add", *told).startswith("parts is added for detection")
    (row,) = json.loads(run("use", "parts", "--camera", "door", "--json"))
    assert (row["task"], row["cameras"]) == ("detection", ["door"])
    listed = [line.split() for line in run("list").splitlines()]
    assert listed[0] == ["model", "for", "used", "by", "MB", "added", "sha256", "engine"]
    assert listed[1][:5] == ["shipped", "classification", "every", "other", "camera"]
    assert listed[2][:5] == ["shipped", "detection", "every", "other", "camera"]
    assert listed[3][:3] == ["parts", "detection", "door"]
    found = put(bare, 1, "with the command line's")
    assert [each["label"] for each in found["predictions"] if "box" in each] == ["cup"]
    (row,) = json.loads(run("use", "shipped", "--camera", "door", "--task", "detection", "--json"))
    assert row["cameras"] == []
    assert "poetry" in run("use", "shipped", "--task", "poetry", code=1)
