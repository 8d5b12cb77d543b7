"""Every error this package raises on purpose.

One tree, so that a caller can catch as widely or as closely as it likes::

    ObjectClassificationError
    ├── BadMessage                 a WebSocket message that is not ours
    ├── ConfigurationError         settings that cannot work; do not restart
    │   └── MissingExtra           a part that is not installed
    ├── AuthError
    │   ├── Unauthorized           no token, or an unknown one
    │   └── Forbidden              a token without that right
    ├── RequestError               the caller asked for what cannot be
    │   ├── NotFound
    │   ├── Conflict
    │   ├── KeyReused              an idempotency key with other bytes
    │   ├── TooLarge
    │   └── Busy                   retryable: too many at the same time
    ├── ServerUnreachable          retryable
    ├── ServerStopping             retryable, once it was started anew
    ├── TimedOut                   retryable
    ├── CaptureError               retryable unless it says otherwise
    │   ├── SourceUnavailable      no such device, or it cannot be opened
    │   ├── SourceBusy             another program holds it
    │   ├── SourceStalled          open, but no frame comes
    │   ├── StaleFrame             only frames from before the snap
    │   └── DarkFrame              black or covered
    ├── UploadError
    │   ├── UploadFailed           retryable: the network, a 5xx
    │   └── UploadRefused          the API said no for good
    ├── ImageError                 a picture that cannot be used
    │   ├── NotAnImage
    │   ├── Undecodable
    │   └── TooManyPixels
    ├── ModelError                 a model that cannot be used
    ├── ChildDied                  retryable: the process that classified is gone
    └── StoreError
        ├── DataFolderUnusable
        ├── NewerDatabase
        └── DiskFull               retryable

``code`` is the stable name that travels in messages and problems; for failures of a shot it is one
of :data:`objectclassification.messages.FAILURES`. ``detail`` is one line for a person and never
holds a secret. ``retryable`` says whether the same call may work later. ``exit_code`` follows
``sysexits.h``, so that systemd can tell a start that failed for good (78) from the rest.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_FAILED = 1
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE
EXIT_TEMPORARY = 75  # EX_TEMPFAIL
EXIT_NO_PERMISSION = 77  # EX_NOPERM
EXIT_CONFIGURATION = 78  # EX_CONFIG


class ObjectClassificationError(Exception):
    """Base of all errors of this package.

    Attributes:
        detail: one line for a person; it says what to do next where that is known.
        code: stable name for machines.
        retryable: whether the same call may work later.
        exit_code: what the command line exits with.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadMessage(ObjectClassificationError):
    """A WebSocket message that breaks the protocol.

    Attributes:
        re: the ``id`` or ``snap`` the message named, when it could be read.
    """

    code = "bad_message"

    def __init__(self, detail: str, *, re: str | None = None) -> None:
        super().__init__(detail)
        self.re = re


class ConfigurationError(ObjectClassificationError):
    """Settings that cannot work however often they are tried."""

    code = "bad_configuration"
    exit_code = EXIT_CONFIGURATION


class MissingExtra(ConfigurationError):
    """A part of the package that is not installed.

    Attributes:
        extra: the name of the extra that brings it.
    """

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}': run pipx install --force '.[{extra}]' in the "
            "checkout, or pip install there in a virtual environment"
        )
        self.extra = extra


class AuthError(ObjectClassificationError):
    """The caller may not do this."""

    code = "forbidden"
    exit_code = EXIT_NO_PERMISSION


class Unauthorized(AuthError):
    """No token, or one that is unknown or revoked."""

    code = "unauthorized"


class Forbidden(AuthError):
    """A good token without this right."""


class RequestError(ObjectClassificationError):
    """The caller asked for something that cannot be."""

    code = "bad_request"


class NotFound(RequestError):
    """No such thing."""

    code = "not_found"


class Conflict(RequestError):
    """It contradicts what is already there."""

    code = "conflict"


class KeyReused(RequestError):
    """An idempotency key came again with other bytes."""

    code = "idempotency_key_reused"


class TooLarge(RequestError):
    """Over a limit.

    Attributes:
        limit: the largest allowed value, in ``unit``.
        unit: what ``limit`` counts.
    """

    code = "too_large"

    def __init__(self, detail: str, *, limit: int, unit: str) -> None:
        super().__init__(detail)
        self.limit = limit
        self.unit = unit


class Busy(RequestError):
    """Too many at the same time; try again in a moment."""

    code = "busy"
    retryable = True


class ServerUnreachable(ObjectClassificationError):
    """The server does not answer.

    Attributes:
        url: where it was looked for, without a token.
    """

    code = "unreachable"
    retryable = True
    exit_code = EXIT_UNAVAILABLE

    def __init__(self, detail: str, *, url: str) -> None:
        super().__init__(detail)
        self.url = url


class ServerStopping(ObjectClassificationError):
    """The server is on its way down and takes nothing new."""

    code = "stopping"
    retryable = True
    exit_code = EXIT_UNAVAILABLE


class TimedOut(ObjectClassificationError):
    """It did not happen in time.

    Attributes:
        after_s: seconds waited.
    """

    code = "timeout"
    retryable = True
    exit_code = EXIT_TEMPORARY

    def __init__(self, detail: str, *, after_s: float) -> None:
        super().__init__(detail)
        self.after_s = after_s


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


class DarkFrame(CaptureError):
    """The picture is black or covered."""

    code = "dark"


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


class StoreError(ObjectClassificationError):
    """The data folder or the database failed."""

    code = "store_failed"


class DataFolderUnusable(StoreError):
    """The data folder cannot be made or written.

    Attributes:
        path: the folder.
    """

    code = "data_folder"
    exit_code = EXIT_CONFIGURATION

    def __init__(self, detail: str, *, path: str) -> None:
        super().__init__(detail)
        self.path = path


class NewerDatabase(StoreError):
    """The database was made by a newer version.

    Attributes:
        found: the revision of the database.
    """

    code = "newer_database"
    exit_code = EXIT_CONFIGURATION

    def __init__(self, detail: str, *, found: str) -> None:
        super().__init__(detail)
        self.found = found


class DiskFull(StoreError):
    """Free space is below its floor, or there is none at all.

    Attributes:
        free_bytes: what is left.
        floor_bytes: what must stay free.
    """

    code = "disk_full"
    retryable = True

    def __init__(self, *, free_bytes: int = 0, floor_bytes: int = 0) -> None:
        super().__init__(
            f"only {free_bytes // 2**20} MiB of disk are free and {floor_bytes // 2**20} MiB "
            "must stay so: delete pictures or lower disk_floor_bytes"
            if floor_bytes
            else "the disk is full: delete pictures"
        )
        self.free_bytes = free_bytes
        self.floor_bytes = floor_bytes
