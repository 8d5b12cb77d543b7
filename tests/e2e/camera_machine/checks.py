"""What is tried on a machine with a video device; see ``test_device.py``.

Runs there as root, with the Python in which the project is installed. Every second is long: the
machine is emulated. Each step ends well or with a traceback, which is the step's result.
"""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from objectclassification import Capture
from objectclassification.capture.source import SourceSettings, open_source
from objectclassification.capture.taken import Taken
from objectclassification.errors import (
    CaptureError,
    CoveredFrame,
    DarkFrame,
    SourceBusy,
    SourceStalled,
    SourceUnavailable,
)
from objectclassification.shot_options import ShotOptions
from tests.e2e.camera_machine import vivid

PROGRAM = str(Path(sys.executable).with_name("objectclassification"))
HD = (1280, 720)
CHANNELS = {"blue": 0, "green": 1, "red": 2}
ROUNDS = 5
EXIT_UNAVAILABLE = 69
BUFFERS = 4  # OpenCV's, one of which holds the frame that was fetched last
FRAME_S = 2 / 25  # vivid's at 1280x720
WAIT_S = 60.0
HOLD = (
    "import cv2, sys; camera = cv2.VideoCapture(0, cv2.CAP_V4L2); assert camera.read()[0]; "
    "print('held', flush=True); sys.stdin.read()"
)


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs our command."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
    assert done.returncode == code, f"{words} ended with {done.returncode}: {done}"
    return done


def fails_in_one_line(*words: str) -> str:
    """Runs our command, which cannot take a picture; returns what it says."""
    done = run("capture", *words, code=EXIT_UNAVAILABLE)
    said = done.stderr.strip()
    assert not done.stdout and said.startswith("error: ") and "\n" not in said, done
    return said


def until(what: Callable[[], bool]) -> None:
    """Waits for what only a look can tell."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, f"not within {WAIT_S:g} s"
        time.sleep(0.02)


@contextmanager
def a_camera(warmup: float = 0.0, **settings: Any) -> Iterator[Capture]:
    """Our own, which takes its first picture at once, and takes a plain colour for a picture."""
    with Capture(0, "frame.jpg", warmup=warmup, **{"check": "off", **settings}) as camera:
        yield camera


def take(camera: Capture, after: float | None = None) -> Taken:
    """Takes a picture, however slow the machine is."""
    return camera.take(after, timeout_s=WAIT_S)


def failure(camera: Capture) -> CaptureError:
    """Takes a picture that cannot be taken."""
    try:
        take(camera)
    except CaptureError as exc:
        return exc
    raise AssertionError("a picture came out of nowhere")


def is_open() -> bool:
    """Whether this process holds the device."""
    held = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return any(link.is_symlink() and os.readlink(link) == str(vivid.DEVICE) for link in held)


def devices() -> list[dict[str, Any]]:
    """What our command says this machine has."""
    found: list[dict[str, Any]] = json.loads(run("devices", "--json").stdout)
    return found


def the_list_has_the_camera() -> None:
    """And not its second node, which gives no pictures."""
    (camera,) = devices()
    assert (camera["index"], camera["backend"], camera["problem"]) == (0, "V4L2", "")
    assert camera["source"] == "0" and "vivid" in camera["name"]
    assert "YUYV 1280x720 12.5 fps" in camera["modes"], camera["modes"]


def the_list_has_its_lasting_name() -> None:
    """The one that udev gives a USB camera; a picture is taken by that name."""
    for folder, name in (("by-path", "platform-vivid.0"), ("by-id", "usb-Vivid_Webcam_01")):
        link = Path("/dev/v4l", folder, f"{name}-video-index0")
        link.parent.mkdir(parents=True)
        link.symlink_to("../../video0")
        assert [camera["source"] for camera in devices()] == [str(link)]
    with Capture(str(link), "frame.jpg", warmup=0) as camera:
        assert take(camera).freshness == "proven"


def the_command_takes_a_picture() -> None:
    """The seed's: source 0, its size and its file."""
    said = json.loads(run("capture", "--source", "0", "--timeout", "60", "--json").stdout)
    picture = Path("opencv_frame_0.png")
    header = picture.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:]) == (said["width"], said["height"]) == HD
    assert said["freshness"] == "proven" and not said["warnings"]
    assert said["camera_ms"]["warmup"] >= 2000  # the seed's two seconds


