"""A hub as one writes it with ``websockets.serve`` and ``broadcast()``: it passes bytes on."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

WELCOME = json.dumps(
    {
        "type": "welcome",
        "heartbeat_s": 20.0,
        "cameras": [{"name": "load-00000", "snippet": 1, "upload": None}],
    }
)
ORDER = json.dumps(
    {
        "type": "snap",
        "id": "0198c2f1-02c4-7d5a-9a6e-0f7f8c1f5a10",
        "camera": "load-00000",
        "deadline_s": 30.0,
    }
)


async def main(port: int) -> None:
    """Serves for ever."""
    cameras: set[ServerConnection] = set()
    controllers: list[ServerConnection] = []

    async def take(client: ServerConnection) -> None:
        is_camera = json.loads(await client.recv())["role"] == "camera"
        await client.send(WELCOME)
        if is_camera:
            cameras.add(client)
        else:
            controllers.append(client)
        try:
            async for message in client:
                if not is_camera:
                    broadcast(cameras, ORDER)
                elif controllers:
                    await controllers[-1].send(message)
        finally:
            cameras.discard(client)

    # Clients that break off have a traceback each.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    async with serve(take, "127.0.0.1", port, compression=None, backlog=4096, ping_timeout=60):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
