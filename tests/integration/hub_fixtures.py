"""A hub alone on a free port, in its own loop's thread or on the test's loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from objectclassification.auth import TokenRecord, TokenRole, Tokens, hash_token
from objectclassification.hub.server_echo import Server
from objectclassification.messages import HubMessage, decode_hub

WITHIN_S = 10.0
"""Generous: the machine may be busy. Nothing here waits that long when it works."""


def token(role: TokenRole, *cameras: str) -> str:
    """The token that :func:`tokens` makes good for a role."""
    return "-".join(["token", role, *cameras])


def tokens() -> Tokens:
    """One good token for each role, and camera tokens for ``door`` and ``yard``."""
    good = Tokens()
    kinds: list[tuple[TokenRole, tuple[str, ...]]] = [
        ("viewer", ()), ("operator", ()), ("admin", ()),
        ("camera", ("door",)), ("camera", ("yard",)),
    ]  # fmt: skip
    for role, cameras in kinds:
        name = token(role, *cameras)
        good.add(TokenRecord(id=name + "-id", sha256=hash_token(name), role=role, cameras=cameras))
    return good


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Server]:
    """A hub alone on a free port."""
    async with Server(port=0, tokens=settings.pop("tokens", None) or tokens(), **settings) as hub:
        yield hub


def url(hub: Server, role: TokenRole = "admin", *cameras: str, path: str = "/") -> str:
    """The hub's address with a token in it."""
    return f"ws://127.0.0.1:{hub.port}{path}?token={token(role, *cameras)}"


@asynccontextmanager
async def connected(
    hub: Server, role: TokenRole = "admin", *cameras: str
) -> AsyncIterator[ClientConnection]:
    """A plain client."""
    async with connect(url(hub, role, *cameras), compression=None) as client:
        yield client


async def say(client: ClientConnection, type_: str, **fields: Any) -> None:
    """Sends a JSON message."""
    await client.send(json.dumps({"type": type_, **fields}))


async def hear(client: ClientConnection) -> HubMessage | str:
    """The next message."""
    async with asyncio.timeout(WITHIN_S):
        return decode_hub(await client.recv(decode=False))


async def camera(client: ClientConnection, *names: str, instance: str = "pi") -> HubMessage | str:
    """Says hello as a camera program; returns the answer."""
    await say(
        client, "hello", role="camera", instance=instance, cameras=[{"name": n} for n in names]
    )
    return await hear(client)


async def controller(client: ClientConnection, instance: str = "script") -> HubMessage | str:
    """Says hello as a controller; returns the answer."""
    await say(client, "hello", role="controller", instance=instance)
    return await hear(client)
