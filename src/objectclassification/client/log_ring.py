"""The last lines of a program's log, kept for whoever asks it how it is."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

from objectclassification.condition import LONGEST_LINE, MOST_LINES
from objectclassification.masking import mask

_FIRST = ("timestamp", "level", "event")


class LogRing:
    """Keeps the newest lines, each cut to a bound, with its secrets masked. For any thread."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MOST_LINES)

    def lines(self) -> tuple[str, ...]:
        """Returns the lines, the oldest first."""
        return tuple(self._lines)

    def add(self, text: str) -> None:
        """Keeps a line that was shown on the screen."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._keep(f"{now} {text}")

    def hear(self, logger: object, method: str, event: MutableMapping[str, Any]) -> Any:
        """Keeps a log line; a structlog processor, behind those that fill it in."""
        head = [str(event[key]) for key in _FIRST if key in event]
        if head and "timestamp" in event:
            head[0] = f"{head[0][:19]}Z"  # without fractions of a second
        rest = (key for key in event if key not in _FIRST and not key.startswith("_"))
        tail = [f"{key}={event[key]}" for key in rest]
        self._keep(" ".join([*head, *tail]))
        return event

    def _keep(self, text: str) -> None:
        line = mask(text).replace("\n", " ⏎ ")
        self._lines.append(line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…")
