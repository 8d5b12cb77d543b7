"""Logs: to standard error, for people on a terminal and as JSON elsewhere, never a secret.

One id finds all that became of a snap, in the logs of server and camera program: every line about
it has the id as ``snap``, and from its picture on that one's as ``picture``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from objectclassification.client.log_ring import LogRing
from objectclassification.config.service import logs_to_journal
from objectclassification.masking import mask

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""What the journal calls them (sd-daemon(3))."""


def configure(level: str, *, ring: LogRing | None = None) -> None:
    """Sets logging up for the process.

    Args:
        level: the least that is shown: debug, info, warning or error.
        ring: keeps the last lines, too.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    people = sys.stderr.isatty()
    renderer: Any = (
        # Plain tracebacks: pretty ones show local variables, and with them secrets.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if people
        else _to_json
    )
    told: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
        *([] if ring is None else [ring.hear]),
    ]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *told, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lenient(sys.stderr))),
    )
    # What libraries log (uvicorn, asyncio) comes in the same form, and is redacted too.
    theirs = logging.StreamHandler(sys.stderr)
    theirs.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *told],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[theirs])


class _Lenient:
    """A stream that loses what it cannot write: a full disk under the log must stop nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes it if it can."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Writes the rest if it can."""
        with suppress(OSError):
            self._stream.flush()


def _to_json(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    """One line; the journal takes its priority from the front, and leaves it out."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    line = structlog.processors.JSONRenderer()(logger, method, {**first, **event})
    priority = f"<{_PRIORITIES[first['level']]}>" if logs_to_journal() else ""
    return f"{priority}{line if isinstance(line, str) else line.decode()}"


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> Any:
    """Takes tokens and passwords out of every text of a log line; a last line of defence."""
    for key, value in event.items():
        event[key] = _masked(value)
    return event


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return value
