"""Logs: to standard error, for people on a terminal and as JSON elsewhere, never a secret."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_TOKEN = re.compile(r"oc_[A-Za-z0-9_-]{20,}|(?<=token=)[^&\s\"']+")
_USERINFO = re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]*(?=@)")


def configure(level: str) -> None:
    """Sets logging up for the process.

    Args:
        level: the least that is shown: debug, info, warning or error.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    people = sys.stderr.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if people else [structlog.processors.format_exc_info]),
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
        if isinstance(value, str):
            event[key] = _USERINFO.sub("…", _TOKEN.sub("…", value))
    return event
