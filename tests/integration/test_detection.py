"""Boxes, from a snap's option or a camera's setting to its receipt: all parts real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tools.build_models.packages import fetch

from objectclassification.classification.classifier import SHIPPED_MODEL
from objectclassification.classification.detector import SHIPPED_DETECTOR
from objectclassification.errors import BadMessage
from objectclassification.messages import Problem, SnapOrder, encode, read_snap_request
from tests.camera_process import CameraProcess
from tests.photographs import COFFEE
from tests.serving import Served, hear, photo

CLASSIFIER, DETECTOR = SHIPPED_MODEL.stem, SHIPPED_DETECTOR.stem

PHOTOGRAPHS = "ultralytics==8.4.190"
"""Its wheel holds a photograph of a bus and people."""


@pytest.fixture(scope="module")
def bus(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraProcess]:
    """A camera program whose camera ``bus`` sees one all the time."""
    folder = tmp_path_factory.mktemp("bus")
    picture = fetch(PHOTOGRAPHS, folder) / "ultralytics/assets/bus.jpg"
    arguments = ("--name", "bus", "--source", str(picture))
    token = server.new_token("camera", "bus")
    with CameraProcess(folder / "camera", server.url, token, *arguments) as camera:
        camera.ready()
        yield camera


def snap(server: Served, **request: Any) -> Any:
    asked = {"to": ["bus"], "deadline_s": 60, **request}
    answer = server.call("POST", "/api/snaps?wait=1", json=asked)
    assert answer.status_code == 200, answer.text
    (shot,) = answer.json()["shots"]
    assert shot["state"] == "classified", shot
    return shot


def boxes(found: Any) -> list[Any]:
    return [each for each in found["predictions"] if "box" in each]


def picture_of(server: Served, shot: Any) -> Any:
    return server.call("GET", f"/api/pictures/{shot['picture']['id']}").json()


def test_a_snap_that_asks_gets_boxes(server: Served, bus: CameraProcess) -> None:
    shot = snap(server, options={"detect": True})
    labels = shot["predictions"][:5]
    assert not any("box" in each for each in labels)
    assert {each["model"] for each in labels} == {CLASSIFIER}
    found = shot["predictions"][5:]
    assert {each["model"] for each in found} == {DETECTOR}
    assert {each["label"] for each in found} == {"bus", "person"}
    left, top, right, bottom = next(each["box"] for each in found if each["label"] == "bus")
    assert (left, top, right, bottom) == pytest.approx((0.0, 0.22, 1.0, 0.7), abs=0.05)
    assert not any("classified" in each for each in found)
    assert shot["warnings"] == []  # the camera is not told of what is the server's

    picture = picture_of(server, shot)
    assert picture["predictions"] == shot["predictions"]  # live and stored are the same
    assert picture["model"]["id"] == CLASSIFIER
    assert picture["models"].keys() == {CLASSIFIER, DETECTOR}
    assert picture["models"][CLASSIFIER] == picture["model"]["sha256"]
    assert re.fullmatch("[0-9a-f]{64}", picture["models"][DETECTOR])

    page = server.call("GET", "/api/pictures", params={"camera": "bus", "label": "person"}).json()
    assert page["pictures"][0]["id"] == picture["id"]  # found by what is in a box
    best = server.call("GET", "/api/pictures", params={"camera": "bus", "min_score": 0.98}).json()
    assert best["pictures"] == []  # the surest box is not the picture's label


def test_each_box_can_be_classified(server: Served, bus: CameraProcess) -> None:
    found = boxes(snap(server, options={"detect": "classify"}))
    assert {each["label"] for each in found} == {"bus", "person"}
    for each in found:
        assert each["classified"].keys() == {"label", "score", "model"}
        assert each["classified"]["model"] == CLASSIFIER
        assert 0 < each["classified"]["score"] <= 1
    (vehicle,) = [each["classified"]["label"] for each in found if each["label"] == "bus"]
    assert vehicle in {"minibus", "trolleybus", "streetcar", "passenger car", "school bus"}


def test_a_camera_is_set_and_a_snap_may_say_otherwise(server: Served, bus: CameraProcess) -> None:
    plain = snap(server)
    assert len(plain["predictions"]) == 5
    assert all(each.keys() == {"label", "score"} for each in plain["predictions"])
    assert picture_of(server, plain)["models"].keys() == {CLASSIFIER}

    operator = server.new_token("operator")
    answer = server.call("PATCH", "/api/cameras/bus", json={"detect": True}, token=operator)
    assert (answer.status_code, answer.json()["detect"]) == (200, True)
    try:
        assert boxes(snap(server))
        assert not boxes(snap(server, options={"detect": False}))
        slot = answer.json()["snippet"]
        made = server.call("PUT", f"/snippets/{slot}", data=COFFEE.read_bytes()).json()
        server.settle()
        put = server.call("GET", f"/api/pictures/{made['id']}").json()
        assert boxes(put)[0]["label"] == "cup"  # a plain PUT, too
        cameras = server.call("GET", "/api/cameras").json()
        assert next(each["detect"] for each in cameras if each["name"] == "bus") is True
    finally:
        off = server.call("PATCH", "/api/cameras/bus", json={"detect": False})
    assert off.json()["detect"] is False
    assert not boxes(snap(server))


@pytest.mark.parametrize("detect", [7, "boxes", None, [], {"classify": True}])
def test_a_wish_that_is_none_is_refused_at_once(server: Served, detect: Any) -> None:
    request = {"to": ["door"], "id": "odd-wish", "options": {"detect": detect}}
    answer = server.call("POST", "/api/snaps", json=request)
    assert answer.status_code == 422
    assert "options.detect is true, false" in answer.json()["detail"]
    if detect is not None:
        answer = server.call("PATCH", "/api/cameras/door", json={"detect": detect})
        assert answer.status_code == 422
    with pytest.raises(BadMessage) as caught:
        read_snap_request(json.dumps(request).encode())
    assert caught.value.re == "odd-wish"
    with server.connect(server.new_token("operator")) as socket:
        socket.send('{"type": "hello", "role": "controller", "instance": "odd"}')
        socket.send(json.dumps({"type": "snap", **request}))
        problem = hear(socket, Problem)
    assert (problem.code, problem.re) == ("bad_message", "odd-wish")


def test_an_unknown_camera_cannot_be_set(server: Served) -> None:
    answer = server.call("PATCH", "/api/cameras/nobody", json={"detect": True})
    assert answer.status_code == 404
    assert "no camera nobody" in answer.json()["detail"]
    assert server.call("PATCH", "/api/cameras/door", json={"zoom": 2}).status_code == 422


def test_cameras_are_told_their_own_options_only(server: Served) -> None:
    with server.camera("told") as camera:
        request = {"to": ["told"], "options": {"detect": True, "zoom": 2}}
        assert server.call("POST", "/api/snaps", json=request).status_code == 202
        order = camera.hear(SnapOrder)
        assert order.options == {"zoom": 2}
        assert b"detect" not in encode(order)


def test_a_picture_with_nothing_on_it_is_as_one_that_was_not_looked_at(server: Served) -> None:
    server.call("PATCH", "/api/cameras/door", json={"detect": True})
    try:
        made = server.call("PUT", "/snippets/1", data=photo("nothing on it")).json()
        server.settle()
        picture = server.call("GET", f"/api/pictures/{made['id']}").json()
    finally:
        server.call("PATCH", "/api/cameras/door", json={"detect": False})
    assert picture["state"] == "classified"
    assert all(each.keys() == {"label", "score"} for each in picture["predictions"])


@pytest.mark.parametrize("option", ["--detect", "--classify-boxes"])
def test_the_command_prints_them(
    server: Served, bus: CameraProcess, tmp_path: Path, option: str
) -> None:
    token = tmp_path / "token"
    token.write_text(server.new_token("operator"))
    command = [sys.executable, "-m", "objectclassification", "snap", "bus", option]
    login = ["--server", server.url, "--token-file", str(token), "--deadline", "60"]
    run = subprocess.run(
        [*command, *login],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
        timeout=90,
    )
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if re.search(r"\d+,\d+ to \d+,\d+", line)]
    assert any("person 99 % from 6,36 to 29,83" in line for line in lines), run.stdout
    if option == "--classify-boxes":
        assert all(re.search(r"to \d+,\d+: \S.* \d+ %", line) for line in lines)
