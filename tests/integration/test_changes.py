"""What changed: a camera's pictures beside its own past, on a real server."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import Connection, select

from objectclassification.store import changes, retention, tables
from tests.photographs import CHELSEA, COFFEE, ROCKET
from tests.serving import WAIT_S, Served, photo

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def put(server: Served, slot: int, content: bytes, age_ms: int = 0) -> str:
    made = server.call("PUT", f"/snippets/{slot}", data=content, params={"age_ms": age_ms})
    assert made.status_code == 201, made.text
    server.settle()
    return str(made.json()["id"])


def change_of(server: Served, picture: str) -> Any:
    return server.call("GET", f"/api/pictures/{picture}").json()["change"]


def changed(server: Served, **query: Any) -> list[str]:
    answer = server.call("GET", "/api/pictures", params=query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["pictures"]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A camera that saw the same rocket nine times, and then a cat; another that saw one cat."""
    with Served(tmp_path_factory.mktemp("watched") / "data") as server:
        server.new_token("camera", "door")
        server.new_token("camera", "yard")
        for number in range(9):
            put(server, 1, photo(f"{number}"), age_ms=(20 - number) * 60_000)
        put(server, 1, CHELSEA.read_bytes(), age_ms=60_000)
        put(server, 2, CHELSEA.read_bytes())
        yield server


def test_nothing_is_said_before_there_is_a_past(watched: Served) -> None:
    newest = changed(watched)
    yard, cat, ninth, *first = newest
    assert change_of(watched, yard) is None
    assert [change_of(watched, one) for one in first] == [None] * 8
    same = change_of(watched, ninth)
    assert (same["changed"], same["novelty"], same["threshold"]) == (False, 0, 0.03)
    assert {one["picture"] for one in same["nearest"]} <= set(first)
    assert [one["similarity"] for one in same["nearest"]] == [1, 1, 1]
    found = change_of(watched, cat)
    assert found["changed"]
    assert found["novelty"] > 0.3 > found["threshold"]
    assert len(found["nearest"]) == 3


def test_it_is_searched_for(watched: Served) -> None:
    _, cat, ninth, *_ = changed(watched)
    assert changed(watched, changed=1) == changed(watched, changed="true", camera="door") == [cat]
    assert changed(watched, changed=0) == [ninth]
    assert changed(watched, changed=1, camera="yard") == []
    assert watched.call("GET", "/api/pictures", params={"changed": "maybe"}).status_code == 422


def test_the_past_is_what_was_captured_before(watched: Served) -> None:
    """A picture that comes late has only seven before it; and one captured now has all."""
    late = put(watched, 1, photo("late"), age_ms=13 * 60_000 + 30_000)
    assert change_of(watched, late) is None
    cup = put(watched, 1, COFFEE.read_bytes())
    assert change_of(watched, cup)["changed"]
    for picture in (late, cup):
        remove(watched, picture)


def test_a_past_picture_that_was_deleted_is_not_shown(watched: Served) -> None:
    put(watched, 1, photo("keeps the slot"))
    cup = put(watched, 1, COFFEE.read_bytes(), age_ms=30_000)
    first, *others = (one["picture"] for one in change_of(watched, cup)["nearest"])
    remove(watched, first)
    assert [one["picture"] for one in change_of(watched, cup)["nearest"]] == others
    remove(watched, cup)
    assert watched.rows()["changes"] == len(
        changed(watched, changed=1) + changed(watched, changed=0)
    )


def remove(server: Served, picture: str) -> None:
    server.run(server.parts.database.write(lambda c: retention.remove(c, [picture])))


def test_the_same_hour_of_the_days_before_counts(tmp_path: Path) -> None:
    """By day there is a rocket, by night a cat; a cat at night is nothing new, by day it is."""
    with Served(tmp_path / "data") as server:
        server.new_token("camera", "door")
        for day in range(3, 0, -1):
            for number in range(2):
                age = day * DAY_MS + number * 60_000
                put(server, 1, CHELSEA.read_bytes() + b"%d" % number, age_ms=age)
        for number in range(16):
            put(server, 1, photo(f"{number}"), age_ms=6 * HOUR_MS + number * 60_000)
        night = put(server, 1, CHELSEA.read_bytes())
        day_ = put(server, 1, CHELSEA.read_bytes(), age_ms=5 * HOUR_MS)
        assert not change_of(server, night)["changed"]
        assert change_of(server, day_)["changed"]

        def past(connection: Connection) -> changes.Past:
            model = connection.execute(select(tables.embeddings.c.model_sha256).limit(1))
            return changes.past(connection, night, model.scalar_one())

        found = server.run(server.parts.database.read(past))
        assert len(found.whole) == changes.RECENT + 6
        assert night not in found.whole


