"""Models at a real engine elsewhere: they answer as here, and what waits for them is not lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import LABELS, MLServer, put_alone
from tests.integration.test_adoption import COLORS, network, saved
from tests.integration.test_models import SHIPPED, add, colours, put, use
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET
from tests.serving import Served, until

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLServer]:
    """With the shipped model, and one of colours whose scores are a softmax's."""
    folder = tmp_path_factory.mktemp("engine")
    engine = MLServer(folder / "models")
    engine.add_shipped()
    engine.add(
        "colours",
        saved(network(ends="Softmax"), folder),
        {"name": "pixels", "datatype": "FP32", "shape": [-1, 3, 16, 16]},
        {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
    )
    engine.start()
    yield engine
    engine.kill()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, engine: MLServer) -> Iterator[Served]:
    """`door` in slot 1 uses the shipped model at the engine, `yard` in slot 2 the same one here."""
    with Served(tmp_path_factory.mktemp("plant") / "data") as server:
        server.new_token("camera", "door")
        server.new_token("camera", "yard")
        made = add_engine(server, "elsewhere", engine, labels=LABELS)
        assert made["address"] == f"{engine.url}/v2/models/shipped-elsewhere"
        assert made["away"] is None
        assert use(server, "elsewhere", "door") == 200
        yield server


def add_engine(server: Served, name: str, engine: MLServer, **told: Any) -> dict[str, Any]:
    address = f"{engine.url}/v2/models/shipped-elsewhere"
    made = server.call("PUT", f"/api/models/{name}", json={"address": address, **told})
    assert made.status_code in (200, 201), made.text
    found: dict[str, Any] = made.json()
    return found


def put_image(server: Served, slot: int, image: bytes) -> str:
    made = server.call("PUT", f"/snippets/{slot}", data=image)
    assert made.status_code == 201, made.text
    picture: str = made.json()["id"]
    return picture


def look(server: Served, picture: str) -> dict[str, Any]:
    found: dict[str, Any] = server.call("GET", f"/api/pictures/{picture}").json()
    return found


@pytest.mark.parametrize("file", [CHELSEA, COFFEE, MOTORCYCLE, ROCKET], ids=lambda path: path.stem)
def test_it_says_what_the_same_model_says_here(plant: Served, file: Path) -> None:
    there, here = (put_image(plant, slot, file.read_bytes()) for slot in (1, 2))
    plant.settle()
    elsewhere, local = look(plant, there), look(plant, here)
    (row,) = plant.call("GET", "/api/models").json()
    assert elsewhere["model"] == {"id": "elsewhere", "sha256": row["sha256"]}
    assert local["model"]["id"] == SHIPPED
    assert [each["label"] for each in elsewhere["predictions"]] == [
        each["label"] for each in local["predictions"]
    ]
    assert [each["score"] for each in elsewhere["predictions"]] == pytest.approx(
        [each["score"] for each in local["predictions"]], abs=1e-6
    )
    # The embedding is the server's own: both pictures are the same to it.
    found = plant.call("GET", f"/api/pictures/{there}/similar").json()["similar"]
    assert (found[0]["picture"]["id"], found[0]["similarity"] > 0.999) == (here, True)


