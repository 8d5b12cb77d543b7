"""What goes wrong with a picture: taking it, sending it, reading it, saying what is on it."""

from __future__ import annotations

from objectclassification.errors.base import (
    EXIT_CONFIGURATION,
    EXIT_UNAVAILABLE,
    ObjectClassificationError,
)


class CaptureError(ObjectClassificationError):
    """No picture could be taken.

    Attributes:
        source: the source's address, passwords masked.
    """

    code = "capture_failed"
    retryable = True
    exit_code = EXIT_UNAVAILABLE

    def __init__(self, detail: str, *, source: str) -> None:
        super().__init__(detail)
        self.source = source


class SourceUnavailable(CaptureError):
    """No such device or address, or it cannot be opened."""


class SourceBusy(CaptureError):
    """Another program holds the device."""


class SourceStalled(CaptureError):
    """The source is open, but no frame comes."""


class StaleFrame(CaptureError):
    """Only frames from before the snap came in time."""

    code = "stale"


class FaultyFrame(CaptureError):
    """There is a picture, and nothing to see on it."""


class DarkFrame(FaultyFrame):
    """The picture is black."""

    code = "dark"


class OverexposedFrame(FaultyFrame):
    """The picture is white."""

    code = "overexposed"


class CoveredFrame(FaultyFrame):
    """The picture shows a blank surface: something is in front of the lens."""

    code = "covered"


class BlurredFrame(FaultyFrame):
    """The picture is out of focus everywhere."""

    code = "blurred"


class FrozenFrame(FaultyFrame):
    """The picture is that of the last snap, though the source is no file."""

    code = "frozen"


class UploadError(ObjectClassificationError):
    """A picture did not reach the API.

    Attributes:
        status: the HTTP status, or None if there was no answer.
    """

    code = "upload_failed"
    exit_code = EXIT_UNAVAILABLE

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class UploadFailed(UploadError):
    """The network or the server failed, which may ask for ``wait_s``; the picture is kept."""

    retryable = True
    wait_s: float | None = None


class UploadRefused(UploadError):
    """The API will never take this picture."""


class ImageError(ObjectClassificationError):
    """A picture that cannot be used."""

    code = "bad_image"


class NotAnImage(ImageError):
    """Not PNG, JPEG or WebP."""

    code = "not_an_image"


class Undecodable(ImageError):
    """An image type we take, but broken."""

    code = "undecodable"


class TooManyPixels(ImageError):
    """Over the pixel limit by its header.

    Attributes:
        width: pixels.
        height: pixels.
        limit: the most pixels allowed.
    """

    code = "too_many_pixels"

    def __init__(self, *, width: int, height: int, limit: int) -> None:
        super().__init__(f"{width} x {height} pixels is more than the {limit} allowed")
        self.width = width
        self.height = height
        self.limit = limit


class ModelError(ObjectClassificationError):
    """A model that cannot be loaded or run."""

    code = "bad_model"
    exit_code = EXIT_CONFIGURATION


class ChildDied(ObjectClassificationError):
    """The child process that classified a picture died or hung; another takes its place.

    Attributes:
        pid: the process that is gone, or None if none could be started.
    """

    code = "child_died"
    retryable = True

    def __init__(self, detail: str, *, pid: int | None = None) -> None:
        super().__init__(detail)
        self.pid = pid
