"""exec: helpers, run for real: one picture, a stream, and every way to misbehave."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest

from objectclassification.capture import Capture
from objectclassification.errors import (
    CaptureError,
    ConfigurationError,
    DarkFrame,
    SourceStalled,
    SourceUnavailable,
)
from tests.integration.cameras.servers import jpeg


def helper(tmp_path: Path, code: str) -> str:
    """Writes a helper; it finds pictures in ``pictures`` and notes that it was started."""
    pictures = tmp_path / "pictures"
    pictures.mkdir(exist_ok=True)
    for number in range(4):
        (pictures / f"{number}.jpg").write_bytes(jpeg(seed=number))
    script = tmp_path / "helper.py"
    script.write_text(
        "import itertools, os, pathlib, sys, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with (folder / 'starts').open('a') as file: file.write(f'{os.getpid()}\\n')\n"
        "out = sys.stdout.buffer\n"
        "pictures = [p.read_bytes() for p in sorted((folder / 'pictures').iterdir())]\n" + code
    )
    return f"exec:{shlex.join([sys.executable, '-S', str(script)])}"


def starts(tmp_path: Path) -> list[int]:
    """The process numbers of all helpers that were started."""
    return [int(line) for line in (tmp_path / "starts").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_picture_for_each_snap(tmp_path: Path) -> None:
    address = helper(tmp_path, "out.write(pictures[int(time.time_ns()) % 4])\n")
    with Capture(address, tmp_path / "x.jpg") as capture:
        for number in range(1, 4):
            snapped_at = time.monotonic()
            taken = capture.take(snapped_at)
            assert taken.taken_at > snapped_at
            assert taken.data in {jpeg(seed=n) for n in range(4)}
            assert len(starts(tmp_path)) == number, "the shutter is pressed once for a snap"
    assert len(starts(tmp_path)) == 3, "and never for nobody"


def test_open_ahead_presses_no_shutter_for_the_next_snap(tmp_path: Path) -> None:
    with Capture(helper(tmp_path, "out.write(pictures[0])\n"), tmp_path / "x.jpg") as capture:
        capture.open()
        capture.take()
    assert len(starts(tmp_path)) == 1


STREAM = """
for number in itertools.count():
    {header}
    out.write(pictures[number % 4]); out.flush()
    time.sleep(1 / 30)
"""


def test_a_stream_is_started_once_and_stopped_at_the_end(tmp_path: Path) -> None:
    address = helper(tmp_path, STREAM.format(header=""))
    with Capture(address, tmp_path / "x.jpg", latency_ms=30) as capture:
        for _ in range(5):
            snapped_at = time.monotonic()
            taken = capture.take(snapped_at)
            assert taken.freshness == "estimated"
            assert taken.taken_at > snapped_at
        (pid,) = starts(tmp_path)
        assert is_running(pid)
    assert not is_running(pid)


def test_a_helper_may_prove_when_a_frame_was_exposed(tmp_path: Path) -> None:
    header = 'out.write(b"--x\\r\\nX-Taken-Monotonic: %f\\r\\n\\r\\n" % (time.monotonic() - 0.2))'
    address = helper(tmp_path, STREAM.format(header=header))
    with Capture(address, tmp_path / "x.jpg") as capture:
        for _ in range(3):
            snapped_at = time.monotonic()
            taken = capture.take(snapped_at)
            assert taken.freshness == "proven"
            # Its frames are 0.2 s old when they come, so the answer takes longer than that.
            assert taken.taken_at > snapped_at
            assert time.monotonic() - snapped_at > 0.2


DARK = """
import base64
black = base64.b64decode({black!r})
for number in itertools.count():
    out.write(black if number < {dark} else pictures[0]); out.flush()
    time.sleep(1 / 30)
"""


@pytest.mark.parametrize("dark", [5, 10**6])
def test_a_camera_gets_a_moment_to_show_something(tmp_path: Path, dark: int) -> None:
    black = cv2.imencode(".jpg", np.zeros((240, 320, 3), np.uint8))[1].tobytes()
    address = helper(tmp_path, DARK.format(black=b64encode(black), dark=dark))
    with Capture(address, tmp_path / "x.jpg", latency_ms=0) as capture:
        if dark == 5:
            assert capture.take().data == jpeg(seed=0)
        else:
            with pytest.raises(DarkFrame):
                capture.take()
            assert not (tmp_path / "x.jpg").exists()


def test_a_stream_that_dies_is_started_again(tmp_path: Path) -> None:
    with Capture(helper(tmp_path, STREAM.format(header="")), tmp_path / "x.jpg") as capture:
        capture.take()
        os.kill(starts(tmp_path)[-1], signal.SIGKILL)
        capture.take()
        assert len(starts(tmp_path)) >= 2


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("sys.exit('the lens fell off')\n", r"printed no picture \(status 1\): the lens fell off"),
        ("os.kill(os.getpid(), 9)\n", r"printed no picture \(SIGKILL\)"),
        ("out.write(b'hello world')\n", "printed no picture"),
        ("out.write(bytes(200_000))\n", "without a JPEG picture"),
        ("out.write(pictures[0][:-900])\n", "stopped within a picture"),
        ("out.write(b'\\xff\\xd8\\xff\\xe0\\x00\\x10' + b'x' * 99)\n", "broken segment"),
        ("", "printed no picture"),
    ],
    ids=["exits", "killed", "text", "zeros", "cut off", "broken", "nothing"],
)
def test_a_helper_that_fails_is_one_clear_line(tmp_path: Path, code: str, says: str) -> None:
    with Capture(helper(tmp_path, code), tmp_path / "x.jpg") as capture:
        with pytest.raises(CaptureError, match=says) as caught:
            capture.take()
    assert "\n" not in caught.value.detail


def test_a_helper_that_hangs_stalls_and_is_killed(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.fork()\ntime.sleep(99)"
    address = helper(tmp_path, code)
    with Capture(address, tmp_path / "x.jpg", stall_s=0.3) as capture:
        with pytest.raises(SourceStalled, match=r"printed nothing for 0\.3 s"):
            capture.take()
    assert not is_running(starts(tmp_path)[0])


def test_no_such_program_and_no_command(tmp_path: Path) -> None:
    with Capture("exec:no-such-helper --now", tmp_path / "x.jpg") as capture:
        with pytest.raises(SourceUnavailable, match="there is no program no-such-helper"):
            capture.take()
    for bad in ("exec:", "exec:sh -c 'unclosed"):
        with pytest.raises(ConfigurationError):
            Capture(bad, tmp_path / "x.jpg")
