"""The base of all errors of this package, and what the command line exits with."""

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
