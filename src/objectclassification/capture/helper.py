"""``exec:COMMAND``: a program that prints a JPEG picture or an MJPEG stream.

For cameras that OpenCV cannot read: Raspberry Pi camera modules (``rpicam-jpeg -o -``,
``rpicam-vid --codec mjpeg -o -``), gphoto2, industrial cameras through their own library. The
helper is a program of its own: its Python, its libraries and its crashes never meet ours. No shell
is involved. A helper that prints one picture and exits is run for each snap; one that goes on
printing is a stream. What it prints decides, the first time it is run.
"""

from __future__ import annotations

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque

from objectclassification.capture.jpegstream import Arrived, JpegStream
from objectclassification.capture.mjpeg import NotAPicture
from objectclassification.capture.source import STREAM_LATENCY_S, Frame, SourceSettings, Stamp
from objectclassification.errors import (
    CaptureError,
    ConfigurationError,
    SourceStalled,
    SourceUnavailable,
)

CHUNK_BYTES = 64 * 2**10
STOP_S = 2.0
"""A helper has this long to let go of its camera, then it is killed."""


class HelperSource:
    """Runs a command and reads pictures from its standard output."""

    live = False
    warmup_s = 0.0

    def __init__(self, address: str, shown: str, settings: SourceSettings) -> None:
        self.notes: tuple[str, ...] = ()
        self.latency_s = settings.latency_s or 0.0
        self._shown = shown
        self._settings = settings
        if sys.platform == "win32":
            raise ConfigurationError("exec: sources need process groups, which Windows has not")
        try:
            self._command = shlex.split(address.removeprefix("exec:"))
        except ValueError as exc:
            raise ConfigurationError(f"{shown}: {exc}") from exc
        if not self._command:
            raise ConfigurationError(f"{shown}: there is no command after exec:")
        self._process: _Process | None = None
        self._pictures: JpegStream | None = None
        self._started_at = 0.0
        self._held: Arrived | None = None
        self._printed = 0
        self._sequence = 0

    def open(self) -> None:
        """Finds the program. It is started by the first grab: it may press a real shutter."""
        if shutil.which(self._command[0]) is None:
            raise SourceUnavailable(
                f"{self._shown}: there is no program {self._command[0]}", source=self._shown
            )
        self.live = False

    def grab(self) -> Stamp | None:
        """Starts the helper if it does not run, and takes its next picture."""
        if self._process is None or self._pictures is None:
            self._start()
        assert self._process is not None and self._pictures is not None  # noqa: S101 - _start sets both
        try:
            arrived = self._pictures.next()
        except NotAPicture as exc:
            raise CaptureError(
                f"{self._shown} printed no JPEG picture: {exc}", source=self._shown
            ) from exc
        if arrived is None:
            self._check_end(self._process, self._pictures)
            return None
        self._printed += 1
        self._sequence = arrived.stamp.sequence
        if self._printed == 1 and arrived.stamp.freshness == "estimated":
            arrived = Arrived(arrived.data, self._first_stamp())
        # Whether more pictures follow is seen by going on to read.
        self.live = True
        self._held = arrived
        return arrived.stamp

    def retrieve(self) -> Frame:
        """Returns the picture's own bytes."""
        if self._held is None:
            raise CaptureError(f"{self._shown} gave no picture yet", source=self._shown)
        return Frame(self._held.stamp, encoded=self._held.data, media_type="image/jpeg")

    def close(self) -> None:
        """Stops the helper and everything it started."""
        if self._process:
            self._process.stop()
        self._process = self._pictures = None
        self.live = False

    def _start(self) -> None:
        self._started_at = time.monotonic()
        try:
            process = _Process(self._command, self._shown, self._settings.read_timeout_s)
        except OSError as exc:
            raise SourceUnavailable(
                f"{self._shown} cannot be started: {exc.strerror}", source=self._shown
            ) from exc
        latency_s = self._settings.latency_s
        self._process = process
        self._pictures = JpegStream(
            process.read, STREAM_LATENCY_S if latency_s is None else latency_s, self._sequence
        )
        self._printed = 0

    def _first_stamp(self) -> Stamp:
        """A single picture was exposed between the helper's start and now."""
        taken_at = self._started_at - self.latency_s
        return Stamp(taken_at, time.monotonic() - taken_at, "estimated", self._sequence)

    def _check_end(self, process: _Process, pictures: JpegStream) -> None:
        """Tells a helper that has done its work from one that died.

        Raises:
            CaptureError: it printed no whole picture, or was a stream and is over.
        """
        status = process.stop(patience_s=STOP_S)
        cut_off, printed = pictures.cut_off, self._printed
        self._process = self._pictures = None
        self.live = False
        if printed == 1 and not cut_off:
            return
        if printed > 1:
            what = f"ended after {printed} pictures"
        else:
            what = "stopped within a picture" if cut_off else "printed no picture"
        how = f"status {status}" if status >= 0 else signal.Signals(-status).name
        raise CaptureError(
            f"{self._shown} {what} ({how}){process.last_words()}", source=self._shown
        )


class _Process:
    """A child in a process group of its own, its standard output and error read with a time-out."""

    def __init__(self, command: list[str], shown: str, timeout_s: float) -> None:
        self._shown = shown
        self._timeout_s = timeout_s
        self._errors: deque[bytes] = deque(maxlen=4)
        self._child = subprocess.Popen(  # noqa: S603 - running the user's command is the purpose
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self._selector = selectors.DefaultSelector()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                self._selector.register(pipe, selectors.EVENT_READ)

    def read(self) -> bytes:
        """Waits for the next bytes of the output; nothing at its end.

        Raises:
            SourceStalled: it prints nothing.
        """
        until = time.monotonic() + self._timeout_s
        while (left_s := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left_s):
                data = os.read(key.fd, CHUNK_BYTES)
                if key.fileobj is self._child.stdout:
                    return data
                if data:
                    self._errors.append(data[-CHUNK_BYTES:])
                else:
                    self._selector.unregister(key.fileobj)
        raise SourceStalled(
            f"{self._shown} printed nothing for {self._timeout_s:g} s", source=self._shown
        )

    def last_words(self) -> str:
        """The last line it wrote to its standard error, to be put behind a message."""
        lines = b"".join(self._errors).decode(errors="replace").split("\n")
        spoken = [line.strip() for line in lines if line.strip()]
        return f": {spoken[-1][:200]}" if spoken else ""

    def stop(self, patience_s: float = 0.0) -> int:
        """Ends the group, once the child had time to exit by itself; returns its status."""
        if not self._has_exited(patience_s):
            self._signal(signal.SIGTERM)
            self._has_exited(STOP_S)
        # Also what the child left behind, for it holds the camera, too.
        self._signal(signal.SIGKILL)
        status = self._child.wait()
        self._selector.close()
        if self._child.stderr is not None:
            os.set_blocking(self._child.stderr.fileno(), False)
            self._errors.append(self._child.stderr.read() or b"")
            self._child.stderr.close()
        if self._child.stdout is not None:
            self._child.stdout.close()
        return status

    def _has_exited(self, within_s: float) -> bool:
        try:
            self._child.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            return  # all gone already
