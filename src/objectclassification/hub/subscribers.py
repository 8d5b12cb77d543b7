"""Who in the process hears the hub's own events."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from objectclassification.messages import Event

_log = structlog.get_logger(__name__)


class Subscribers:
    """Quick callbacks, each called with every event.

    Args:
        callback: the first of them.
    """

    def __init__(self, callback: Callable[[Event], None]) -> None:
        self._callbacks = [callback]

    def add(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Adds one; returns what takes it out again."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def tell(self, event: Event) -> None:
        """Calls them all; one that fails costs the hub nothing."""
        for callback in list(self._callbacks):
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - a subscriber's bug must not cost the hub its other effects
                _log.exception("subscriber failed", topic=event.topic, name=event.name)
