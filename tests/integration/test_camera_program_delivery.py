"""A picture that was captured is uploaded exactly once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from objectclassification.client import camera as camera_program
from objectclassification.config import Connection
from objectclassification.config.cameras import CameraSettings
from objectclassification.errors import ServerUnreachable, TimedOut
from objectclassification.messages import Event, Hello, SnapOrder, Watch, encode
from tests.camera_process import CameraProcess
from tests.photographs import COFFEE, ROCKET
from tests.serving import Address, Served, ServeProcess, hear, until
from tests.wire import Wire

NO_ROOM = {"OBJECTCLASSIFICATION_DISK_FLOOR_BYTES": str(2**60)}
"""A server that cannot take a picture now, and may later."""


def captured(server: Address, camera: str, snap: str) -> None:
    """Snaps, and waits until the camera has the picture."""
    asked = {"id": snap, "to": [camera], "until": "captured", "deadline_s": 30}
    receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
    assert receipt["answered"] == 1, receipt


def stored(server: Address, camera: str) -> list[str]:
    """The snaps of all pictures of a camera, the oldest first."""
    page: dict[str, Any] = server.call("GET", f"/api/pictures?camera={camera}").json()
    return [picture["snap"] for picture in reversed(page["pictures"])]


def is_online(server: Address, camera: str) -> bool:
    """Whether the hub has a connection of that camera."""
    every = server.call("GET", "/api/cameras").json()
    return any(one["online"] for one in every if one["name"] == camera)


def test_killed_between_capture_and_upload(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "killed", "--source", str(ROCKET))
    with Wire(server.port) as wire:
        with CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera:
            camera.ready()
            wire.hold_puts()
            captured(server, "killed", "killed-1")
            assert wire.held.wait(30)
            camera.kill()
            wire.cut()
            assert len(camera.waiting()) == 1
        assert stored(server, "killed") == []
        wire.release()
        with CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera:
            camera.line(r"killed: a picture from \d+ s ago, uploaded")
            assert camera.stop() == 0
            assert camera.waiting() == []
    assert stored(server, "killed") == ["killed-1"]
    receipt = server.call("GET", "/api/snaps/killed-1").json()
    assert receipt["shots"][0]["picture"]["sha256"]


def test_killed_between_capture_and_report(server: Served, tmp_path: Path) -> None:
    """The hub asks again after the restart, and gets the picture that was taken before it."""
    arguments = ("--name", "silent", "--source", str(ROCKET))
    with Wire(server.port) as wire:
        with CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera:
            camera.ready()
            wire.hold_puts()
            captured(server, "silent", "silent-1")
            assert wire.held.wait(30)
            camera.kill()
            wire.cut()
        until(lambda: not is_online(server, "silent"))
        note = next(camera.spool.glob("*.json"))
        note.write_text(note.read_text().replace("silent-1", "silent-2"))
        with server.camera("silent") as link:
            asked = {"id": "silent-2", "to": ["silent"], "deadline_s": 30}
            server.call("POST", "/api/snaps", json=asked)
            assert link.hear(SnapOrder).id == "silent-2"
        wire.release()
        (tmp_path / "home" / "opencv_frame_0.jpg").unlink()
        with CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera:
            receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
            assert receipt["answered"] == 1
            (shot,) = receipt["shots"]
            assert shot["freshness"] == "replay"
            assert "captured" in shot["elapsed_ms"]
            assert not (camera.home / "opencv_frame_0.jpg").exists(), "it was shot again"
    assert stored(server, "silent") == ["silent-2"]


def test_an_answer_that_was_lost(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "unsure", "--source", str(ROCKET))
    with (
        Wire(server.port) as wire,
        CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera,
    ):
        camera.ready()
        wire.lose_answers(2)
        captured(server, "unsure", "unsure-1")
        assert "kept until it can be uploaded" in camera.line("captured after")
        camera.line("unsure: a picture from .* uploaded")
        assert wire.lost.is_set()
        assert camera.waiting() == []
    assert stored(server, "unsure") == ["unsure-1"]


def test_the_server_is_started_anew_while_a_picture_waits(tmp_path: Path) -> None:
    home = tmp_path / "server"
    home.mkdir()
    arguments = ("--name", "patient", "--source", str(ROCKET))
    with ServeProcess(home, **NO_ROOM) as first:
        camera = CameraProcess(tmp_path / "camera", first.url, first.token, *arguments)
        with camera:
            camera.ready()
            captured(first, "patient", "patient-1")
            camera.line("kept until it can be uploaded: .* 507")
            captured(first, "patient", "patient-2")
            assert first.stop() == 0
            assert len(camera.waiting()) == 2
            with ServeProcess(home, "--port", str(first.port)) as second:
                # Before or after the hub's welcome, whichever is tried first.
                camera.line("patient: a picture from .* uploaded")
                camera.line("patient: a picture from .* uploaded")
                assert camera.waiting() == []
                assert sorted(stored(second, "patient")) == ["patient-1", "patient-2"]
                assert camera.stop() == 0


def test_a_refused_picture_fails_its_shot_and_is_put_aside(tmp_path: Path) -> None:
    arguments = ("--name", "large", "--source", str(ROCKET))
    with (
        Served(tmp_path / "data", max_body_bytes=10_000) as server,
        CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera,
    ):
        camera.ready()
        asked = {"id": "large-1", "to": ["large"], "deadline_s": 30}
        receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
        error = receipt["shots"][0]["error"]
        assert error["code"] == "upload_failed"
        assert "413" in error["detail"]
        assert "refused" in camera.line("captured after")
        assert camera.waiting() == []
        (note,) = (camera.spool / "refused").glob("*.json")
        told = json.loads(note.read_text())
        assert (told["camera"], told["snap"], told["status"]) == ("large", "large-1", 413)
        assert note.with_suffix(".jpg").read_bytes() == ROCKET.read_bytes()


def test_once_takes_a_picture_of_its_own(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "meadow", "--source", str(COFFEE), "--once")
    with server.connect() as watcher:
        watcher.send(encode(Hello(role="controller", instance="meadow")).decode())
        watcher.send(encode(Watch(topics=("snaps",))).decode())
        with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
            assert camera.process.wait(60) == 0
            assert "uploaded after" in camera.rest()[-1]
        (snap,) = stored(server, "meadow")
        while (event := hear(watcher, Event)).name != "done" or event.data["snap"] != snap:
            pass
    receipt = server.call("GET", f"/api/snaps/{snap}").json()
    assert (receipt["origin"], receipt["answered"]) == ("camera", 1)
    assert receipt["shots"][0]["freshness"] == "replay"
    assert receipt["shots"][0]["camera_ms"]["total"] > 0


def test_once_does_what_is_due_and_nothing_else(server: Served, tmp_path: Path) -> None:
    asked = {"id": "dune-1", "to": ["dune"], "deadline_s": 60}
    with server.camera("dune") as asleep:
        server.call("POST", "/api/snaps", json=asked)
        assert asleep.hear(SnapOrder).id == "dune-1"
    arguments = ("--name", "dune", "--source", str(COFFEE), "--once")
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        assert camera.process.wait(60) == 0
    assert server.call("POST", "/api/snaps?wait=1", json=asked).json()["answered"] == 1
    assert stored(server, "dune") == ["dune-1"]


def test_once_says_when_there_is_no_picture(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "blind", "--source", "nothing.jpg", "--once")
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        assert camera.process.wait(60) == 69
    assert camera.errors.splitlines()[-1] == "error: there is no file nothing.jpg"
    page = server.call("GET", "/api/snaps?limit=50").json()["snaps"]
    (receipt,) = [each for each in page if each["to"] == ["blind"]]
    assert receipt["shots"][0]["error"]["code"] == "capture_failed"


async def test_once_gives_up_when_nobody_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_program, "ONCE_CONNECT_S", 0.1)
    with pytest.raises(ServerUnreachable):
        await once(tmp_path, Address(9, "oc_x"))


async def test_once_gives_up_when_it_takes_too_long(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_program, "ONCE_S", 1.0)
    monkeypatch.setattr(camera_program, "ONCE_CONNECT_S", 1.0)
    monkeypatch.setattr(camera_program, "STOP_S", 0.1)
    with Wire(server.port) as wire:
        wire.hold_puts()
        with pytest.raises(TimedOut):
            await once(tmp_path, Address(wire.port, server.token))
    assert len(list((tmp_path / "spool").glob("*.jpg"))) == 1


async def once(folder: Path, server: Address) -> None:
    """Runs ``--once`` in this process."""
    settings = CameraSettings(name="hasty", source=str(COFFEE), path=folder / "x.jpg")
    await camera_program.serve_cameras(
        Connection(server.url, server.token),
        [settings],
        folder / "spool",
        lambda line: None,
        stop=asyncio.Event(),
        once=True,
    )