CROP = [0.9, 0.86, 0.96, 0.94]
"""Where the lamp is."""


def lamp(colour: str, number: int) -> bytes:
    """A photograph of a rocket with a small lamp; no two files of it are the same."""
    with Image.open(ROCKET) as opened:
        scene = opened.convert("RGB").resize((1280, 853))
    ImageDraw.Draw(scene).ellipse((1165, 745, 1215, 795), fill=colour)
    buffer = io.BytesIO()
    scene.save(buffer, "JPEG", quality=90)
    return buffer.getvalue() + b"%d" % number


def taught_to_see_a_lamp(server: Served) -> None:
    """Nine pictures of the camera, five on and four off, and a head that is switched on."""
    for number in range(9):
        colour, name = ("yellow", "on") if number % 2 == 0 else ("black", "off")
        picture = put(server, 1, lamp(colour, number), age_ms=(20 - number) * 60_000)
        body = {"labels": {"lamp": name}}
        assert server.call("PATCH", f"/api/pictures/{picture}", json=body).status_code == 200
    wanted = {"crop": CROP, "camera": "door"}
    made = server.call("POST", "/api/heads/lamp/versions", json=wanted)
    assert made.status_code == 201, made.text
    on = server.call("POST", "/api/heads/lamp/activate", json={"version": 1})
    assert on.status_code == 200, on.text


def test_a_change_in_a_crop_is_in_the_shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the whole picture it is nothing; where the head looks, it is."""
    with Served(tmp_path / "data") as server, server.camera("door") as camera:
        taught_to_see_a_lamp(server)
        usual = change_of(server, put(server, 1, lamp("yellow", 10)))
        assert [one["changed"] for one in usual["crops"]] == [False]

        camera_answers = threading.Thread(target=camera.answer, args=(lamp("red", 11),))
        camera_answers.start()
        shown = snapped(server, monkeypatch)
        camera_answers.join()
        receipt = json.loads(shown.stdout)
        (shot,) = receipt["shots"]
        found = shot["change"]
        assert (found["changed"], [one["crop"] for one in found["crops"]]) == (False, [CROP])
        (crop,) = found["crops"]
        assert crop["changed"]
        assert crop["novelty"] > crop["threshold"] >= 0.03
        assert len(crop["nearest"]) == 3
        # The rows say the same, and it is searched for.
        assert change_of(server, shot["picture"]["id"]) == found
        stored = server.call("GET", f"/api/snaps/{receipt['snap']}").json()
        assert stored["shots"][0]["change"] == found
        assert changed(server, changed=1) == [shot["picture"]["id"]]
        assert shot["picture"]["id"] not in changed(server, changed=0)

        camera_answers = threading.Thread(target=camera.answer, args=(lamp("red", 12),))
        camera_answers.start()
        table = snapped(server, monkeypatch, as_json=False).stdout
        camera_answers.join()
        assert "changed in 0.9,0.86,0.96,0.94: novelty" in " ".join(table.split())
        # Another camera's pictures have no crop, and no past.
        server.new_token("camera", "yard")
        assert change_of(server, put(server, 2, lamp("yellow", 13))) is None


def snapped(
    server: Served, monkeypatch: pytest.MonkeyPatch, *, as_json: bool = True
) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("OBJECTCLASSIFICATION_SERVER", server.url)
    monkeypatch.setenv("OBJECTCLASSIFICATION_TOKEN", server.token or "")
    monkeypatch.setenv("COLUMNS", "200")
    command = [sys.executable, "-m", "objectclassification", "snap", "door"]
    done = subprocess.run(
        command + ["--json"] * as_json, capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stderr
    return done
