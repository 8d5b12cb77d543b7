"""What is said while there is no connection: each reason once, and when it is over."""

from __future__ import annotations

from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)


class Outage:
    """Tells why there is no connection, without a line for every try.

    Args:
        url: the server's.
        tell: takes each line for the person at the screen; without it they go to the log.
        gives_up: whether the last reason becomes an error, so that it is no warning before.

    Attributes:
        reason: why the last try failed; empty while connected, and before the first try.
    """

    def __init__(
        self, url: str, tell: Callable[[str], None] | None = None, *, gives_up: bool = False
    ) -> None:
        self.reason = ""
        self._url = url
        self._tell = tell
        self._gives_up = gives_up

    def note(self, reason: str, next_try_s: float) -> None:
        """Takes a try that failed."""
        is_new, self.reason = reason != self.reason, reason
        first = _log.info if self._gives_up else _log.warning
        say = first if is_new and self._tell is None else _log.debug
        say("not connected", url=self._url, why=reason, next_try_s=round(next_try_s, 1))
        if is_new and self._tell is not None:
            self._tell(f"{reason}: trying again")

    def over(self) -> None:
        """Takes a welcome."""
        if not self.reason:
            return
        self.reason = ""
        if self._tell is None:
            _log.info("connected again", url=self._url)
        else:
            self._tell("connected again")
