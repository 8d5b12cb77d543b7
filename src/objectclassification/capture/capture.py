"""Takes pictures: the freshness contract, the checks, and the file.

For ``proven`` and ``estimated`` sources a frame from before the snap is never given back: the next
one is waited for, or :class:`~objectclassification.errors.StaleFrame` is raised.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from objectclassification.capture import picture
from objectclassification.capture.clock import Clock, wall_clock
from objectclassification.capture.keeper import Keeper
from objectclassification.capture.picture import Rotation
from objectclassification.capture.source import Frame, SourceSettings, open_source
from objectclassification.capture.warmup import Warmup
from objectclassification.condition import SourceState
from objectclassification.errors import CaptureError, DarkFrame
from objectclassification.masking import mask
from objectclassification.receipts import Freshness

SEED_PATH = "opencv_frame_0.png"
KEEP_WARM_S = 300.0
TIMEOUT_S = 10.0
STALL_S = 5.0
OPEN_S = 5.0
"""Half of a snap's usual deadline: an open that hangs is tried once more within it."""
WATCHDOG_S = 1.0
"""Time-outs of the source itself come first; the watchdog is for those that have none."""
DARK_PATIENCE_S = 1.0
"""A live camera may be between two exposures: it has this long to show something."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture that was taken and saved.

    Attributes:
        path: where it is saved.
        data: the encoded picture, as saved.
        media_type: ``image/png``, ``image/jpeg`` or ``image/webp``.
        width: pixels.
        height: pixels.
        sha256: of ``data``, hexadecimal.
        freshness: how it is known that it was exposed after the snap.
        taken_at: ``time.monotonic()`` seconds; exposed no earlier than this.
        captured_at: the same by the wall clock, UTC.
        clock: what the wall clock is worth.
        uncertainty_ms: ``captured_at`` is off by no more than this; None if nobody knows.
        warnings: what a person should know about the picture.
        camera_ms: milliseconds by stage: ``open`` and ``warmup`` of a cold source, ``wait`` for the
            frame, ``decode``, ``encode``, ``save``; stages that were not needed are left out.
    """

    path: Path
    data: bytes
    media_type: str
    width: int
    height: int
    sha256: str
    freshness: Freshness
    taken_at: float
    captured_at: datetime
    clock: Clock
    uncertainty_ms: float | None
    warnings: tuple[str, ...]
    camera_ms: dict[str, float]


