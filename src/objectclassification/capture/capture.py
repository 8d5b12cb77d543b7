"""Takes pictures: the freshness contract, the checks, and the file.

For ``proven`` and ``estimated`` sources a frame from before the snap is never given back: the next
one is waited for, or :class:`~objectclassification.errors.StaleFrame` is raised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from objectclassification.capture import picture
from objectclassification.capture.controls import Adjustment
from objectclassification.capture.frames import Frames
from objectclassification.capture.keeper import Keeper
from objectclassification.capture.picture import Rotation
from objectclassification.capture.source import Frame, SourceSettings, open_source
from objectclassification.capture.taken import Form, Taken, develop
from objectclassification.capture.turns import Turns
from objectclassification.capture.warmup import Warmup
from objectclassification.condition import SourceState
from objectclassification.errors import CaptureError
from objectclassification.masking import mask
from objectclassification.shot_options import AS_EVER, MOST_SIDE, Check, ShotOptions

SEED_PATH = "opencv_frame_0.png"
KEEP_WARM_S = 300.0
TIMEOUT_S = 10.0
STALL_S = 5.0
OPEN_S = 5.0
"""Half of a snap's usual deadline: an open that hangs is tried once more within it."""
WATCHDOG_S = 1.0
"""Time-outs of the source itself come first; the watchdog is for those that have none."""


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
        check: what becomes of a picture that is black, white, covered, blurred or frozen, unless a
            snap says otherwise.

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
        check: Check = "retry",
    ) -> None:
        address = str(source)
        settings = SourceSettings(
            size=size,
            latency_s=None if latency_ms is None else latency_ms / 1000,
            open_timeout_s=OPEN_S,
            read_timeout_s=stall_s,
        )
        self.address = mask(address)
        path = Path(path)
        self._form_as_ever = Form(path, picture.media_type_for(path), size, rotate)
        self._check = check
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
        self._frames = Frames(self._keeper, self.address)
        self._turns = Turns(self.address)

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
            As :meth:`shoot`.
        """
        return self.shoot(after=after, timeout_s=timeout_s)[0]

    def shoot(
        self,
        options: ShotOptions = AS_EVER,
        *,
        after: float | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[Taken, ...]:
        """Takes pictures that were exposed after a moment, in the way of one snap, and saves them.

        Snaps that a device is set for are taken one after the other; then it is set back.

        Args:
            options: what is different this time. What the source does not do is a warning.
            after: ``time.monotonic()`` seconds; now, if not given.
            timeout_s: the most it may take, opening and warming up included.

        Returns:
            The best picture; and, if all of a burst are kept, the others in their order, saved
            beside it as ``<name>-2``, ``<name>-3`` and so on.

        Raises:
            SourceUnavailable: there is no such source, or it cannot be opened.
            SourceBusy: another program holds it.
            SourceStalled: no frame came in time.
            StaleFrame: only frames from before came in time.
            FaultyFrame: the picture shows nothing, twice: it is black, white, covered, blurred or
                that of the last snap.
            CaptureError: another failure of the source or of the file.
        """
        started = time.monotonic()
        until = started + timeout_s
        adjustment, warnings = self._adjustment(options)
        with self._turn(adjustment, until), self._keeper.held():
            frames, found, ms = self._frames.take(
                options.burst,
                options.keep,
                options.check or self._check,
                started if after is None else after,
                until,
            )
            refused = self._keeper.refused if adjustment is not None else ()
            live = self._keeper.live
        waited_ms = (time.monotonic() - started) * 1000
        spent_ms = sum(ms.get(stage, 0.0) for stage in ("open", "warmup", "check", "retry"))
        ms["wait"] = max(0.0, waited_ms - spent_ms)
        if options.warmup is not None and not live:
            warnings.append("warmup is not used: this source makes its picture when it is asked")
        form = self._form(options, warnings)
        told = (*found, *refused, *warnings, *self._keeper.notes)
        taken = [self._develop(frames[0], form, ms, told, options)]
        for number, frame in enumerate(frames[1:], 2):
            path = form.path.with_stem(f"{form.path.stem}-{number}")
            taken.append(self._develop(frame, replace(form, path=path), {}, told, options))
        self._last = taken[0]
        return tuple(taken)

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

    def _adjustment(self, options: ShotOptions) -> tuple[Adjustment | None, list[str]]:
        """What the source must be set to for these options, and what it cannot be."""
        device = self._keeper.adjustable
        warnings: list[str] = []
        exposure_ms, focus, mode = options.exposure_ms, options.focus, None
        if device is None:
            for what, value in (("exposure", exposure_ms), ("focus", focus)):
                if value is not None:
                    warnings.append(f"{what} is not used: only a device takes it")
            exposure_ms = focus = None
        elif (size := self._size_for(options)) is not None:
            mode = _larger(device.mode, size)
        wanted = Adjustment(mode, exposure_ms, focus, options.warmup)
        return (None if wanted == Adjustment() else wanted), warnings

    @contextmanager
    def _turn(self, adjustment: Adjustment | None, until: float) -> Iterator[None]:
        """Holds the source as it is set for one snap, or as ever beside other snaps."""
        if adjustment is None:
            with self._turns.shared(until):
                yield
            return
        with self._turns.alone(until):
            self._keeper.adjust(adjustment)
            try:
                yield
            finally:
                self._keeper.adjust(None)

    def _size_for(self, options: ShotOptions) -> tuple[int | None, int | None] | None:
        """Width and height that were asked for, as they are before the picture is turned."""
        size = options.width, options.height
        if size == (None, None):
            return None
        return size[::-1] if self._form_as_ever.rotate in (90, 270) else size

    def _form(self, options: ShotOptions, warnings: list[str]) -> Form:
        """What the pictures are to be like."""
        form = self._form_as_ever
        if options.format is not None and (other := f"image/{options.format}") != form.media_type:
            path = form.path.with_suffix(picture.SUFFIXES[other])
            form = replace(form, path=path, media_type=other)
        if (size := self._size_for(options)) is not None:
            form = replace(form, size=(size[0] or MOST_SIDE, size[1] or MOST_SIDE))
        if options.quality is not None:
            if form.media_type == "image/png":
                warnings.append("quality is not used: a PNG has none")
            else:
                form = replace(form, quality=options.quality)
        return form

    def _develop(
        self,
        frame: Frame,
        form: Form,
        ms: dict[str, float],
        told: tuple[str, ...],
        options: ShotOptions,
    ) -> Taken:
        taken = develop(frame, form, ms, told, self.address)
        sides = (options.width, taken.width), (options.height, taken.height)
        if all(wanted is None or got < wanted for wanted, got in sides) and any(
            wanted is not None for wanted, _ in sides
        ):
            asked = "x".join("any" if wanted is None else str(wanted) for wanted, _ in sides)
            line = f"asked for {asked}, got {taken.width}x{taken.height}"
            taken = replace(taken, warnings=(*taken.warnings, line))
        return replace(taken, warnings=tuple(dict.fromkeys(taken.warnings)))


def _larger(mode: tuple[int, int], wanted: tuple[int | None, int | None]) -> tuple[int, int] | None:
    """The mode to ask for so that a picture of that size can be made; None: it is large enough."""
    factor = max((side or 0) / own for side, own in zip(wanted, mode, strict=True))
    if factor <= 1:
        return None
    return wanted[0] or round(mode[0] * factor), wanted[1] or round(mode[1] * factor)
