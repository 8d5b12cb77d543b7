"""RTSP cameras: every picture is from after its snap, whatever the buffers hold."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objectclassification.capture import Capture, Taken
from objectclassification.errors import CaptureError, SourceStalled, SourceUnavailable
from tests.integration.cameras.servers import WRAP, RtspCamera, number_in, rtsp_camera
from tests.parts import require

pytestmark = pytest.mark.debian


@pytest.fixture(autouse=True)
def _parts() -> None:
    require("gst-rtsp")


def lead(camera: RtspCamera, take: Callable[[float], Taken]) -> int:
    """Snaps, and returns how many frames the picture is newer than the newest one at the snap."""
    newest, snapped_at = camera.now(), time.monotonic()
    taken = take(snapped_at)
    assert taken.freshness == "estimated"
    assert taken.taken_at > snapped_at
    difference = (number_in(taken.data) - newest) % WRAP
    return difference - WRAP if difference > WRAP // 2 else difference


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_two_hundred_snaps_at_any_phase_are_all_from_after_the_snap(
    tmp_path: Path, codec: str
) -> None:
    with (
        rtsp_camera(tmp_path, codec) as camera,
        Capture(camera.url, tmp_path / "opencv_frame_0.jpg") as capture,
        ThreadPoolExecutor(8) as pool,
    ):

        def many(seed: int) -> list[int]:
            phase = random.Random(seed)  # noqa: S311 - a phase is no secret
            leads = []
            for _ in range(25):
                time.sleep(phase.uniform(0, 1 / 30))  # any moment between two frames
                leads.append(lead(camera, capture.take))
            return leads

        leads = [each for some in pool.map(many, range(8)) for each in some]
    assert len(leads) == 200
    assert min(leads) > 0, sorted(leads)[:10]


def test_a_stated_latency_is_what_makes_a_slow_camera_fresh(tmp_path: Path) -> None:
    with rtsp_camera(tmp_path, "mjpeg", "--latency-ms", "300") as camera:
        with Capture(camera.url, tmp_path / "a.jpg", latency_ms=0) as believes_nothing_is_slow:
            late = [lead(camera, believes_nothing_is_slow.take) for _ in range(5)]
        with Capture(camera.url, tmp_path / "b.jpg", latency_ms=400) as knows:
            fresh = [lead(camera, knows.take) for _ in range(5)]
    assert max(late[1:]) <= 0, "the test could not fail"
    assert min(fresh) > 0


def test_a_snap_before_the_stream_is_open_gets_no_buffered_frame(tmp_path: Path) -> None:
    with rtsp_camera(tmp_path, "h264") as camera:
        for _ in range(3):
            with Capture(camera.url, tmp_path / "cold.jpg", keep_warm_s=0) as capture:
                assert lead(camera, capture.take) > 0
                assert lead(camera, capture.take) > 0


def test_a_stopped_camera_stalls_and_is_opened_again(tmp_path: Path) -> None:
    with (
        rtsp_camera(tmp_path, "mjpeg") as camera,
        Capture(camera.url, tmp_path / "x.jpg", stall_s=1.0) as capture,
    ):
        assert lead(camera, capture.take) > 0
        camera.process.send_signal(signal.SIGSTOP)
        with pytest.raises(SourceStalled) as caught:
            capture.take(timeout_s=3.0)
        assert "\n" not in caught.value.detail
        camera.process.send_signal(signal.SIGCONT)
        assert lead(camera, lambda after: until_it_works(capture, after)) > 0


def until_it_works(capture: Capture, after: float) -> Taken:
    """Takes a picture of a source that is just coming back."""
    for _ in range(20):
        try:
            return capture.take(after, timeout_s=5.0)
        except CaptureError:
            time.sleep(0.1)  # it refuses at once until it listens again
    return capture.take(after)


def test_a_login_out_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "p@ss/w:rd")
    with rtsp_camera(tmp_path, "mjpeg", "--login", "ann p@ss/w:rd") as camera:
        path = camera.url.removeprefix("rtsp://")
        with Capture(f"rtsp://ann:$DOOR_PASSWORD@{path}", tmp_path / "x.jpg") as capture:
            assert lead(camera, capture.take) > 0
        with Capture(f"rtsp://ann:wrong@{path}", tmp_path / "x.jpg") as capture:
            with pytest.raises(SourceUnavailable) as caught:
                capture.take()
    assert "wrong" not in caught.value.detail


def test_a_camera_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/main"
        with Capture(address, tmp_path / "x.jpg") as capture:
            with pytest.raises(SourceStalled, match=r"did not open in 0\.3 s"):
                capture.take(timeout_s=0.3)
            # It is still being opened, and keeps no other camera of this program from opening.
            with (
                rtsp_camera(tmp_path, "mjpeg") as good,
                Capture(good.url, tmp_path / "y.jpg") as other,
            ):
                assert lead(good, other.take) > 0


def test_nobody_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Capture("rtsp://ann:secret@127.0.0.1:9/x", tmp_path / "x.jpg") as capture:
        with pytest.raises(SourceUnavailable) as caught:
            capture.take()
    assert caught.value.detail.startswith("rtsp://ann:***@127.0.0.1:9/x cannot be opened")
    assert capfd.readouterr() == ("", "")
