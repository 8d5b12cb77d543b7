"""Take a picture on a camera somewhere else, now, and say what is on it.

The four public names are imported when they are asked for, so that a camera machine starts without
the server's libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from objectclassification.capture.capture import Capture
    from objectclassification.classification.classifier import Classifier
    from objectclassification.client.client import Client
    from objectclassification.hub.server_echo import Server

__version__ = "0.1.0"
__all__ = ["Capture", "Classifier", "Client", "Server"]

_HOMES = {
    "Capture": "objectclassification.capture.capture",
    "Classifier": "objectclassification.classification.classifier",
    "Client": "objectclassification.client.client",
    "Server": "objectclassification.hub.server_echo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _keep_logs_off_stdout()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def _keep_logs_off_stdout() -> None:
    """A program that has not set structlog up gets its log on standard error."""
    import logging
    import sys

    import structlog

    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
