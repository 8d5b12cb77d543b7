"""How sure answers are: on pictures, receipts and pages, and from when on they count."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectclassification.store.folder import DATABASE
from tests.photographs import CATS, CHELSEA, COFFEE, ROCKET, views
from tests.serving import Served, photo


@pytest.fixture(scope="module")
def unsure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("unsure") / "data") as server:
        server.new_token("camera", "door")
        yield server


def put(server: Served, image: bytes) -> dict[str, Any]:
    made = server.call("PUT", "/snippets/1", data=image)
    assert made.status_code == 201, made.text
    server.settle()
    found: dict[str, Any] = server.call("GET", f"/api/pictures/{made.json()['id']}").json()
    return found


def set_to(server: Served, **wanted: float) -> Any:
    return server.call("POST", "/api/unsure/shipped", json=wanted)


def run(server: Served, *arguments: str, code: int = 0) -> str:
    env = {**os.environ, "OBJECTCLASSIFICATION_SERVER": server.url}
    done = subprocess.run(
        [sys.executable, "-m", "objectclassification", *arguments],
        env={**env, "OBJECTCLASSIFICATION_TOKEN": server.token or ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_picture_says_how_sure_its_label_is(unsure_server: Served) -> None:
    server = unsure_server
    coffee, nothing = put(server, COFFEE.read_bytes()), put(server, photo("grey"))
    assert coffee["unsure"] is False
    assert coffee["confidence"] > 0.6
    # The temperature is under 1: scores of the shipped model are too low, and grow.
    assert coffee["predictions"][0]["score"] < coffee["confidence"] < 1
    assert nothing["unsure"] is True
    assert nothing["confidence"] < 0.6
    ids = {
        unsure: {
            each["id"]
            for each in server.call("GET", "/api/pictures", params={"unsure": unsure}).json()[
                "pictures"
            ]
        }
        for unsure in ("true", "false")
    }
    assert coffee["id"] in ids["false"] - ids["true"]
    assert nothing["id"] in ids["true"] - ids["false"]
    assert ">label unsure</span>" in server.call("GET", "/").text


def test_a_receipt_says_it_and_no_rule_passes_it_by(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        token = server.new_token("camera", "door")
        rule = {"name": "cat", "ok": sorted(CATS)}
        assert server.call("POST", "/api/rules", json=rule).status_code == 201
        assert set_to(server, below=0.999).status_code == 200
        with server.camera("door", token=token) as camera:
            asked = {"to": ["door"], "deadline_s": 30}
            accepted = server.call("POST", "/api/snaps", json=asked).json()
            camera.answer(CHELSEA.read_bytes())
            server.settle()
        (shot,) = server.call("GET", f"/api/snaps/{accepted['snap']}").json()["shots"]
        assert (shot["unsure"], shot["verdict"]) == (True, "unsure")
        assert f"a confidence of {shot['confidence']}" in shot["judgements"][0]["why"]
        assert set_to(server, below=0).status_code == 200
        assert put(server, CHELSEA.read_bytes())["verdict"] == "ok"
        database = sqlite3.connect(server.parts.settings.data / DATABASE)
        with database:  # as a picture of an older server is
            database.execute("UPDATE pictures SET confidence = NULL, unsure = NULL")
        database.close()
        (shot,) = server.call("GET", f"/api/snaps/{accepted['snap']}").json()["shots"]
        assert (shot["confidence"], shot["unsure"], shot["verdict"]) == (None, None, "unsure")
    with Served(tmp_path / "data") as server:  # thresholds outlive a restart
        assert put(server, CHELSEA.read_bytes())["verdict"] == "ok"


@pytest.mark.long
def test_a_threshold_is_found_on_labelled_pictures(unsure_server: Served) -> None:
    server = unsure_server
    assert "unsure below" in run(server, "unsure")
    seen = views(CHELSEA, 8) + views(ROCKET, 8) + views(COFFEE, 8)
    pictures = [put(server, image) for image in seen]
    refused = set_to(server, precision=0.9)
    assert (refused.status_code, "20 are needed" in refused.json()["detail"]) == (409, True)
    surest = max(pictures, key=lambda picture: picture["confidence"])
    known = []
    for number, picture in enumerate(pictures):
        right = number % 8 > 0 and picture is not surest
        label = picture["predictions"][0]["label"].upper() if right else "something else"
        path = f"/api/pictures/{picture['id']}"
        body = {"labels": {"": label, "valve": "open"}}
        assert server.call("PATCH", path, json=body).status_code == 200
        known.append((picture["confidence"], right))
    found = set_to(server, precision=0.8).json()
    coverage = found["coverage"]
    given = [right for confidence, right in known if confidence >= found["below"]]
    assert (coverage["answered"], coverage["right"]) == (len(given), sum(given))
    assert coverage["right"] >= 0.8 * coverage["answered"]
    assert coverage["pictures"] == len(known)
    assert coverage["low"] < coverage["share"]
    shown = run(server, "unsure")
    assert f"{coverage['answered']} of 24 answered" in shown
    refused = set_to(server, precision=0.999)  # the surest answer of all is wrong
    assert (refused.status_code, "no threshold makes" in refused.json()["detail"]) == (409, True)
    assert json.loads(run(server, "unsure", "shipped", "--below", "0.25", "--json")) == [
        {**found, "below": 0.25, "coverage": None, "set_at": _set_at(server)}
    ]
    assert "set by hand" in run(server, "unsure")
    assert "comes with the model" in run(server, "unsure", "shipped", "--forget")
    assert "no model is called none" in run(server, "unsure", "none", "--below", "0.5", code=1)
    run(server, "unsure", "shipped", code=2)
    run(server, "unsure", "--below", "0.5", code=2)


def _set_at(server: Served) -> str:
    (one,) = server.call("GET", "/api/unsure").json()
    at: str = one["set_at"]
    return at


@pytest.mark.parametrize(
    "wanted", [{}, {"precision": 0.9, "below": 0.5}, {"precision": 1}, {"below": -0.1}, {"at": 1}]
)
def test_a_threshold_that_says_nothing_is_refused(
    unsure_server: Served, wanted: dict[str, float]
) -> None:
    assert set_to(unsure_server, **wanted).status_code == 422
