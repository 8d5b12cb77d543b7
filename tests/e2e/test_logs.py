"""One id finds the whole story of a snap, in the logs of the real server and camera program."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectclassification.messages import SnapOrder
from tests.camera_process import CameraProcess
from tests.photographs import ROCKET
from tests.serving import SERVE, ServeProcess, photo, until


def lines(text: str, word: str) -> list[dict[str, Any]]:
    """The log lines that a grep for the word finds."""
    return [json.loads(line) for line in text.splitlines() if word in line]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with ServeProcess(tmp_path_factory.mktemp("server")) as process:
        yield process


def test_grep_for_a_snap_tells_its_story(server: ServeProcess, tmp_path: Path) -> None:
    token = server.new_token("camera", "door")
    source = ("--name", "door", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "camera", server.url, token, *source).ready() as camera:
        snapped = server.call("POST", "/api/snaps?wait=1", json={"to": ["door"]})
        receipt = snapped.json()
        (shot,) = receipt["shots"]
        until(lambda: "uploaded" in camera.errors)
        there = lines(camera.errors, receipt["snap"])
    until(lambda: "camera disconnected" in server.errors)
    here = lines(server.errors, receipt["snap"])
    assert [line["event"] for line in there] == ["snap heard", "captured", "uploaded"]
    story = ["snap accepted", "request", "classified", "snap done", "request"]
    assert [line["event"] for line in here] == story
    assert {line["level"] for line in (*here, *there)} == {"info"}
    accepted, put, classified, done, asked = here
    assert {line["picture"] for line in (there[2], put, classified)} == {shot["picture"]["id"]}
    assert (put["method"], put["path"], put["status"]) == ("PUT", "/snippets/1/", 201)
    assert (put["client"], put["camera"]) == ("127.0.0.1", "door")
    assert (asked["method"], asked["path"], asked["status"]) == ("POST", "/api/snaps", 200)
    assert classified["label"] == shot["predictions"][0]["label"]
    assert (accepted["to"], done["answered"]) == (["door"], 1)
    everything = server.errors + (tmp_path / "camera" / "stderr").read_text()
    assert token not in everything
    assert "wait=1" not in everything  # no query string: it may hold a token


def test_a_snap_that_fails_says_why(server: ServeProcess) -> None:
    with server.camera("yard") as camera:
        asked = server.call("POST", "/api/snaps", json={"to": ["yard"], "deadline_s": 20})
        order = camera.hear(SnapOrder)
        refused = server.call("PUT", "/snippets/1", data=b"no image", params={"snap": order.id})
        assert refused.status_code == 415
        number = camera.places["yard"].snippet
        broken = server.call(
            "PUT", f"/snippets/{number}", data=photo()[:-5000], params={"snap": order.id}
        )
        assert broken.status_code == 422
        server.call("DELETE", f"/api/snaps/{asked.json()['snap']}")
        until(lambda: lines(server.errors, order.id)[-1]["event"] == "request")
        here = lines(server.errors, order.id)
    codes = [line.get("code") for line in here if line["event"] == "request"]
    assert codes[:3] == [None, "not_an_image", "undecodable"]
    (done,) = (line for line in here if line["event"] == "snap done")
    assert done["why"] == {"yard": "cancelled"}


def test_a_server_that_idles_is_silent(server: ServeProcess) -> None:
    before = server.errors
    for path in ("/healthz", "/readyz", "/metrics", "/api/cameras"):
        assert server.call("GET", path).status_code == 200
    assert server.errors == before


def test_the_journal_gets_priorities(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    with log.open("wb") as stream:
        found = os.fstat(stream.fileno())
        code = (
            "import structlog; from objectclassification.cli import logs; logs.configure('debug')\n"
            "for level in ('debug', 'info', 'warning', 'error', 'critical'):\n"
            "    getattr(structlog.get_logger(), level)('said', snap='1')"
        )
        environment = os.environ | {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        subprocess.run([sys.executable, "-c", code], stderr=stream, env=environment, check=True)
    said = log.read_text().splitlines()
    assert [line[:3] for line in said] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert [*json.loads(said[0][3:])] == ["timestamp", "level", "event", "snap"]


def test_a_person_at_a_terminal_reads_no_json(tmp_path: Path) -> None:
    reading, terminal = pty.openpty()
    home = {"HOME": str(tmp_path), "OBJECTCLASSIFICATION_WORKERS": "1"}
    process = subprocess.Popen(
        [*SERVE, "--port", "0", "--data", str(tmp_path / "data"), "--no-auth"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=os.environ | home,
        text=True,
    )
    try:
        assert process.stdout
        banner = process.stdout.readline() + process.stdout.readline()
        port = banner.rpartition("127.0.0.1:")[2].partition("/")[0]
        server = ServeProcess.__new__(ServeProcess)
        super(ServeProcess, server).__init__(int(port), None)
        assert server.call("POST", "/api/tokens", json={"role": "viewer"}).status_code == 201
        shown = os.read(reading, 65536).decode()
    finally:
        process.kill()
        process.communicate()
        os.close(reading)
        os.close(terminal)
    assert "request" in shown and "path" in shown
    assert "{" not in shown
