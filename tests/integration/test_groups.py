"""An operator's word on a camera's groups: before the camera's own, for as long as it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from objectclassification.cli import build_app
from objectclassification.messages import CameraOffer, Hello, SnapOrder, Watch, Welcome, encode
from tests.serving import Served, hear


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("groups")) as server:
        yield server


def connects(server: Served, name: str, *groups: str) -> tuple[str, ...]:
    """A camera comes, and goes; returns the groups that it is told."""
    hello = Hello("camera", f"i-{name}", cameras=(CameraOffer(name, groups),))
    with server.connect() as socket:
        socket.send(encode(hello).decode())
        (place,) = hear(socket, Welcome).cameras
    return place.groups


def sets(server: Served, name: str, **settings: Any) -> Any:
    answer = server.call("PATCH", f"/api/cameras/{name}", json=settings)
    assert answer.status_code == 200, answer.text
    return answer.json()


def groups_of(server: Served, name: str) -> tuple[list[str], str]:
    every = server.call("GET", "/api/cameras").json()
    (camera,) = [one for one in every if one["name"] == name]
    return camera["groups"], camera["groups_from"]


def test_the_operators_word_wins_until_it_is_taken_back(grouped: Served) -> None:
    assert connects(grouped, "door", "entrance") == ("entrance",)
    assert groups_of(grouped, "door") == (["entrance"], "camera")
    assert sets(grouped, "door", groups=["lab", "east", "lab"])["groups"] == ["lab", "east"]
    assert connects(grouped, "door", "entrance") == ("lab", "east")
    assert groups_of(grouped, "door") == (["lab", "east"], "operator")
    assert sets(grouped, "door", groups=[])["groups"] == []
    assert connects(grouped, "door", "entrance") == ()
    assert sets(grouped, "door", groups=None)["groups_from"] == "camera"
    assert groups_of(grouped, "door") == (["entrance"], "camera")


def test_a_snap_finds_the_group_at_once_and_watchers_are_told(grouped: Served) -> None:
    with grouped.connect() as watching, grouped.camera("window") as window:
        watching.send(encode(Hello("controller", "watcher")).decode())
        watching.send(encode(Watch(("cameras",))).decode())
        hear(watching, Welcome)
        asked = {"to": ["@sills", "!door"], "deadline_s": 0.2}
        assert grouped.call("POST", "/api/snaps", json=asked).status_code == 404
        sets(grouped, "window", groups=["sills"])
        event = json.loads(watching.recv(timeout=10))
        assert event["name"] == "regrouped"
        assert event["data"]["groups"] == ["sills"]
        sets(grouped, "window", detect=False)
        assert groups_of(grouped, "window")[0] == ["sills"]  # what is left out stays
        receipt = grouped.call("POST", "/api/snaps", json=asked).json()
        assert [shot["camera"] for shot in receipt["shots"]] == ["window"]
        assert window.hear(SnapOrder).camera == "window"


def test_it_survives_a_new_start(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        connects(server, "door", "entrance")
        sets(server, "door", groups=["lab"])
    with Served(tmp_path) as server:
        asked = {"to": ["@lab", "door"], "deadline_s": 0.1}
        assert server.call("POST", "/api/snaps?wait=1", json=asked).status_code == 200
        assert connects(server, "door", "entrance") == ("lab",)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"groups": ["no spaces"]},
        {"groups": ["@lab"]},
        {"groups": "lab"},
        {"groups": [f"g{number}" for number in range(17)]},
        {"group": ["lab"]},
    ],
    ids=str,
)
def test_what_cannot_be_groups_is_refused(grouped: Served, body: Any) -> None:
    connects(grouped, "door")
    before = groups_of(grouped, "door")
    answer = grouped.call("PATCH", "/api/cameras/door", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")
    assert groups_of(grouped, "door") == before


def test_nobody_but_operators_says_it_and_only_of_cameras_there_are(grouped: Served) -> None:
    viewer = grouped.new_token("viewer")
    body = {"groups": ["lab"]}
    assert grouped.call("PATCH", "/api/cameras/door", json=body, token=viewer).status_code == 403
    assert grouped.call("PATCH", "/api/cameras/nobody", json=body).status_code == 404


def test_at_the_command_line(grouped: Served) -> None:
    connects(grouped, "cellar", "below")
    environment = {
        "OBJECTCLASSIFICATION_TOKEN": grouped.token or "",
        "OBJECTCLASSIFICATION_SERVER": grouped.url,
    }

    def cameras(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(build_app(), ["cameras", *words], env=environment)
        return done.exit_code, done.output

    code, said = cameras("set", "cellar", "--group", "lab", "--group", "east", "--detect", "off")
    assert (code, said) == (0, "cellar: @lab, @east (set here), no boxes\n")
    code, said = cameras("set", "cellar", "--own-groups", "--json")
    assert json.loads(said)["groups"] == ["below"]
    assert cameras("set", "cellar", "--no-groups")[1].startswith("cellar: no group (set here)")
    assert cameras("set", "cellar")[0] == 2
    assert cameras("set", "cellar", "--no-groups", "--own-groups")[0] == 2
