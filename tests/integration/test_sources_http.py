"""Cameras behind http://: stills with each kind of login, and MJPEG streams."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from objectclassification.capture import Capture, Taken
from objectclassification.errors import CaptureError, SourceStalled, SourceUnavailable
from tests.integration.cameras.servers import HttpCamera, ffmpeg_mjpeg, http_camera, jpeg
from tests.parts import require

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
PNG = cv2.imencode(".png", NOISE)[1].tobytes()
BROKEN_PNG = PNG[:60] + b"?" + PNG[61:]


def with_login(address: str, login: str) -> str:
    return address.replace("://", f"://{login}@")


def test_each_snap_asks_once_and_keeps_the_camera_s_own_bytes(tmp_path: Path) -> None:
    sent: list[bytes] = []
    seeds = itertools.count()

    def answer() -> bytes:
        sent.append(jpeg(seed=next(seeds)))
        return sent[-1]

    with (
        http_camera(HttpCamera(answer)) as camera,
        Capture(camera.address, tmp_path / "x.jpg") as capture,
    ):
        for number in range(3):
            snapped_at = time.monotonic()
            taken = capture.take(snapped_at)
            assert len(sent) == number + 1
            assert taken.data == sent[number] == (tmp_path / "x.jpg").read_bytes()
            assert (taken.width, taken.height) == (320, 240)
            assert taken.freshness == "estimated"
            assert taken.taken_at > snapped_at


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_logins(tmp_path: Path, scheme: str) -> None:
    door = HttpCamera(jpeg, login=("ann", "p@ss/w:rd", scheme))
    with http_camera(door) as camera:
        address = with_login(camera.address, "ann:p%40ss%2Fw%3Ard")
        with Capture(address, tmp_path / "x.jpg") as capture:
            assert capture.address.count("***") == 1
            capture.take()
            # The login goes out only after the camera asked for it, in the way it asked for.
            assert camera.requests[0] == ""
            assert camera.requests[-1].startswith(scheme)
            before = len(camera.requests)
            capture.take()
            assert len(camera.requests) == before + 1, "the second picture takes one request"
        with Capture(with_login(camera.address, "ann:guess"), tmp_path / "x.jpg") as capture:
            with pytest.raises(SourceUnavailable, match="401") as caught:
                capture.take()
    assert "guess" not in caught.value.detail


def test_a_stated_latency_delays_the_request(tmp_path: Path) -> None:
    """A camera that answers with a picture up to 200 ms old is asked 200 ms later."""
    asked: list[float] = []

    def answer() -> bytes:
        asked.append(time.monotonic())
        return jpeg()

    with (
        http_camera(HttpCamera(answer)) as camera,
        Capture(camera.address, tmp_path / "x.jpg", latency_ms=200) as capture,
    ):
        capture.take()
        snapped_at = time.monotonic()
        capture.take(snapped_at)
    assert asked[-1] >= snapped_at + 0.2


def test_other_picture_types_are_converted_to_what_the_path_says(tmp_path: Path) -> None:
    with http_camera(HttpCamera(lambda: PNG, media_type="image/png")) as camera:
        with Capture(camera.address, tmp_path / "x.png") as capture:
            assert capture.take().data == PNG
        with Capture(camera.address, tmp_path / "x.jpg") as capture:
            taken = capture.take()
    assert taken.media_type == "image/jpeg"
    assert taken.data.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        (HttpCamera(lambda: b"<html>", media_type="text/html"), "text/html"),
        (HttpCamera(lambda: b"<html>", media_type="image/jpeg"), "no picture"),
        (HttpCamera(lambda: b"", media_type="image/jpeg"), "no picture"),
        (HttpCamera(lambda: jpeg()[:-500]), "cut off"),
        (HttpCamera(lambda: BROKEN_PNG, media_type="image/png"), "cannot be decoded"),
        (HttpCamera(jpeg, truncate=True), "stopped sending"),
    ],
    ids=["web page", "page named jpeg", "nothing", "cut off", "broken", "hangs up"],
)
def test_rubbish_is_one_clear_line(tmp_path: Path, camera: HttpCamera, says: str) -> None:
    with http_camera(camera), Capture(camera.address, tmp_path / "x.jpg") as capture:
        with pytest.raises(CaptureError, match=says) as caught:
            capture.take()
    assert "\n" not in caught.value.detail
    assert not (tmp_path / "x.jpg").exists()


def test_a_camera_that_hangs_stalls(tmp_path: Path) -> None:
    def answer() -> bytes:
        time.sleep(1.5)  # a camera that is slower than it may be
        return jpeg()

    with (
        http_camera(HttpCamera(answer)) as camera,
        Capture(camera.address, tmp_path / "x.jpg", stall_s=0.3) as capture,
        pytest.raises(SourceStalled),
    ):
        capture.take()


@pytest.mark.debian
@pytest.mark.parametrize("content_type", [[], ["-content_type", "multipart/x-mixed-replace"]])
def test_mjpeg_by_ffmpeg(tmp_path: Path, content_type: list[str]) -> None:
    """It serves one viewer, once: whoever asks what it is must also be the one who stays."""
    require("ffmpeg")
    with (
        ffmpeg_mjpeg(*content_type) as url,
        Capture(url, tmp_path / "x.jpg", latency_ms=50) as capture,
    ):
        pictures = {until_it_listens(capture).sha256}
        for _ in range(9):
            snapped_at = time.monotonic()
            taken = capture.take(snapped_at)
            assert taken.taken_at > snapped_at
            assert (taken.width, taken.height) == (640, 360)
            pictures.add(taken.sha256)
    assert len(pictures) == 10


def until_it_listens(capture: Capture) -> Taken:
    """Takes the first picture of a program that is just starting."""
    for _ in range(50):
        try:
            return capture.take()
        except SourceUnavailable:
            time.sleep(0.1)  # nothing says when FFmpeg listens, and trying is its one connection
    return capture.take()
