"""Finds a hub that is not there any more although nothing broke: what the hub does, the other way.

A machine without power, or a router that forgot the connection, says no farewell. Nobody hears of
it, and without a look nobody would for as long as TCP tries, a quarter of an hour.
"""

from __future__ import annotations

import asyncio

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

ANSWER_BEATS = 0.75
"""How long a ping may wait for its answer. One goes out each heartbeat, so that a hub is found dead
1.75 of them after its last answer at the latest: within two on a busy machine, too."""
SHORTEST_S, LONGEST_S = 0.1, 600.0
"""What a hub may ask for."""

_log = structlog.get_logger(__name__)


async def watch(socket: ClientConnection, heartbeat_s: float) -> None:
    """Pings a hub once a heartbeat; ends with the connection, which it aborts if nobody answers.

    Args:
        socket: the connection.
        heartbeat_s: the hub's own.
    """
    beat_s = min(max(heartbeat_s, SHORTEST_S), LONGEST_S)
    latency_s = 0.0
    try:
        while True:
            await asyncio.sleep(beat_s - latency_s)
            try:
                async with asyncio.timeout(ANSWER_BEATS * beat_s):
                    latency_s = await (await socket.ping())
            except TimeoutError:
                _log.info("the hub is silent", unanswered_s=round(ANSWER_BEATS * beat_s, 1))
                socket.transport.abort()
                return
    except ConnectionClosed:  # whoever reads from it is told
        return
