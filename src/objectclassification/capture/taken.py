"""Makes a picture of the frame that was taken: fitted, turned, encoded, saved."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from objectclassification.capture import picture
from objectclassification.capture.clock import Clock, wall_clock
from objectclassification.capture.picture import Rotation
from objectclassification.capture.source import Frame
from objectclassification.errors import CaptureError
from objectclassification.receipts import Freshness


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
        exposed_within_s: it was exposed at ``taken_at``, or at most this much later.
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
    exposed_within_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Form:
    """What a picture is to be like.

    Attributes:
        path: where it is saved.
        media_type: what it is encoded as.
        size: width and height in pixels that the unturned picture is made to fit into.
        rotate: degrees clockwise.
        quality: of a JPEG or WebP, 1 to 100; None is 92, or as the source gave it.
    """

    path: Path
    media_type: str
    size: tuple[int, int] | None
    rotate: Rotation
    quality: int | None = None


def develop(
    frame: Frame, form: Form, ms: dict[str, float], warnings: tuple[str, ...], address: str
) -> Taken:
    """Encodes and saves a frame.

    Args:
        frame: what was taken.
        form: what it is to be like.
        ms: how long each stage took so far; what is done here is added.
        warnings: what a person should know about it.
        address: of its source, for errors.

    Raises:
        CaptureError: it cannot be decoded or saved.
    """
    data, size = _encode(frame, form, ms, address)
    with clocked(ms, "save"):
        try:
            picture.save(data, form.path)
        except OSError as exc:
            raise CaptureError(f"cannot save {form.path}: {exc.strerror}", source=address) from exc
    clock, off_ms = wall_clock()
    stamp = frame.stamp
    wall_s = time.time() - (time.monotonic() - stamp.taken_at)
    return Taken(
        path=form.path,
        data=data,
        media_type=form.media_type,
        width=size[0],
        height=size[1],
        sha256=hashlib.sha256(data).hexdigest(),
        freshness=stamp.freshness,
        taken_at=stamp.taken_at,
        captured_at=datetime.fromtimestamp(wall_s, UTC),
        clock=clock,
        exposed_within_s=stamp.uncertainty_s,
        uncertainty_ms=None if off_ms is None else off_ms + stamp.uncertainty_s * 1000,
        warnings=warnings,
        camera_ms={stage: round(value, 1) for stage, value in ms.items()},
    )


def _encode(
    frame: Frame, form: Form, ms: dict[str, float], address: str
) -> tuple[bytes, tuple[int, int]]:
    """Returns the picture's bytes, with width and height; as they came wherever that will do."""
    if frame.encoded is not None and frame.media_type == form.media_type:
        as_given = not form.rotate and form.size is None and form.quality is None
        size = picture.measure(frame.encoded) if as_given else None
        if size is not None:
            return frame.encoded, size
    image = frame.image
    if image is None:
        with clocked(ms, "decode"):
            image = picture.decode(frame.encoded or b"", address)
    with clocked(ms, "encode"):
        if form.size is not None:
            image = picture.shrink(image, form.size)
        image = picture.rotate(image, form.rotate)
        data = picture.encode(image, form.media_type, form.quality)
        return data, (image.shape[1], image.shape[0])


@contextmanager
def clocked(ms: dict[str, float], stage: str) -> Iterator[None]:
    """Notes how long a block took, in milliseconds."""
    started = time.monotonic()
    try:
        yield
    finally:
        ms[stage] = (time.monotonic() - started) * 1000
