"""Camera programs of the two releases before this one work with this server.

In two ways: the old program itself, out of git, against the new server; and what the programs of
each release have said, recorded, played to the new server again. Once a release has its recording,
no change may break what it says.
"""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection

from objectclassification import __version__
from objectclassification.hub.releases import RELEASES, TAKEN_BEFORE
from tests.camera_process import CameraProcess
from tests.fixtures import make_wire
from tests.fixtures.make_data import image
from tests.photographs import ROCKET
from tests.releases import before, numbers, old_revisions, source_tree, version_of
from tests.serving import WAIT_S, Served, ServeProcess, until

RECORDINGS = sorted(Path(make_wire.__file__).parent.glob("wire-*.jsonl"))
TAKEN = RELEASES[-1 - TAKEN_BEFORE :]


def test_the_newest_releases_before_this_one_are_chosen() -> None:
    tags = ["v0.9.0", "v0.10.0", "v0.10.1", "v0.2.0", "v1.0.0", "v1.0.0rc1", "v0.11.0", "demo"]
    assert before(tags, "0.11.0") == ["v0.10.1", "v0.10.0"]
    assert before(tags, "0.10.0") == ["v0.9.0", "v0.2.0"]
    assert before(tags, "0.2.0") == []


@pytest.mark.parametrize("revision", old_revisions())
def test_an_old_program_with_the_new_server(revision: str, tmp_path: Path) -> None:
    tree = source_tree(revision, tmp_path / "old")
    arguments = ("--name", "old", "--source", str(ROCKET))
    body = {"to": ["old"], "deadline_s": 20}
    with ServeProcess(tmp_path) as server:
        port = str(server.port)
        with CameraProcess(
            tmp_path / "home", server.url, server.token, *arguments, source_tree=tree
        ) as camera:
            camera.ready()
            (about,) = server.call("GET", "/api/cameras").json()
            assert (about["online"], about["version"]) == (True, version_of(tree))
            receipt = server.call("POST", "/api/snaps?wait=1", json=body).json()
            assert (receipt["answered"], receipt["shots"][0]["state"]) == (1, "classified")
            report = server.call("GET", "/api/cameras/old/report")
            assert report.status_code == 200, report.text
            assert report.json()["condition"]["program"]["version"] == version_of(tree)
            assert server.stop() == 0
            with ServeProcess(tmp_path, "--port", port) as again:  # the last one counts
                camera.ready()
                receipt = again.call("POST", "/api/snaps?wait=1", json=body).json()
                assert receipt["answered"] == 1
                assert camera.stop() == 0


class Replay:
    """A camera program that says what another one has said, on a new server."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor()
        self._sockets: dict[int, ClientConnection] = {}
        self._report: Future[requests.Response] | None = None
        self._question = ""

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *exc: object) -> None:
        for socket in self._sockets.values():
            socket.close()
        self._pool.shutdown()

    def play(self, line: dict[str, Any]) -> None:
        """Does what a line of the recording says, or waits for it, and compares."""
        match line["what"]:
            case "camera":
                self._say(self._socket(line["connection"]), line["message"])
            case "hub":
                self._hear(self._socket(line["connection"]), line["message"])
            case "put":
                made = self._server.call(
                    "PUT",
                    line["path"],
                    params=line["query"],
                    headers=line["headers"],
                    data=image(1, "JPEG"),
                )
                assert made.status_code == line["status"], made.text
            case "ask":
                asked = self._server.call("POST", "/api/snaps", json=line["body"])
                assert asked.status_code == 202, asked.text
            case "receipt":
                self._compare_receipt(line["snap"], line["shots"])
            case what:
                raise AssertionError(f"a line of an unknown kind: {what}")

    def _socket(self, number: int) -> ClientConnection:
        if number not in self._sockets:
            for old in self._sockets.values():
                old.close()
            self._sockets[number] = self._server.connect().__enter__()
        return self._sockets[number]

    def _say(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        if message["type"] == "report":
            message = {**message, "id": self._question}
        socket.send(json.dumps(message))
        if message["type"] == "report":
            assert self._report is not None
            answer = self._report.result(WAIT_S)
            assert answer.status_code == 200, answer.text
            assert answer.json()["condition"] == message["condition"]

    def _hear(self, socket: ClientConnection, recorded: dict[str, Any]) -> None:
        if recorded["type"] == "inspect":
            path = f"/api/cameras/{recorded['camera']}/report"
            self._report = self._pool.submit(self._server.call, "GET", path)
        while True:
            heard = json.loads(socket.recv(timeout=WAIT_S))
            assert heard["type"] != "error", heard
            if heard["type"] == recorded["type"]:
                break
        assert_has_shape(heard, recorded)
        if heard["type"] == "inspect":
            self._question = heard["id"]

    def _compare_receipt(self, snap: str, shots: dict[str, Any]) -> None:
        until(lambda: bool(self._server.call("GET", f"/api/snaps/{snap}").json()["done"]))
        receipt = self._server.call("GET", f"/api/snaps/{snap}").json()
        assert {
            each["camera"]: [each["state"], each["error"] and each["error"]["code"]]
            for each in receipt["shots"]
        } == shots


def assert_has_shape(heard: Any, recorded: Any) -> None:
    """What the old program reads is still there, of the same type; more may be there."""
    if isinstance(recorded, dict):
        assert isinstance(heard, dict)
        assert recorded.keys() <= heard.keys(), (heard, recorded)
        for key, value in recorded.items():
            assert_has_shape(heard[key], value)
    elif isinstance(recorded, list):
        assert isinstance(heard, list)
        assert len(heard) == len(recorded)
        for one, other in zip(heard, recorded, strict=True):
            assert_has_shape(one, other)
    elif isinstance(recorded, int | float) and not isinstance(recorded, bool):
        assert isinstance(heard, int | float)
    else:
        assert type(heard) is type(recorded), (heard, recorded)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_what_a_release_said_is_understood(recording: Path, tmp_path: Path) -> None:
    version = recording.stem.removeprefix("wire-")
    if ".".join(version.split(".")[:2]) not in TAKEN:
        pytest.skip(f"the hub takes {', '.join(TAKEN)} only: {recording.name} may go")
    lines = [json.loads(line) for line in recording.read_text().splitlines()]
    assert {line["what"] for line in lines} == {"camera", "hub", "put", "ask", "receipt"}
    with Served(tmp_path / "data") as server, Replay(server) as replay:
        for line in lines:
            replay.play(line)


def test_this_version_has_its_recording() -> None:
    """Make it with `python -m tests.fixtures.make_wire` when the version changes."""
    versions = [recording.stem.removeprefix("wire-") for recording in RECORDINGS]
    assert __version__ in versions
    assert max(map(numbers, versions)) == numbers(__version__)
