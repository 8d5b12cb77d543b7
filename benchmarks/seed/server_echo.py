"""The seed's Server module: what one client says, all others hear."""

import asyncio
import sys

import websockets
from websockets.asyncio.server import broadcast, serve

CLIENTS: set[websockets.ServerConnection] = set()


async def relay(client: websockets.ServerConnection) -> None:
    """Serves one client."""
    CLIENTS.add(client)
    try:
        async for message in client:
            broadcast(CLIENTS - {client}, message)
    except websockets.ConnectionClosed:
        pass  # it left without a word
    finally:
        CLIENTS.discard(client)


async def main() -> None:
    """Serves until it is ended."""
    async with serve(relay, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
