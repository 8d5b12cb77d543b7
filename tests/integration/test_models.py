"""Models of one's own on a real server: added, used by some cameras, exchanged, removed."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from objectclassification.classification.adoption import Card, adopt
from objectclassification.store import repair
from objectclassification.store.backup import back_up
from objectclassification.store.restore import restore
from tests.integration.test_adoption import COLORS, network, saved
from tests.photographs import COFFEE
from tests.serving import WAIT_S, Served, photo

SHIPPED = "efficientnet-lite0-int8"


def colours(folder: Path, *labels: str, name: str = "colours") -> bytes:
    """A model that says which colour a picture has most of, with labels of its own."""
    card = Card(id=name, labels=labels or COLORS, preprocess="unit")
    return adopt(saved(network(), folder), card)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Served]:
    """A server with two cameras, `door` in slot 1 and `yard` in slot 2."""
    with Served(tmp_path / "data") as server:
        server.new_token("camera", "door")
        server.new_token("camera", "yard")
        yield server


def put(server: Served, slot: int, mark: str) -> dict[str, Any]:
    """PUTs a picture, and returns it once it is classified."""
    made = server.call("PUT", f"/snippets/{slot}", data=photo(mark))
    assert made.status_code == 201, made.text
    server.settle()
    found: dict[str, Any] = server.call("GET", f"/api/pictures/{made.json()['id']}").json()
    return found


def add(server: Served, name: str, content: bytes) -> int:
    return server.call("PUT", f"/api/models/{name}", data=content).status_code


def use(server: Served, name: str, *cameras: str) -> int:
    asked = {"cameras": cameras}
    return server.call("POST", f"/api/models/{name}/use", json=asked).status_code


def test_each_camera_has_its_own(plant: Served, tmp_path: Path) -> None:
    assert add(plant, "colours", colours(tmp_path)) == 201
    assert add(plant, "colours", colours(tmp_path)) == 200
    assert put(plant, 1, "nobody uses it yet")["model"]["id"] == SHIPPED
    assert use(plant, "colours", "door") == 200
    door, yard = put(plant, 1, "a"), put(plant, 2, "b")
    (row,) = plant.call("GET", "/api/models").json()
    assert door["model"] == {"id": "colours", "sha256": row["sha256"]}
    assert {each["label"] for each in door["predictions"]} == set(COLORS)
    assert yard["model"]["id"] == SHIPPED
    assert (row["cameras"], row["by_every_other"]) == (["door"], False)
    # Nobody knows how often its scores are right, until somebody says from when on they count.
    assert (door["unsure"], yard["unsure"] is None) == (None, False)
    assert door["confidence"] == pytest.approx(door["predictions"][0]["score"], abs=1e-4)
    below = {"below": door["confidence"] + 0.001}
    assert plant.call("POST", "/api/unsure/colours", json=below).json()["model"] == "colours"
    assert put(plant, 1, "a")["unsure"] is True

    assert use(plant, "colours") == 200  # every other
    assert use(plant, "shipped", "door") == 200
    assert put(plant, 1, "c")["model"]["id"] == SHIPPED
    assert put(plant, 2, "d")["model"]["id"] == "colours"
    assert use(plant, "shipped") == 200
    assert put(plant, 2, "e")["model"]["id"] == SHIPPED
    assert plant.call("GET", f"/api/pictures/{door['id']}").json()["model"]["id"] == "colours"


def test_one_that_is_used_stays(plant: Served, tmp_path: Path) -> None:
    add(plant, "colours", colours(tmp_path))
    use(plant, "colours", "yard", "door")
    refused = plant.call("DELETE", "/api/models/colours")
    assert refused.status_code == 409
    assert "is used by door, yard" in refused.json()["detail"]
    use(plant, "shipped", "yard", "door")
    before = plant.files()
    assert plant.call("DELETE", "/api/models/colours").status_code == 204
    assert len(before - plant.files()) == 1
    assert plant.call("DELETE", "/api/models/colours").status_code == 404


def test_what_is_exchanged_and_removed_while_pictures_wait_drops_none(tmp_path: Path) -> None:
    """A job that was leased with the model that is gone is done with the new one."""
    others = set(psutil.Process().children())
    with Served(tmp_path / "data") as server:
        server.new_token("camera", "door")
        (child,) = set(psutil.Process().children()) - others
        add(server, "one", colours(tmp_path, "a", "b", "c", name="one"))
        add(server, "two", colours(tmp_path, "d", "e", "f", name="two"))
        use(server, "one", "door")
        child.suspend()  # one picture is with it, and the others wait
        made = [
            server.call("PUT", "/snippets/1", data=photo(f"{n}")).json()["id"] for n in range(4)
        ]
        use(server, "two", "door")
        assert server.call("DELETE", "/api/models/one").status_code == 204
        child.resume()
        server.settle()
        for picture in made:
            found = server.call("GET", f"/api/pictures/{picture}").json()
            assert (found["state"], found["model"]["id"]) == ("classified", "two")


class TestWhatIsRefused:
    """Nothing changes, nothing is left, and the reason is one line."""

    def check(self, server: Served, name: str, content: bytes, status: int, why: str) -> None:
        before = server.files()
        refused = server.call("PUT", f"/api/models/{name}", data=content)
        assert (refused.status_code, why in refused.json()["detail"]) == (status, True), (
            refused.text
        )
        assert server.files() == before
        assert server.call("GET", "/api/models").json() == []

    @pytest.mark.parametrize(
        ("content", "why"),
        [(b"", "not a model"), (b"x" * 5000, "not a model"), (COFFEE.read_bytes(), "not a model")],
        ids=["empty", "noise", "a picture"],
    )
    def test_no_model(self, plant: Served, content: bytes, why: str) -> None:
        self.check(plant, "none", content, 422, why)

    def test_one_of_two_gigabytes(self, plant: Served) -> None:
        """By what it says of itself: not a byte of it is taken."""
        before = plant.files()
        link = http.client.HTTPConnection("127.0.0.1", plant.port, timeout=WAIT_S)
        link.putrequest("PUT", "/api/models/large")
        link.putheader("Authorization", f"Bearer {plant.token}")
        link.putheader("Content-Length", str(2**31))
        link.endheaders()
        refused = link.getresponse()
        assert (refused.status, b"at most 512 MiB" in refused.read()) == (413, True)
        link.close()
        assert plant.files() == before

    def test_one_without_a_card(self, plant: Served, tmp_path: Path) -> None:
        content = network().SerializeToString()
        self.check(plant, "bare", content, 422, "lacks our metadata")

    def test_one_that_takes_all_memory(self, plant: Served, tmp_path: Path) -> None:
        for content in (greedy(tmp_path), growing(tmp_path)):
            self.check(plant, "colours", content, 422, "it was tried on a picture")

    def test_one_whose_scores_are_no_numbers(self, plant: Served, tmp_path: Path) -> None:
        model = network()
        weight = numpy_helper.from_array(np.full((3, 3), np.nan, np.float32), "weight")
        model.graph.initializer[0].CopyFrom(weight)
        content = adopt(saved(model, tmp_path), Card(labels=COLORS, preprocess="unit"))
        self.check(plant, "colours", content, 422, "not numbers")

    @pytest.mark.parametrize("name", ["..", "a b", "-x", "x" * 65, "%2e%2e%2fup"])
    def test_names(self, plant: Served, name: str, tmp_path: Path) -> None:
        answer = plant.call("PUT", f"/api/models/{name}", data=colours(tmp_path))
        assert answer.status_code in (404, 405, 422)
        assert plant.call("GET", "/api/models").json() == []

    def test_taken_names(self, plant: Served, tmp_path: Path) -> None:
        one, other = colours(tmp_path), colours(tmp_path, "a", "b", "c")
        self.check(plant, "hues", one, 422, "that it is called 'colours'")
        shipped = colours(tmp_path, name="shipped")
        self.check(plant, "shipped", shipped, 409, "choose another name")
        assert add(plant, "colours", one) == 201
        before = plant.files()
        assert add(plant, "colours", other) == 409
        assert plant.files() == before

    def test_nobody_else(self, plant: Served) -> None:
        assert use(plant, "shipped", "door", "nobody") == 404
        assert use(plant, "nothing") == 404


def greedy(folder: Path) -> bytes:
    """A model that makes a tensor of 8 GiB of each picture."""
    shape = numpy_helper.from_array(np.array([2**31, 1], np.int64), "shape")
    model = network()
    model.graph.initializer.append(shape)
    dense = model.graph.node[2]
    dense.output[0] = "small"
    model.graph.node.insert(3, helper.make_node("ReduceMax", ["small"], ["one"], keepdims=0))
    model.graph.node.insert(4, helper.make_node("Expand", ["one", "shape"], ["huge"]))
    model.graph.node.insert(5, helper.make_node("ReduceMean", ["huge"], ["mean"], keepdims=0))
    model.graph.node.insert(6, helper.make_node("Add", ["small", "mean"], ["dense"]))
    onnx.checker.check_model(model)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return adopt(saved(model, folder), Card(labels=COLORS, preprocess="unit"))


def growing(folder: Path) -> bytes:
    """A model that doubles what it has, without an end."""
    said, seen, tell = TensorProto.BOOL, TensorProto.FLOAT, helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["on_"]),
            helper.make_node("Concat", ["have", "have"], ["have_"], axis=0),
        ],
        "body",
        [tell("round", TensorProto.INT64, []), tell("on", said, []), tell("have", seen, None)],
        [tell("on_", said, []), tell("have_", seen, None)],
    )
    model = network()
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "go"))
    model.graph.node[2].output[0] = "small"
    model.graph.node.insert(3, helper.make_node("Loop", ["", "go", "small"], ["all"], body=body))
    mean = helper.make_node("ReduceMean", ["all"], ["mean"], axes=[0], keepdims=1)
    model.graph.node.insert(4, mean)
    model.graph.node.insert(5, helper.make_node("Add", ["small", "mean"], ["dense"]))
    return adopt(saved(model, folder), Card(labels=COLORS, preprocess="unit"))


def test_models_are_in_a_backup(tmp_path: Path) -> None:
    data, copy, new = tmp_path / "data", tmp_path / "backup", tmp_path / "new"
    with Served(data) as server:
        server.new_token("camera", "door")
        assert add(server, "colours", colours(tmp_path)) == 201
        assert use(server, "colours", "door") == 200
        made = back_up(data, copy, lambda *_: None)
    assert made.lost == ()
    assert repair.inspect(data).orphans == {}
    assert restore(copy, new, lambda *_: None).damaged == ()
    with Served(new) as server:
        assert put(server, 1, "restored")["model"]["id"] == "colours"
        (row,) = server.call("GET", "/api/models").json()
    (new / "blobs" / row["sha256"][-2:] / row["sha256"]).unlink()
    assert repair.inspect(new).models == ("colours",)
    with Served(new) as server:  # it says so, and goes on
        assert put(server, 1, "lost")["state"] == "failed"
        assert use(server, "shipped", "door") == 200
        assert put(server, 1, "found")["state"] == "classified"


def test_the_command_line(plant: Served, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        env = {**os.environ, "OBJECTCLASSIFICATION_SERVER": plant.url}
        done = subprocess.run(
            [sys.executable, "-m", "objectclassification", "models", *arguments],
            env={**env, "OBJECTCLASSIFICATION_TOKEN": plant.token or ""},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    saved(network(), tmp_path)
    assert "shipped" in run("list")
    asked = run("add", "colours.onnx", code=78)
    assert asked.startswith("error: colours.onnx does not say its labels (--labels FILE")
    assert asked.count("\n") == 1
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    told = ("--labels", "labels.txt", "--preprocess", "unit", "--name", "hues")
    assert "3 classes, and there are 2 labels" in run("add", "colours.onnx", *told, code=78)
    (tmp_path / "colours.toml").write_text('labels = ["rot, hell", "青", "zöld"]\n')
    assert run("add", "colours.onnx", *told[2:]).startswith("hues is added")
    (row,) = json.loads(run("use", "hues", "--camera", "door", "--json"))
    assert row["cameras"] == ["door"]
    assert "rot, hell" in {p["label"] for p in put(plant, 1, "a")["predictions"]}
    assert "hues" in run("list")
    assert "is used by door" in run("remove", "hues", code=1)
    run("use", "shipped", "--camera", "door")
    run("remove", "hues")
    assert json.loads(run("list", "--json")) == []
    assert "no model is called hues" in run("use", "hues", code=1)


def test_embeddings_are_the_servers_own(plant: Served, tmp_path: Path) -> None:
    """So that pictures of all cameras compare, and heads answer whatever model finds the labels."""
    alike = put(plant, 1, "one")
    add(plant, "colours", colours(tmp_path))
    use(plant, "colours", "door")
    other = put(plant, 1, "two")
    assert other["model"]["id"] == "colours"
    found = plant.call("GET", f"/api/pictures/{other['id']}/similar").json()["similar"]
    assert [one["picture"]["id"] for one in found] == [alike["id"]]
    assert found[0]["similarity"] > 0.99