def test_the_command_line(plant: Served, engine: MLServer, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        env = {**os.environ, "OBJECTCLASSIFICATION_SERVER": plant.url}
        done = subprocess.run(
            [sys.executable, "-m", "objectclassification", *arguments],
            env={**env, "OBJECTCLASSIFICATION_TOKEN": plant.token or ""},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    address = f"{engine.url}/v2/models/colours"
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    told = ("--labels", "labels.txt", "--preprocess", "unit")
    assert "it must be said how" in run("models", "add", address, *told[:2], code=1)
    assert run("models", "add", address, *told).startswith("colours is added")
    assert address in run("models", "list")
    # Its softmax is taken for one: scores as the same network gives them here.
    hues = colours(tmp_path, name="hues")
    assert add(plant, "hues", hues) == 201
    assert use(plant, "hues", "yard") == use(plant, "colours", "door") == 200
    there, here = put(plant, 1, "colours"), put(plant, 2, "colours")
    assert (there["model"]["id"], here["model"]["id"]) == ("colours", "hues")
    assert {each["label"] for each in there["predictions"]} == set(COLORS)
    scores = [[each["score"] for each in found["predictions"]] for found in (there, here)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert use(plant, "shipped", "yard") == use(plant, "elsewhere", "door") == 200
    for name in ("colours", "hues"):
        assert plant.call("DELETE", f"/api/models/{name}").status_code == 204
    checks = json.loads(run("doctor", "--json", "--data", str(plant.settings.data)))
    (said,) = [check for check in checks if check["name"] == "engines"]
    assert said["status"] == "ok" and "elsewhere" in said["found"]


def test_boxes_and_taught_classes_go_on(plant: Served) -> None:
    """Boxes are this machine's, and classified by its own model; the labels are the engine's."""
    asked = plant.call("PATCH", "/api/cameras/door", json={"detect": "classify"})
    assert asked.status_code == 200, asked.text
    picture = put_image(plant, 1, MOTORCYCLE.read_bytes())
    plant.settle()
    plant.call("PATCH", "/api/cameras/door", json={"detect": False})
    found = look(plant, picture)["predictions"]
    labels = [each for each in found if "box" not in each]
    boxes = [each for each in found if "box" in each]
    assert {each["model"] for each in labels} == {"elsewhere"}
    assert boxes and {each["classified"]["model"] for each in boxes} == {SHIPPED}


def test_an_engine_that_dies_with_a_picture(engine: MLServer, tmp_path: Path) -> None:
    """Its picture waits through a restart of the server; other cameras do not wait at all."""
    data = tmp_path / "data"
    with Served(data) as server:
        token = server.new_token("camera", "door", "yard")
        add_engine(server, "elsewhere", engine, labels=LABELS)
        use(server, "elsewhere", "door")
        engine.given.unlink(missing_ok=True)
        engine.hold.touch()
        with server.camera("door", "yard", token=token) as cameras:
            asked = {"to": ["*"], "deadline_s": 2.5, "until": "classified"}
            snap = server.call("POST", "/api/snaps", json=asked).json()["snap"]
            began = time.monotonic()
            for _ in range(2):
                cameras.answer()
            until(engine.given.exists)  # it has the picture
            engine.kill()
            engine.hold.unlink()

            def shots() -> dict[str, Any]:
                receipt = server.call("GET", f"/api/snaps/{snap}").json()
                return {shot["camera"]: shot for shot in receipt["shots"]}

            until(lambda: shots()["yard"]["state"] == "classified")
            assert shots()["door"]["state"] == "uploaded"
            until(lambda: shots()["door"]["state"] == "failed")
            assert time.monotonic() - began > 2  # at the deadline, and not before
        door = shots()["door"]
        assert door["error"]["code"] == "classify_failed"
        assert "the picture is kept" in door["error"]["detail"]
        assert look(server, door["picture"]["id"])["state"] == "queued"
        until(lambda: server.call("GET", "/api/models").json()[0]["away"] is not None)
        assert "engine_up" in server.call("GET", "/metrics").text
        assert server.call("GET", "/readyz").status_code == 200
    with Served(data) as server:
        until(lambda: "} 0.0" in _gauge(server))
        assert put_alone(server, 2, "another")["state"] == "classified"
        assert look(server, door["picture"]["id"])["state"] == "queued"
        engine.start()
        server.settle()
        found = look(server, door["picture"]["id"])
        assert (found["state"], found["model"]["id"]) == ("classified", "elsewhere")
        late = server.call("GET", f"/api/snaps/{snap}").json()["shots"]
        (shot,) = [shot for shot in late if shot["camera"] == "door"]
        assert shot["predictions"][0]["label"] == found["predictions"][0]["label"]
        assert "} 1.0" in _gauge(server)


def _gauge(server: Served) -> str:
    lines = server.call("GET", "/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("objectclassification_engine_up{"))
