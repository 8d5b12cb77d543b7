"""The port of sources, over every adapter; each runs a real camera, stream, helper or file.

Video devices have none here: this machine's kernel has no video drivers.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from objectclassification.capture.source import Frame, Source, SourceSettings, Stamp, open_source
from objectclassification.errors import CaptureError
from tests.integration.cameras.servers import (
    HttpCamera,
    ffmpeg_mjpeg,
    free_port,
    http_camera,
    jpeg,
    rtsp_camera,
)
from tests.parts import require

FRAMES = 5
WAIT_S = 20.0
SETTINGS = SourceSettings(open_timeout_s=10.0)

KINDS = [
    "folder",
    "helper",
    pytest.param("rtsp", marks=pytest.mark.debian),
    pytest.param("mjpeg", marks=pytest.mark.debian),
    "still",
]


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A source that works, of each kind."""
    (tmp_path / "1.jpg").write_bytes(jpeg())
    with ExitStack() as stack:
        match request.param:
            case "folder":
                yield str(tmp_path)
            case "helper":
                yield f"exec:{shlex.join(['cat', str(tmp_path / '1.jpg')])}"
            case "rtsp":
                require("gst-rtsp")
                yield stack.enter_context(rtsp_camera(tmp_path, "h264")).url
            case "mjpeg":
                require("ffmpeg")
                yield stack.enter_context(ffmpeg_mjpeg())
            case "still":
                yield stack.enter_context(http_camera(HttpCamera(jpeg))).address


def next_stamp(source: Source) -> Stamp:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if (stamp := source.grab()) is not None:
            return stamp
    raise AssertionError("no frame came")


def opened(address: str) -> Source:
    """Opens it, as often as the camera needs to come up."""
    until = time.monotonic() + WAIT_S
    while True:
        source = open_source(address, SETTINGS)
        try:
            source.open()
        except CaptureError:
            source.close()
            if time.monotonic() > until:
                raise
        else:
            return source


def test_frames_come_with_honest_stamps(address: str) -> None:
    began = time.monotonic()
    with closing(opened(address)) as source:
        stamps: list[Stamp] = []
        frame: Frame | None = None
        for _ in range(FRAMES):
            stamps.append(next_stamp(source))
            frame = source.retrieve()
            assert frame.stamp.sequence == stamps[-1].sequence
            assert stamps[-1].taken_at >= began - source.latency_s
        assert all(stamp.taken_at <= time.monotonic() for stamp in stamps)
        numbers = [stamp.sequence for stamp in stamps]
        assert numbers == sorted(set(numbers))
        assert len({stamp.freshness for stamp in stamps}) == 1
        assert frame is not None
        if frame.image is not None:
            height, width, channels = frame.image.shape
            assert height > 0
            assert width > 0
            assert channels == 3
        else:
            assert frame.encoded
            assert frame.media_type in ("image/jpeg", "image/png", "image/webp")


def test_close_may_be_called_twice_and_before_open(address: str) -> None:
    source = open_source(address, SETTINGS)
    source.close()
    source = opened(address)
    source.close()
    source.close()


@pytest.mark.parametrize(
    "address",
    [
        "97",
        "/dev/video97",
        pytest.param(f"rtsp://user:geheim@127.0.0.1:{free_port()}/none", id="rtsp"),
        pytest.param(f"http://user:geheim@127.0.0.1:{free_port()}/none.jpg", id="http"),
        "exec:/no/such/helper",
        "/no/such/folder/*.jpg",
    ],
)
def test_a_source_that_is_not_there_says_so_in_one_line(address: str) -> None:
    source = open_source(address, SourceSettings(open_timeout_s=2.0))
    with closing(source), pytest.raises(CaptureError) as caught:
        source.open()
        next_stamp(source)
    assert len(caught.value.detail.splitlines()) == 1
    assert "geheim" not in caught.value.detail + caught.value.source
