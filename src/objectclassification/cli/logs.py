"""Logs: to standard error, for people on a terminal and as JSON elsewhere, never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from objectclassification.masking import mask


def configure(level: str) -> None:
    """Sets logging up for the process.

    Args:
        level: the least that is shown: debug, info, warning or error.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    people = sys.stderr.isatty()
    renderer: Any = (
        # Plain tracebacks: pretty ones show local variables, and with them secrets.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if people
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr)


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