def the_driver_s_clock_is_ours() -> None:
    """A stamp by OpenCV is of ``time.monotonic()``: this is what "proven" rests on."""
    vivid.tell("Timestamp Source", vivid.STAMPED_AT["start"])
    moments = [time.monotonic()]
    device = cv2.VideoCapture(0, cv2.CAP_V4L2)
    for _ in range(5):
        assert device.grab()
        moments.append(device.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        assert moments[-2] < moments[-1] <= time.monotonic(), moments
    device.release()


def a_picture_shows_what_was_there_after_the_snap() -> None:
    """The scene changes, then a picture is asked for: warm, and by both kinds of time stamp."""
    for at, value in vivid.STAMPED_AT.items():
        vivid.tell("Timestamp Source", value)
        with a_camera(keep_warm_s=math.inf) as camera:
            assert "open" in take(camera).camera_ms
            for colour, channel in list(CHANNELS.items()) * ROUNDS:
                vivid.show(colour)
                asked_at = time.monotonic()
                taken = take(camera)
                assert taken.freshness == "proven", at
                assert asked_at < taken.taken_at < time.monotonic(), at
                assert "open" not in taken.camera_ms
                image = cv2.imdecode(np.frombuffer(taken.data, np.uint8), cv2.IMREAD_COLOR)
                assert image is not None and image.mean(axis=(0, 1)).argmax() == channel, at


def a_frame_that_waited_is_known_to_be_old() -> None:
    """The driver's buffers hold what was there before the scene changed."""
    source = open_source("0", SourceSettings())
    source.open()
    for at, value in vivid.STAMPED_AT.items():
        vivid.tell("Timestamp Source", value)
        vivid.show("red")
        for _ in range(2 * BUFFERS):
            source.grab()
        time.sleep(2 * BUFFERS * FRAME_S)  # nobody fetches frames: that is what is tried
        vivid.show("blue")
        asked_at = time.monotonic()
        old = 0
        while (stamp := source.grab()) and stamp.taken_at <= asked_at:
            old += 1
        assert stamp and stamp.freshness == "proven" and old >= BUFFERS - 1, f"{at}: {stamp} {old}"
        image = source.retrieve().image
        assert image is not None and image.mean(axis=(0, 1)).argmax() == CHANNELS["blue"], at
        for _ in range(BUFFERS):
            stamp = source.grab()
            assert stamp and stamp.taken_at < time.monotonic(), at
    source.close()


def a_cold_one_is_opened_for_each_picture() -> None:
    """And let go of, for other programs and for its lamp."""
    with a_camera(warmup=0.5, keep_warm_s=0) as camera:
        for _ in range(2):
            taken = take(camera)
            assert taken.freshness == "proven" and (taken.width, taken.height) == HD
            assert taken.camera_ms["warmup"] >= 500
            until(lambda: not is_open())


def what_was_granted_is_told() -> None:
    """A size that the camera has, and one that it has not."""
    with a_camera(size=(640, 480)) as camera:
        taken = take(camera)
        assert (taken.width, taken.height, taken.warnings) == (640, 480, ())
    with a_camera(size=(1000, 700)) as camera:
        (note,) = take(camera).warnings
        assert note.startswith("asked for 1000x700, got "), note


def black_and_blank_are_no_pictures() -> None:
    """There is no light, or the lens is covered."""
    vivid.show("black")
    with a_camera(check="retry") as camera:
        assert isinstance(failure(camera), DarkFrame)
        vivid.show("green")
        assert isinstance(failure(camera), CoveredFrame)
        vivid.show("bars")
        take(camera)


def one_snap_has_its_own_mode_and_the_next_one_has_not() -> None:
    """And what this camera cannot do is told."""
    with a_camera(keep_warm_s=math.inf) as camera:
        assert (take(camera).width, take(camera).height) == HD
        wanted = ShotOptions(width=1920, height=1080, exposure_ms=5, focus=3)
        for _ in range(2):
            (taken,) = camera.shoot(wanted, timeout_s=WAIT_S)
            assert (taken.width, taken.height, taken.freshness) == (1920, 1080, "proven")
            assert taken.warnings == (
                "the device takes no exposure: 5 ms was not set",
                "the device takes no focus: 3 was not set",
            )
            taken = take(camera)
            assert (taken.width, taken.height, taken.warnings) == (*HD, ())
        burst = camera.shoot(ShotOptions(burst=3, keep="all"), timeout_s=WAIT_S)
        assert len({each.taken_at for each in burst}) == 3


def a_wrong_index_is_told_in_one_line() -> None:
    """No such device, and one that gives no pictures."""
    assert "there is no /dev/video7" in fails_in_one_line("--source", "7")
    assert "not a capture device" in fails_in_one_line("--source", "1")


def a_busy_device_is_told_with_who_holds_it() -> None:
    """And works once it is free."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder,
        a_camera() as camera,
    ):
        assert holder.stdout and holder.stdout.readline() == "held\n"
        name = f"is in use by python (process {holder.pid})"
        busy = failure(camera)
        assert isinstance(busy, SourceBusy) and name in busy.detail, busy
        assert name in fails_in_one_line()
        holder.communicate("")
        assert take(camera).freshness == "proven"


def a_stalled_camera_is_told() -> None:
    """It is there, and gives no frames; then it does again."""
    with a_camera(keep_warm_s=math.inf) as camera:
        take(camera)
        vivid.tell("Percentage of Dropped Buffers", 100)
        assert isinstance(failure(camera), SourceStalled)
        vivid.tell("Percentage of Dropped Buffers", 0)
        assert take(camera).freshness == "proven"


def an_unplugged_camera_is_told_and_comes_back() -> None:
    """While it is warm; nothing keeps its number from it when it is plugged in again."""
    with a_camera(keep_warm_s=math.inf) as camera:
        for _ in range(2):
            assert take(camera).freshness == "proven"
            vivid.unplug()
            began = time.monotonic()
            gone = failure(camera)
            assert isinstance(gone, SourceUnavailable | SourceStalled), repr(gone)
            assert time.monotonic() - began < WAIT_S / 2
            assert devices() == []
            until(lambda: not is_open())
            vivid.plug_in()
            assert vivid.DEVICE.exists()


STEPS: tuple[Callable[[], None], ...] = (
    the_list_has_the_camera,
    the_list_has_its_lasting_name,
    the_command_takes_a_picture,
    the_driver_s_clock_is_ours,
    a_picture_shows_what_was_there_after_the_snap,
    a_frame_that_waited_is_known_to_be_old,
    a_cold_one_is_opened_for_each_picture,
    what_was_granted_is_told,
    black_and_blank_are_no_pictures,
    one_snap_has_its_own_mode_and_the_next_one_has_not,
    a_wrong_index_is_told_in_one_line,
    a_busy_device_is_told_with_who_holds_it,
    a_stalled_camera_is_told,
    an_unplugged_camera_is_told_and_comes_back,
)


def main(results: Path) -> None:
    """Tries every step, and notes how each ended."""
    os.chdir("/tmp")  # noqa: S108 - a machine of its own, with nobody else on it
    found: dict[str, dict[str, object]] = {}
    for step in STEPS:
        began = time.monotonic()
        try:
            step()
            trouble = ""
        except Exception:  # noqa: BLE001 - a step's failure is its result
            trouble = traceback.format_exc()
        found[step.__name__] = {"trouble": trouble, "took_s": round(time.monotonic() - began, 2)}
        (results / "results.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
