"""Files: one picture, a glob, a folder, or a video. A replay, for demonstrations and for trials."""

from __future__ import annotations

import time
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, cast

from objectclassification.capture.address import file_path
from objectclassification.capture.opencv import cv2
from objectclassification.capture.picture import sniff
from objectclassification.capture.source import Frame, SourceSettings, Stamp
from objectclassification.errors import CaptureError, SourceUnavailable

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SEEK_S = 1.0
"""A video that is further behind than this is sought, which costs about a second of decoding."""


class FileSource:
    """The next picture for each snap, round and round; or a video that plays in real time."""

    live = False
    warmup_s = 0.0
    latency_s = 0.0

    def __init__(self, address: str, shown: str, settings: SourceSettings) -> None:
        del settings  # a file is as it is
        self.notes: tuple[str, ...] = ()
        self._shown = shown
        self._path = file_path(address)
        self._pictures: list[Path] = []
        self._video: _Video | None = None
        self._sequence = 0

    def open(self) -> None:
        """Lists the pictures, or opens the video."""
        if has_magic(str(self._path)):
            self._pictures = sorted(Path(name) for name in glob(str(self._path), recursive=True))
        elif self._path.is_dir():
            self._pictures = sorted(p for p in self._path.iterdir() if p.suffix.lower() in PICTURES)
        elif not self._path.exists():
            raise SourceUnavailable(f"there is no file {self._shown}", source=self._shown)
        elif self._path.suffix.lower() in PICTURES:
            self._pictures = [self._path]
        else:
            self._video = _Video(self._path, self._shown)
            return
        if not self._pictures:
            raise SourceUnavailable(f"{self._shown} holds no pictures", source=self._shown)

    def grab(self) -> Stamp:
        """Moves on by one picture, or to where the video has played to."""
        if self._video:
            self._video.play()
        self._sequence += 1
        return self._stamp()

    def retrieve(self) -> Frame:
        """Returns the file's own bytes, or the video's frame."""
        if self._video:
            return Frame(self._stamp(), image=self._video.retrieve())
        path = self._pictures[(self._sequence - 1) % len(self._pictures)]
        try:
            data = path.read_bytes()
        except OSError as exc:
            raise CaptureError(f"cannot read {path}: {exc.strerror}", source=self._shown) from exc
        # A picture that the API does not take is decoded on the way, whatever OpenCV knows.
        return Frame(self._stamp(), encoded=data, media_type=sniff(data))

    def close(self) -> None:
        """Closes the video."""
        if self._video:
            self._video.close()

    def _stamp(self) -> Stamp:
        return Stamp(time.monotonic(), 0.0, "replay", self._sequence)


class _Video:
    """A video that has been playing in a loop since it was opened, decoded only when looked at."""

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        self._cap = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._cap.isOpened():
            raise SourceUnavailable(
                f"{shown} is neither a picture nor a video that FFmpeg reads", source=shown
            )
        self._started = time.monotonic()
        self._fps = self._cap.get(cv2.CAP_PROP_FPS) or 25.0
        self._frames = max(1, int(self._cap.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._next = 0

    def play(self) -> None:
        wanted = int((time.monotonic() - self._started) * self._fps) % self._frames
        if wanted < self._next - 1 or wanted - self._next > SEEK_S * self._fps:
            self._cap.set(cv2.CAP_PROP_POS_FRAMES, wanted)
            self._next = wanted
        while self._next <= wanted:
            if not self._cap.grab():
                self._loop()
                return
            self._next += 1

    def _loop(self) -> None:
        """The container promised more frames than it holds: go on from the first."""
        self._frames = max(1, self._next)
        self._started, self._next = time.monotonic(), 1
        self._cap.set(cv2.CAP_PROP_POS_FRAMES, 0)
        if not self._cap.grab():
            raise CaptureError(f"{self._shown} cannot be decoded", source=self._shown)

    def retrieve(self) -> Pixels:
        ok, image = self._cap.retrieve()
        if not ok:
            raise CaptureError(f"{self._shown} cannot be decoded", source=self._shown)
        return cast("Pixels", image)

    def close(self) -> None:
        self._cap.release()
