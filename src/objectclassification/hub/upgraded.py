"""The hub's connections behind uvicorn's HTTP protocol, which hands upgraded requests over."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from objectclassification.hub.connection import Connection
from objectclassification.hub.effects import CLOSE_RESTART
from objectclassification.hub.runner import HubRunner


class _UvicornConnection(Connection):
    """A connection that uvicorn's HTTP protocol made out of an upgraded request."""

    __slots__ = ("_among",)

    def __init__(
        self,
        runner: HubRunner,
        *,
        config: object,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(runner)
        self._among: set[Any] = server_state.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Joins the connections that uvicorn waits for when it stops."""
        self._among.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leaves them."""
        self._among.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        self.close(CLOSE_RESTART, "the server is stopping")


def uvicorn_protocol(runner: HubRunner) -> type[asyncio.Protocol]:
    """Returns what ``uvicorn.Config(ws=…)`` takes: a factory of connections to this runner."""
    # uvicorn only ever calls it; its annotation asks for a type.
    return cast(type[asyncio.Protocol], partial(_UvicornConnection, runner))
