"""The same connection class behind uvicorn's HTTP protocols."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from objectclassification.auth import Identity, Tokens
from objectclassification.hub.hub import Hub
from objectclassification.hub.recorder import MemoryRecorder
from objectclassification.hub.runner import HubRunner
from objectclassification.hub.upgraded import uvicorn_protocol
from objectclassification.messages import SnapOrder, Welcome
from tests.integration.hub_fixtures import WITHIN_S, camera, hear, tokens


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"http"})


@asynccontextmanager
async def _uvicorn(
    http: Literal["httptools", "h11"], runner: HubRunner | None = None
) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    runner = runner or HubRunner(Hub(), MemoryRecorder(), tokens())
    await runner.start()
    config = uvicorn.Config(
        _app,
        http=http,
        ws=uvicorn_protocol(runner),
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"ws://127.0.0.1:{port}", server
    finally:
        server.should_exit = True
        await serving
        await runner.stop()


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_one_port_for_http_and_the_hub(http: Literal["httptools", "h11"]) -> None:
    async with _uvicorn(http) as (base, server):
        for path in ("/", "/ws"):
            async with (
                connect(f"{base}{path}?token=token-admin") as cam,
                connect(f"{base}{path}?token=token-admin") as plain,
            ):
                assert isinstance(await camera(cam, "door"), Welcome)
                assert len(server.server_state.connections) == 2
                await plain.send("snap")
                assert isinstance(await hear(cam), SnapOrder)
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{base}/")
        assert refused.value.response.status_code == 401


async def test_uvicorn_closes_connections_with_1012_when_it_stops() -> None:
    async with _uvicorn("httptools") as (base, server):
        async with connect(f"{base}/?token=token-admin") as client:
            server.should_exit = True
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(client.recv(), WITHIN_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_a_handshake_that_cannot_be_read_leaves_nothing_behind(
    http: Literal["httptools", "h11"],
) -> None:
    async with _uvicorn(http) as (base, server):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{base}/?token=token-admin", additional_headers={"Origin": "http://["})
        assert refused.value.response.status_code == 403
        await _emptied(server)


class _Broken(Tokens):
    """Stands for any bug of ours behind a handshake."""

    def authenticate(self, token: str | None) -> Identity:
        raise ZeroDivisionError


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_a_bug_in_a_handshake_costs_that_client_only(
    http: Literal["httptools", "h11"],
) -> None:
    runner = HubRunner(Hub(), MemoryRecorder(), _Broken())
    async with _uvicorn(http, runner) as (base, server):
        with pytest.raises((InvalidMessage, ConnectionError)):
            await connect(f"{base}/?token=token-admin")
        await _emptied(server)
        assert runner.connections == 0


async def _emptied(server: uvicorn.Server) -> None:
    async with asyncio.timeout(WITHIN_S):
        while server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
