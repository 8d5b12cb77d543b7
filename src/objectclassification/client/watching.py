"""Watches who comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from objectclassification.client.controller import controller_link
from objectclassification.client.http import Http
from objectclassification.config import Connection
from objectclassification.errors import ServerUnreachable
from objectclassification.messages import Event, Watch, Welcome

REFRESH_S = 5.0
"""What no event tells, such as latency, is asked for this often."""
LEAST_S = 0.2
"""A fleet that comes at once is shown at most this often."""


async def watch_cameras(
    connection: Connection, show: Callable[[list[dict[str, Any]]], None]
) -> None:
    """Shows the cameras, as the API lists them, now and whenever one comes or goes; for ever.

    Args:
        connection: which server, and as whom.
        show: called with all of them.

    Raises:
        ServerUnreachable: the server does not answer at first.
        Unauthorized, Forbidden: the server's no.
    """
    with Http(connection) as http:
        show(await asyncio.to_thread(http.json, "GET", "/api/cameras"))
        moved = asyncio.Event()
        listening = asyncio.create_task(_listen(connection, moved))
        try:
            while not listening.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_S):
                        await moved.wait()
                await asyncio.sleep(LEAST_S)
                moved.clear()
                with suppress(ServerUnreachable):  # the link says when it is back
                    show(await asyncio.to_thread(http.json, "GET", "/api/cameras"))
            await listening  # raises what ended it
        finally:
            listening.cancel()


async def _listen(connection: Connection, moved: asyncio.Event) -> None:
    async with controller_link(connection) as link:
        async for message in link:
            if isinstance(message, Welcome):
                await link.send(Watch(topics=("cameras",)))
            if isinstance(message, Welcome | Event):
                moved.set()