class Capture:
    """One source and the pictures it takes; for any number of threads at once.

    Args:
        source: a device's index or path, an ``rtsp://`` or ``http://`` address, ``exec:COMMAND``,
            a file, a glob or a folder. A URL's user and password may be ``$VARIABLES``.
        path: where each picture is saved; the suffix says how it is encoded. A JPEG that the source
            gave is saved untouched, unless it has to be turned or fitted.
        size: width and height in pixels: a device is asked for this mode (1280x720 by default);
            pictures of other sources are fitted into it.
        rotate: degrees clockwise.
        warmup: of a cold start: seconds, or ``"auto"`` until the exposure has settled. By default
            two seconds for devices, as in the seed, and none for streams, which run already. Still
            pictures, files and helpers have none.
        keep_warm_s: how long the source stays open after a picture: ``math.inf`` for ever, 0 not at
            all.
        latency_ms: from exposure to arrival here, as far as the source's owner knows.
        stall_s: a source that gives no frame for this long has stalled.

    Raises:
        ConfigurationError: the source, a variable in it, or the path's suffix cannot be used.
    """

    def __init__(
        self,
        source: str | int = 0,
        path: str | Path = SEED_PATH,
        *,
        size: tuple[int, int] | None = None,
        rotate: Rotation = 0,
        warmup: Warmup | None = None,
        keep_warm_s: float = KEEP_WARM_S,
        latency_ms: float | None = None,
        stall_s: float = STALL_S,
    ) -> None:
        address = str(source)
        settings = SourceSettings(
            size=size,
            latency_s=None if latency_ms is None else latency_ms / 1000,
            open_timeout_s=OPEN_S,
            read_timeout_s=stall_s,
        )
        self.address = mask(address)
        self._path = Path(path)
        self._media_type = picture.media_type_for(self._path)
        self._size = size
        self._rotate = rotate
        self._last: Taken | None = None
        self._keeper = Keeper(
            lambda: open_source(address, settings),
            self.address,
            warmup=warmup,
            keep_warm_s=keep_warm_s,
            # An open ends with the first frames, each of which may take its own time.
            open_s=OPEN_S + stall_s + WATCHDOG_S,
            stall_s=stall_s + WATCHDOG_S,
        )

    @property
    def state(self) -> SourceState:
        """What the source does now."""
        return self._keeper.state

    @property
    def trouble(self) -> tuple[str, float] | None:
        """How the source failed last, and when in ``time.monotonic()`` seconds."""
        return self._keeper.trouble

    @property
    def notes(self) -> tuple[str, ...]:
        """What the source has to say about itself."""
        return self._keeper.notes

    def open(self) -> None:
        """Starts the source ahead of the first picture; returns at once."""
        self._keeper.open()

    def take(self, after: float | None = None, timeout_s: float = TIMEOUT_S) -> Taken:
        """Takes a picture that was exposed after a moment, and saves it.

        Args:
            after: ``time.monotonic()`` seconds; now, if not given.
            timeout_s: the most it may take, opening and warming up included.

        Raises:
            SourceUnavailable: there is no such source, or it cannot be opened.
            SourceBusy: another program holds it.
            SourceStalled: no frame came in time.
            StaleFrame: only frames from before came in time.
            DarkFrame: the picture is black or covered.
            CaptureError: another failure of the source or of the file.
        """
        started = time.monotonic()
        until = started + timeout_s
        after = started if after is None else after
        frame, ms = self._keeper.frame(after, timeout_s)
        if self._is_dark(frame):
            frame = self._lighter(frame, until)
        waited_s = time.monotonic() - started
        ms["wait"] = max(0.0, waited_s * 1000 - ms.get("open", 0.0) - ms.get("warmup", 0.0))
        data, size = self._encode(frame, ms)
        with _Clocked(ms, "save"):
            self._save(data)
        taken = self._describe(frame, data, size, ms)
        self._last = taken
        return taken

    def upload(
        self, url: str, snippet: int = 1, *, token: str | None = None, ca: Path | None = None
    ) -> dict[str, Any]:
        """PUTs the picture that was taken last to ``snippets/{snippet}/``, as the seed does.

        Args:
            url: the server's address.
            snippet: the camera's slot.
            token: of a camera or an admin.
            ca: a private certificate authority's file.

        Returns:
            What the API answered: the picture.

        Raises:
            CaptureError: no picture was taken yet.
            UploadFailed: the server cannot be reached; it may work later.
            UploadRefused: the server does not take it.
        """
        import uuid_utils

        from objectclassification.capture.upload import Uploader, age_since

        if (taken := self._last) is None:
            raise CaptureError("take a picture before uploading it", source=self.address)
        with Uploader(url, token, ca=ca) as uploader:
            return uploader.put(
                f"/snippets/{snippet}/",
                taken.data,
                taken.media_type,
                key=str(uuid_utils.uuid7()),
                age_ms=age_since(taken.taken_at),
            )

    def close(self) -> None:
        """Lets go of the source."""
        self._keeper.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _is_dark(self, frame: Frame) -> bool:
        image = frame.image
        if image is None:
            image = picture.thumbnail_of(frame.encoded or b"", self.address)
        return picture.is_dark(image)

    def _lighter(self, frame: Frame, until: float) -> Frame:
        patience_until = min(until, time.monotonic() + DARK_PATIENCE_S)
        while self._keeper.live and (left_s := patience_until - time.monotonic()) > 0:
            try:
                frame, _ = self._keeper.frame(frame.stamp.taken_at, left_s)
            except CaptureError:
                break  # what there is, is dark: that is the better message
            if not self._is_dark(frame):
                return frame
        raise DarkFrame(
            f"{self.address} shows black: the lens is covered, or there is no light",
            source=self.address,
        )

    def _encode(self, frame: Frame, ms: dict[str, float]) -> tuple[bytes, tuple[int, int]]:
        """Returns the picture's bytes in the format of the path, with width and height."""
        fits = frame.media_type == self._media_type and not self._rotate and self._size is None
        if fits and frame.encoded is not None:
            size = picture.measure(frame.encoded)
            if size is not None:
                return frame.encoded, size
        image = frame.image
        if image is None:
            with _Clocked(ms, "decode"):
                image = picture.decode(frame.encoded or b"", self.address)
        with _Clocked(ms, "encode"):
            if self._size is not None:
                image = picture.shrink(image, self._size)
            image = picture.rotate(image, self._rotate)
            return picture.encode(image, self._media_type), (image.shape[1], image.shape[0])

    def _save(self, data: bytes) -> None:
        try:
            picture.save(data, self._path)
        except OSError as exc:
            raise CaptureError(
                f"cannot save {self._path}: {exc.strerror}", source=self.address
            ) from exc

    def _describe(
        self, frame: Frame, data: bytes, size: tuple[int, int], ms: dict[str, float]
    ) -> Taken:
        clock, off_ms = wall_clock()
        stamp = frame.stamp
        wall_s = time.time() - (time.monotonic() - stamp.taken_at)
        return Taken(
            path=self._path,
            data=data,
            media_type=self._media_type,
            width=size[0],
            height=size[1],
            sha256=hashlib.sha256(data).hexdigest(),
            freshness=stamp.freshness,
            taken_at=stamp.taken_at,
            captured_at=datetime.fromtimestamp(wall_s, UTC),
            clock=clock,
            uncertainty_ms=None if off_ms is None else off_ms + stamp.uncertainty_s * 1000,
            warnings=self._keeper.notes,
            camera_ms={stage: round(value, 1) for stage, value in ms.items()},
        )


class _Clocked:
    """Notes how long a block took."""

    def __init__(self, ms: dict[str, float], stage: str) -> None:
        self._ms, self._stage, self._started = ms, stage, time.monotonic()

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._ms[self._stage] = (time.monotonic() - self._started) * 1000
