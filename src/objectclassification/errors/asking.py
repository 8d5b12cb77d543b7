"""What callers may not do, or cannot have."""

from __future__ import annotations

from objectclassification.errors.base import (
    EXIT_CONFIGURATION,
    EXIT_NO_PERMISSION,
    EXIT_TEMPORARY,
    EXIT_UNAVAILABLE,
    ObjectClassificationError,
)


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


class RateLimited(RequestError):
    """Too many in too short a time.

    Attributes:
        retry_after_s: when there is room for one more.
    """

    code = "rate_limited"
    retryable = True
    exit_code = EXIT_TEMPORARY

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


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
