"""The camera program: a process of its own, on real sources, against a real server."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from objectclassification.messages import Done, Hello, SnapRequest, encode
from tests.camera_process import CameraProcess
from tests.gate import Gate
from tests.integration.cameras.servers import WRAP, number_in, rtsp_camera
from tests.parts import require
from tests.photographs import CATS, CHELSEA, COFFEE, ROCKET
from tests.serving import Address, Served, hear
from tests.wire import Wire


def snap(server: Address, *to: str, **more: Any) -> dict[str, Any]:
    """Snaps over HTTP, and waits for the receipt."""
    asked = {"to": to, "deadline_s": 30, **more}
    answer = server.call("POST", "/api/snaps?wait=1", json=asked)
    assert answer.status_code == 200, answer.text
    receipt: dict[str, Any] = answer.json()
    assert receipt["done"]
    return receipt


def test_a_snap_comes_back_labelled(server: Served, tmp_path: Path) -> None:
    token = server.new_token("camera", "cat")
    arguments = ("--name", "cat", "--source", str(CHELSEA), "--group", "pets")
    with CameraProcess(tmp_path / "cat", server.url, token, *arguments) as camera:
        assert camera.line("cat is ready").startswith(f"camera cat is ready: {server.url} as")
        receipt = snap(server, "@pets", context={"order": "7"}, options={"zoom": 2})
        (shot,) = receipt["shots"]
        assert (shot["camera"], shot["state"], shot["freshness"]) == ("cat", "classified", "replay")
        assert CATS & {p["label"] for p in shot["predictions"]}
        assert list(shot["elapsed_ms"]) == ["delivered", "captured", "uploaded", "classified"]
        assert {"wait", "encode", "save", "spool", "total"} <= set(shot["camera_ms"])
        assert shot["warnings"] == ["option zoom is not known here"]
        saved = (camera.home / "opencv_frame_0.jpg").read_bytes()
        assert server.call("GET", shot["picture"]["url"]).content == saved
        assert "captured after" in camera.line("cat: 451x300, replay")
        assert camera.stop() == 0
        assert camera.waiting() == []
    assert token not in camera.errors


@pytest.mark.debian
def test_a_real_stream_is_from_after_the_snap(server: Served, tmp_path: Path) -> None:
    require("gst-rtsp")
    with rtsp_camera(tmp_path, "h264") as source:
        arguments = ("--name", "stream", "--source", source.url, "--warm")
        with CameraProcess(tmp_path / "stream", server.url, server.token, *arguments) as camera:
            camera.ready()
            for _ in range(5):
                newest = source.now()
                (shot,) = snap(server, "stream", until="uploaded")["shots"]
                assert (shot["state"], shot["freshness"]) == ("uploaded", "estimated")
                image = server.call("GET", shot["picture"]["url"]).content
                assert 0 < (number_in(image) - newest) % WRAP < WRAP // 2


def test_several_cameras_over_one_connection(server: Served, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(
        f"""
        [[cameras]]
        name = "left"
        source = "{COFFEE}"
        groups = ["pair", "bench"]
        rotate = 90

        [[cameras]]
        name = "right"
        source = "{ROCKET}"
        groups = ["pair"]
        size = "64x64"
        path = "right.png"

        [[cameras]]
        name = "gone"
        source = "nothing-here.jpg"
        groups = ["bench"]
        """
    )
    home = tmp_path / "home-of-three"
    with CameraProcess(home, server.url, server.token, "--config", str(file)) as camera:
        camera.line("right is ready")
        pair = snap(server, "@pair", until="uploaded")
        sizes = {
            s["camera"]: (s["picture"]["width"], s["picture"]["height"]) for s in pair["shots"]
        }
        assert sizes == {"left": (400, 600), "right": (64, 43)}
        assert pair["answered"] == 2
        bench = snap(server, "@bench")
        states = {shot["camera"]: shot["state"] for shot in bench["shots"]}
        assert states == {"left": "classified", "gone": "failed"}
        assert (home / "opencv_frame_0_left.jpg").exists()
        assert (home / "right.png").read_bytes().startswith(b"\x89PNG")


def test_a_stuck_camera_delays_no_other(server: Served, tmp_path: Path) -> None:
    gate = Gate(tmp_path, ROCKET)
    file = tmp_path / "cameras.toml"
    file.write_text(
        f"[[cameras]]\nname = 'stuck'\nsource = '{gate.source}'\n"
        f"[[cameras]]\nname = 'free'\nsource = '{COFFEE}'\n"
    )
    home = tmp_path / "home-of-two"
    with CameraProcess(home, server.url, server.token, "--config", str(file)) as camera:
        camera.line("free is ready")
        for number in range(12):  # more than one camera may have under way
            asked = {"id": f"stuck-{number}", "to": ["stuck"], "deadline_s": 20}
            server.call("POST", "/api/snaps", json=asked)
        gate.entered()
        assert snap(server, "free")["answered"] == 1
        assert not server.call("GET", "/api/snaps/stuck-0").json()["done"]


def test_failures_have_their_code_and_the_source_is_opened_again(
    server: Served, tmp_path: Path
) -> None:
    late = tmp_path / "late.jpg"
    arguments = ("--name", "late", "--source", str(late))
    with CameraProcess(tmp_path / "home-of-late", server.url, server.token, *arguments) as camera:
        camera.ready()
        error = snap(server, "late")["shots"][0]["error"]
        assert error == {"code": "capture_failed", "detail": f"there is no file {late}"}
        assert camera.line("no picture") == f"late: no picture: there is no file {late}"
        late.write_bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
        assert snap(server, "late")["shots"][0]["error"]["code"] == "dark"
        late.write_bytes(ROCKET.read_bytes())
        assert snap(server, "late")["answered"] == 1


def test_the_same_order_again_is_not_shot_twice(server: Served, tmp_path: Path) -> None:
    gate = Gate(tmp_path, ROCKET)
    with (
        Wire(server.port) as wire,
        CameraProcess(
            tmp_path / "slow", wire.url, server.token, "--name", "slow", "--source", gate.source
        ) as camera,
    ):
        camera.ready()
        server.call("POST", "/api/snaps", json={"id": "slow-1", "to": ["slow"], "deadline_s": 30})
        gate.entered()
        wire.cut()
        camera.ready()  # the order came again, with the welcome
        gate.release()
        assert snap(server, "slow", id="slow-1")["answered"] == 1
        server.call("POST", "/api/snaps", json={"id": "slow-2", "to": ["slow"], "deadline_s": 30})
        gate.entered()  # a second shot of the first order would be here now
        gate.release()
        assert snap(server, "slow", id="slow-2")["answered"] == 1
        assert gate.runs == 2


def test_what_was_said_while_the_wire_was_cut_is_said_again(server: Served, tmp_path: Path) -> None:
    gone = tmp_path / "gone.jpg"
    gate = Gate(tmp_path, gone)
    with (
        Wire(server.port) as wire,
        CameraProcess(
            tmp_path / "mute", wire.url, server.token, "--name", "mute", "--source", gate.source
        ) as camera,
    ):
        camera.ready()
        server.call("POST", "/api/snaps", json={"id": "mute-1", "to": ["mute"], "deadline_s": 30})
        gate.entered()
        wire.cut()
        gate.release()  # the helper finds no picture and dies
        camera.line("no picture")
        receipt = snap(server, "mute", id="mute-1")
        assert receipt["shots"][0]["error"]["code"] == "capture_failed"


def test_a_stop_lets_the_shot_under_way_end_well(server: Served, tmp_path: Path) -> None:
    gate = Gate(tmp_path, ROCKET)
    arguments = ("--name", "leaving", "--source", gate.source)
    with CameraProcess(tmp_path / "leaving", server.url, server.token, *arguments) as camera:
        camera.ready()
        server.call(
            "POST", "/api/snaps", json={"id": "leaving-1", "to": ["leaving"], "deadline_s": 30}
        )
        gate.entered()
        camera.process.send_signal(signal.SIGINT)
        gate.release()
        assert camera.process.wait(30) == 0
        assert "uploaded after" in camera.rest()[-1]
        assert snap(server, "leaving", id="leaving-1")["answered"] == 1


def test_two_programs_with_one_name(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "twin", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "first", server.url, server.token, *arguments) as first:
        first.ready()
        with CameraProcess(tmp_path / "second", server.url, server.token, *arguments) as second:
            assert second.process.wait(30) == 1
            assert second.errors.endswith("error: another program serves the camera 'twin'\n")
        # On the same machine they would also share a spool, and are refused before they connect.
        with CameraProcess(tmp_path / "first", server.url, server.token, *arguments) as again:
            assert again.process.wait(30) == 78
            assert "another camera program uses the spool" in again.errors
        assert snap(server, "twin")["answered"] == 1


def test_a_program_that_lost_its_power_takes_its_own_place(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "phoenix", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "phoenix", server.url, server.token, *arguments) as camera:
        camera.ready()
        camera.process.send_signal(signal.SIGSTOP)  # its connection stays, and is deaf
        stopped = camera.home / "spool"
        stopped.rename(camera.home / "before")  # as the lock of a dead program is gone
        stopped.mkdir()
        (stopped / "phoenix.instance").write_text(
            (camera.home / "before" / "phoenix.instance").read_text()
        )
        with CameraProcess(camera.home, server.url, server.token, *arguments) as risen:
            risen.ready()
            assert snap(server, "phoenix")["answered"] == 1
        camera.process.send_signal(signal.SIGCONT)
        assert camera.process.wait(30) == 1
        assert "has taken its place" in camera.errors


def test_a_hub_alone_takes_no_pictures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "objectclassification", "server", "--port", "0", "--no-auth"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
        try:
            assert hub.stdout
            where = re.search(r":(\d+)/", "".join(hub.stdout.readline() for _ in range(2)))
            assert where
            address = Address(int(where[1]), None)
            arguments = ("--name", "alone", "--source", str(ROCKET))
            with CameraProcess(tmp_path / "alone", address.url, None, *arguments) as camera:
                assert "a hub alone" in camera.line("is ready")
                with address.connect() as controller:
                    controller.send(encode(Hello(role="controller", instance="test")).decode())
                    controller.send(encode(SnapRequest(to=("alone",))).decode())
                    assert hear(controller, Done).answered == 1
                camera.line("captured after")
                assert (camera.home / "opencv_frame_0.jpg").read_bytes() == ROCKET.read_bytes()
                assert camera.stop() == 0
                assert camera.waiting() == []
        finally:
            hub.kill()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--name", "a/b"), 78, "'a/b' cannot be a name"),
        (("--name", "a", "--group", "@b"), 78, "'@b' cannot be a group"),
        (("--name", "a", "--size", "big"), 78, "size: it must look like 1280x720"),
        (("--name", "a", "--rotate", "45"), 78, "rotate: it must be 0, 90, 180 or 270"),
        (("--name", "a", "--path", "no/such/x.jpg"), 78, "there is no folder"),
        (("--name", "a", "--path", "x.txt"), 78, "cannot save a picture as x.txt"),
        (("--name", "a", "--source", "gopher://x"), 78, "no source reads gopher://"),
        (("--name", "a", "--warm", "--cold"), 2, "exclude each other"),
        (("--name", "a", "--config", "c.toml"), 2, "leave out name"),
        (("--config", "c.toml"), 78, "cannot read c.toml"),
        ((), 2, "give the camera a --name"),
    ],
)
def test_what_cannot_work_is_said_before_anybody_is_called(
    tmp_path: Path, arguments: tuple[str, ...], code: int, line: str
) -> None:
    with CameraProcess(tmp_path / "home", "http://127.0.0.1:9", "oc_x", *arguments) as camera:
        assert camera.process.wait(30) == code
    assert line in " ".join(camera.errors.split())
    assert "not connected" not in camera.errors
    assert code == 2 or camera.errors.count("\n") == 1


def test_a_bad_token_ends_the_program(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "stranger", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "home", server.url, "oc_nobody", *arguments) as camera:
        assert camera.process.wait(30) == 77
        file = camera.home / "token"
    assert camera.errors == (
        f"error: the token is unknown or was revoked (the token is from the file {file})\n"
    )


def test_no_token_ends_the_program_and_says_how_to_give_one(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "stranger", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "home", server.url, None, *arguments) as camera:
        assert camera.process.wait(30) == 77
    assert camera.errors == (
        f"error: {server.url} asks for a token, and none was given: run `objectclassification "
        f"login {server.url}`, or give --token-file\n"
    )


def test_a_token_for_another_camera_ends_the_program(server: Served, tmp_path: Path) -> None:
    token = server.new_token("camera", "mine")
    arguments = ("--name", "theirs", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "home", server.url, token, *arguments) as camera:
        assert camera.process.wait(30) == 77
    assert "not made for the camera 'theirs'" in camera.errors
