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
    │   ├── Busy                   retryable: too many at the same time
    │   └── RateLimited            retryable: too many in too short a time
    ├── ServerUnreachable          retryable
    ├── ServerStopping             retryable, once it was started anew
    ├── TimedOut                   retryable
    ├── CaptureError               retryable unless it says otherwise
    │   ├── SourceUnavailable      no such device, or it cannot be opened
    │   ├── SourceBusy             another program holds it
    │   ├── SourceStalled          open, but no frame comes
    │   ├── StaleFrame             only frames from before the snap
    │   └── FaultyFrame            there is a picture, and nothing to see on it
    │       ├── DarkFrame          black
    │       ├── OverexposedFrame   white
    │       ├── CoveredFrame       something is in front of the lens
    │       ├── BlurredFrame       out of focus everywhere
    │       └── FrozenFrame        the last snap's picture again
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

from objectclassification.errors.asking import (
    AuthError,
    BadMessage,
    Busy,
    ConfigurationError,
    Conflict,
    Forbidden,
    KeyReused,
    MissingExtra,
    NotFound,
    RateLimited,
    RequestError,
    ServerStopping,
    ServerUnreachable,
    TimedOut,
    TooLarge,
    Unauthorized,
)
from objectclassification.errors.base import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_NO_PERMISSION,
    EXIT_TEMPORARY,
    EXIT_UNAVAILABLE,
    ObjectClassificationError,
)
from objectclassification.errors.pictures import (
    BlurredFrame,
    CaptureError,
    ChildDied,
    CoveredFrame,
    DarkFrame,
    FaultyFrame,
    FrozenFrame,
    ImageError,
    ModelError,
    NotAnImage,
    OverexposedFrame,
    SourceBusy,
    SourceStalled,
    SourceUnavailable,
    StaleFrame,
    TooManyPixels,
    Undecodable,
    UploadError,
    UploadFailed,
    UploadRefused,
)
from objectclassification.errors.store import (
    DataFolderUnusable,
    DiskFull,
    NewerDatabase,
    StoreError,
)

__all__ = [
    "EXIT_CONFIGURATION",
    "EXIT_FAILED",
    "EXIT_NO_PERMISSION",
    "EXIT_TEMPORARY",
    "EXIT_UNAVAILABLE",
    "AuthError",
    "BadMessage",
    "BlurredFrame",
    "Busy",
    "CaptureError",
    "ChildDied",
    "ConfigurationError",
    "Conflict",
    "CoveredFrame",
    "DarkFrame",
    "DataFolderUnusable",
    "DiskFull",
    "FaultyFrame",
    "Forbidden",
    "FrozenFrame",
    "ImageError",
    "KeyReused",
    "MissingExtra",
    "ModelError",
    "NewerDatabase",
    "NotAnImage",
    "NotFound",
    "ObjectClassificationError",
    "OverexposedFrame",
    "RateLimited",
    "RequestError",
    "ServerStopping",
    "ServerUnreachable",
    "SourceBusy",
    "SourceStalled",
    "SourceUnavailable",
    "StaleFrame",
    "StoreError",
    "TimedOut",
    "TooLarge",
    "TooManyPixels",
    "Unauthorized",
    "Undecodable",
    "UploadError",
    "UploadFailed",
    "UploadRefused",
]
