"""Files, folders and videos, through the whole of Capture."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from objectclassification.capture import Capture
from objectclassification.capture.device import holder_of
from objectclassification.errors import (
    CaptureError,
    ConfigurationError,
    DarkFrame,
    SourceUnavailable,
)
from tests.integration.cameras.servers import jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.jpg").write_bytes(jpeg(seed=number))
    (pictures / "notes.txt").write_text("not a picture")
    return pictures


@pytest.mark.parametrize("form", ["{0}", "{0}/*.jpg", "file://{0}"])
def test_the_next_picture_for_each_snap_round_and_round(
    tmp_path: Path, folder: Path, form: str
) -> None:
    with Capture(form.format(folder), tmp_path / "opencv_frame_0.jpg", keep_warm_s=0) as capture:
        taken = [capture.take() for _ in range(4)]
    assert [t.data for t in taken] == [jpeg(seed=n) for n in (0, 1, 2, 0)]
    assert {t.freshness for t in taken} == {"replay"}


def test_one_picture_as_the_seed_saves_it(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Capture(str(folder / "1.jpg")) as capture:
        taken = capture.take()
    saved = tmp_path / "opencv_frame_0.png"
    assert taken.path.resolve() == saved
    image, original = cv2.imread(str(saved)), cv2.imread(str(folder / "1.jpg"))
    assert image is not None and original is not None
    assert np.array_equal(image, original)
    assert taken.media_type == "image/png"
    assert not list(tmp_path.glob(".*.tmp"))


def test_size_and_rotation(tmp_path: Path, folder: Path) -> None:
    picture = tmp_path / "x.jpg"
    with Capture(str(folder), picture, size=(160, 160), rotate=90) as capture:
        taken = capture.take()
    assert (taken.width, taken.height) == (120, 160)
    assert taken.data == picture.read_bytes() != jpeg(seed=0)
    image = cv2.imread(str(picture))
    assert image is not None and image.shape == (160, 120, 3)


def test_a_video_plays_in_real_time_and_loops(tmp_path: Path) -> None:
    fps, frames = 25, 25
    video = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 + 8 * number, np.uint8))
    writer.release()

    def shown(data: bytes) -> int:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        return round((float(image.mean()) - 20) / 8)

    with Capture(str(video), tmp_path / "x.png", check="off") as capture:
        first = capture.take()
        started = first.taken_at - shown(first.data) / fps
        for pause in (0.1, 0.3, 0.7, 0.5):
            time.sleep(pause)  # the video goes on playing
            taken = capture.take()
            due = (taken.taken_at - started) * fps % frames
            late = (due - shown(taken.data)) % frames
            assert min(late, frames - late) < 5


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("missing.jpg", SourceUnavailable, "there is no file"),
        ("empty", SourceUnavailable, "holds no pictures"),
        ("*.jpg", SourceUnavailable, "holds no pictures"),
        ("notes.txt", SourceUnavailable, "neither a picture nor a video"),
        ("broken.jpg", CaptureError, "cannot be decoded"),
        ("empty.jpg", CaptureError, "cannot be decoded"),
        ("black.png", DarkFrame, "shows black"),
    ],
)
def test_files_that_cannot_be_taken(
    tmp_path: Path, name: str, error: type[CaptureError], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("not a picture")
    if name == "broken.jpg":
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 no more")
    if name == "empty.jpg":
        (tmp_path / name).touch()
    if name == "black.png":
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 3, np.uint8))
    with Capture(str(tmp_path / name), tmp_path / "taken" / "x.jpg") as capture:
        with pytest.raises(error, match=says) as caught:
            capture.take()
    assert type(caught.value) is error
    assert "\n" not in caught.value.detail


def test_the_picture_cannot_be_saved(tmp_path: Path, folder: Path) -> None:
    with Capture(str(folder), tmp_path / "nowhere" / "x.jpg") as capture:
        with pytest.raises(CaptureError, match=r"cannot save .*nowhere"):
            capture.take()
    with pytest.raises(ConfigurationError, match=r"must end in \.png"):
        Capture(str(folder), tmp_path / "x.gif")


@pytest.mark.skipif(os.path.exists("/dev/video0"), reason="this machine has a camera")
@pytest.mark.parametrize("source", [0, "7", "/dev/video42", "/dev/v4l/by-id/usb-none"])
def test_no_such_device(
    tmp_path: Path, source: str | int, capfd: pytest.CaptureFixture[str]
) -> None:
    with Capture(source, tmp_path / "x.png") as capture:
        with pytest.raises(SourceUnavailable, match="there is no /dev/") as caught:
            capture.take()
    assert "objectclassification devices" in caught.value.detail
    assert capfd.readouterr() == ("", "")


def test_who_holds_a_device(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    assert holder_of(device) is None
    with device.open() as file:
        child = subprocess.Popen(["sleep", "60"], stdin=file)
    try:
        assert holder_of(device) == f"sleep (process {child.pid})"
    finally:
        child.kill()
        child.wait()


def test_a_device_that_is_no_camera(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # Everything has /dev/null open, and nothing /dev/full.
    with Capture("/dev/full", tmp_path / "x.png") as capture:
        with pytest.raises(SourceUnavailable, match="cannot be opened"):
            capture.take()
    assert capfd.readouterr() == ("", "")
