"""Verdicts on a real server: in pictures, receipts and counts, and over a crash of its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from objectclassification.receipts import rfc3339
from tests.photographs import CATS, CHELSEA, ROCKET
from tests.serving import Served


def add(server: Served, name: str, **rule: Any) -> int:
    return server.call("POST", "/api/rules", json={"name": name, **rule}).status_code


def put(server: Served, image: bytes) -> dict[str, Any]:
    made = server.call("PUT", "/snippets/1", data=image)
    assert made.status_code == 201, made.text
    server.settle()
    found: dict[str, Any] = server.call("GET", f"/api/pictures/{made.json()['id']}").json()
    return found


def counted(server: Served, **query: Any) -> list[tuple[int, int, int]]:
    rows = server.call("GET", "/api/verdicts", params=query).json()
    return [(row["ok"], row["ng"], row["unsure"]) for row in rows]


def test_pictures_have_verdicts(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        server.new_token("camera", "door")
        server.new_token("camera", "yard")
        assert put(server, CHELSEA.read_bytes())["verdict"] is None
        assert counted(server) == []
        assert add(server, "cats", cameras=["door"], ok=list(CATS), min_score=0.3) == 201
        assert add(server, "cats", cameras=["door"], ok=list(CATS), min_score=0.3) in (200, 409)
        assert add(server, "surely", ng=["nothing like it"], min_score=0.99) == 201
        cat = put(server, CHELSEA.read_bytes())
        assert cat["verdict"] == "unsure"
        assert [each["verdict"] for each in cat["judgements"]] == ["ok", "unsure"]
        assert "has a score of" in cat["judgements"][1]["why"]
        assert server.call("DELETE", "/api/rules/surely").status_code == 204
        assert put(server, CHELSEA.read_bytes())["verdict"] == "ok"
        assert put(server, ROCKET.read_bytes())["verdict"] in ("ng", "unsure")
    with Served(tmp_path / "data") as server:  # rules outlive a restart
        assert put(server, CHELSEA.read_bytes())["verdict"] == "ok"
        found = server.call("GET", "/api/pictures", params={"verdict": "ok"}).json()["pictures"]
        assert len(found) == 2
        assert server.call("GET", "/api/pictures", params={"verdict": "good"}).status_code == 422
        ((ok, ng, unsure),) = counted(server, camera="door")
        assert (ok, ng + unsure) == (2, 2)
        assert counted(server, camera="yard") == []
        long_ago = rfc3339(1e9)
        assert counted(server, until=long_ago) == []
        assert server.call("GET", "/api/verdicts", params={"since": long_ago}).status_code == 422


def test_a_receipt_carries_it_with_the_context(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        token = server.new_token("camera", "line-1")
        assert add(server, "rocket", ok=["missile", "space shuttle"], min_score=0.2) == 201
        with server.camera("line-1", token=token) as camera:
            asked = {"to": ["line-1"], "deadline_s": 30, "context": {"serial": "4711"}}
            accepted = server.call("POST", "/api/snaps", json=asked).json()
            camera.answer()
            server.settle()
        path = f"/api/snaps/{accepted['snap']}"
        receipt = server.call("GET", path).json()
        (shot,) = receipt["shots"]
        assert (shot["verdict"], receipt["context"]["serial"]) == ("ok", "4711")
        assert shot["judgements"][0]["rule"] == "rocket"
        found = server.call("GET", "/api/snaps", params={"context": "serial=4711"}).json()
        assert found["snaps"][0]["shots"][0]["verdict"] == "ok"


def test_bad_rules_are_refused(server: Served) -> None:
    for rule, why in (
        ({"name": "a"}, "names nothing that is ok"),
        ({"name": "a", "ok": ["x"], "ng": ["x"]}, "'x' is ok and ng"),
        ({"name": "a b", "ok": ["x"]}, "not a rule"),
        ({"name": "a", "ok": ["x"], "min_score": 2}, "not a rule"),
        ({"name": "a", "ok": ["x" * 300]}, "not a rule"),
        ({"name": "a", "okay": ["x"]}, "not a rule"),
        ({"name": "a", "count": "x"}, "how many x are ok"),
        ({"name": "a", "count": "x", "least": -1}, "not a rule"),
    ):
        refused = server.call("POST", "/api/rules", json=rule)
        assert (refused.status_code, why in refused.json()["detail"]) == (422, True), refused.text
    assert server.call("GET", "/api/rules").json() == []
    assert server.call("DELETE", "/api/rules/none").status_code == 404


@pytest.mark.long
def test_the_command_line(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        server.new_token("camera", "door")

        def run(*arguments: str, code: int = 0) -> str:
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

        cats = [part for cat in sorted(CATS) for part in ("--ok", cat)]
        assert "judges pictures" in run("rule", "add", "cats", *cats, "--min-score", "0.3")
        assert "all else" in run("rule", "list")
        assert run("verdicts", "--since", "2000-01-01", "--until", "2000-01-02") == ""
        put(server, CHELSEA.read_bytes())
        (hour,) = json.loads(run("verdicts", "--json"))
        assert (hour["ok"], hour["ng"], hour["unsure"]) == (1, 0, 0)
        assert "all" in run("verdicts", "--camera", "door")
        assert "names nothing" in run("rule", "add", "none", code=1)
        run("rule", "remove", "cats")
        cat = ("--count", "cat", "--least", "1", "--most", "1")
        run("rule", "add", "one-cat", "--camera", "door", *cat)
        run("rule", "add", "nobody", "--count", "person", "--most", "0")
        assert "boxes of cat" in run("rule", "list")
        assert put(server, CHELSEA.read_bytes())["verdict"] == "unsure"  # boxes were not looked for
        assert server.call("PATCH", "/api/cameras/door", json={"detect": True}).status_code == 200
        said = put(server, CHELSEA.read_bytes())["judgements"]
        assert [(each["verdict"], each["why"]) for each in said] == [
            ("ok", "0 person"),
            ("ok", "1 cat"),
        ]
        assert [each["verdict"] for each in put(server, ROCKET.read_bytes())["judgements"]] == [
            "ok",
            "ng",
        ]
        run("rule", "remove", "one-cat")
        run("rule", "remove", "nobody")
        assert json.loads(run("rule", "list", "--json")) == []
        assert "no rule is called cats" in run("rule", "remove", "cats", code=1)
