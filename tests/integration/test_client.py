"""The seed's Client against a hub alone."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from objectclassification.client.client import AsyncClient, Client
from objectclassification.client.link import Link, websocket_url
from objectclassification.errors import (
    ConfigurationError,
    Conflict,
    Forbidden,
    ServerUnreachable,
    TimedOut,
    Unauthorized,
)
from objectclassification.hub.server_echo import Server
from objectclassification.messages import CameraOffer, Cancel, Hello, SnapRequest, Welcome
from tests.hubs import ADMIN
from tests.integration.hub_fixtures import (
    WITHIN_S,
    camera,
    connected,
    serving,
    token,
    tokens,
    url,
)
from tests.wire import Wire

LISTENER = Hello(role="listener", instance="l")


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_a_listener_hears_a_snap_by_whoever_it_is(role: str) -> None:
    async with serving() as hub, connected(hub) as cam:
        await camera(cam, "door")
        async with AsyncClient(f"http://127.0.0.1:{hub.port}", f"token-{role}") as client:
            await client.connect(WITHIN_S)
            await hub.runner.snap(SnapRequest(to=("door",)), ADMIN)
            assert await client.wait_for_snap(WITHIN_S) is True


async def test_the_text_snap_is_heard_without_any_camera() -> None:
    async with serving() as hub, connected(hub) as seed:
        async with AsyncClient(url(hub)) as client:
            await client.connect(WITHIN_S)
            await seed.send("snap")
            assert await client.wait_for_snap(WITHIN_S) is True


async def test_no_snap_in_time() -> None:
    async with serving() as hub, AsyncClient(url(hub)) as client:
        await client.connect(WITHIN_S)
        with pytest.raises(TimedOut) as late:
            await client.wait_for_snap(0.05)
        assert late.value.after_s == 0.05


def test_no_server_in_time_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(address) as client, pytest.raises(TimedOut) as late:
        client.wait_for_snap(0.3)
    assert late.value.detail == (
        f"no snap within 0.3 s: no server answers at {address} (Connection refused)"
    )


async def test_snaps_that_came_meanwhile_count_as_one() -> None:
    async with serving() as hub, connected(hub) as seed, connected(hub) as other:
        async with AsyncClient(url(hub)) as client:
            await client.connect(WITHIN_S)
            await seed.send("snap")
            await seed.send("snap")
            assert [await other.recv(), await other.recv()] == ["snap", "snap"]
            assert await client.wait_for_snap(WITHIN_S)
            # Both were sent in one go, so that the second had come when the first was heard.
            with pytest.raises(TimedOut):
                await client.wait_for_snap(0.1)


async def test_a_refused_token_is_final() -> None:
    async with serving() as hub, AsyncClient(f"http://127.0.0.1:{hub.port}", "wrong") as client:
        with pytest.raises(Unauthorized):
            await client.wait_for_snap(WITHIN_S)


async def test_a_client_comes_back_and_says_hello_again() -> None:
    port = _free_port()
    async with AsyncClient(f"http://127.0.0.1:{port}", token("viewer")) as client:
        for _ in range(2):  # it waits for the first server too
            async with Server(port=port, tokens=tokens()) as hub, connected(hub) as seed:
                heard = asyncio.create_task(client.wait_for_snap(WITHIN_S))
                while not heard.done():
                    await seed.send("snap")
                    await asyncio.wait({heard}, timeout=0.05)
                assert await heard is True


async def test_a_revoked_token_ends_a_client() -> None:
    async with serving() as hub, AsyncClient(url(hub, "viewer")) as client:
        await client.connect(WITHIN_S)
        hub.runner.tokens.revoke("token-viewer-id")
        hub.runner.revoke("token-viewer-id")
        with pytest.raises(Unauthorized):
            await client.wait_for_snap(WITHIN_S)


async def test_a_link_gives_up_when_its_patience_is_over() -> None:
    port = _free_port()
    async with Link(f"http://127.0.0.1:{port}", LISTENER, patience_s=0) as link:
        with pytest.raises(ServerUnreachable, match=f"{port}") as gone:
            await link.receive()
        assert gone.value.retryable


async def test_a_link_says_what_the_hub_said_no_to() -> None:
    async with serving() as hub, connected(hub) as cam:
        await camera(cam, "door", instance="one")
        for role, name, error in [("camera-yard", "door", Forbidden), ("admin", "door", Conflict)]:
            hello = Hello(role="camera", instance="two", cameras=(CameraOffer(name),))
            address = f"http://127.0.0.1:{hub.port}"
            async with Link(address, hello, token=f"token-{role}") as link:
                with pytest.raises(error, match="door"):
                    await link.receive()


async def test_a_link_that_was_replaced_does_not_fight_back() -> None:
    async with serving() as hub:
        hello = Hello(role="listener", instance="same")
        async with Link(url(hub), hello) as first, Link(url(hub), hello) as second:
            assert isinstance(await first.receive(), Welcome)
            assert isinstance(await second.receive(), Welcome)
            with pytest.raises(Conflict):
                await first.receive()


async def test_a_link_sends_only_while_it_is_welcome() -> None:
    async with serving() as hub, Link(url(hub), LISTENER) as link:
        with pytest.raises(ServerUnreachable):
            await link.send(Cancel("nothing"))
        async for message in link:
            assert isinstance(message, Welcome)
            break
        await link.send(Cancel("nothing"))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://host:8000", "ws://host:8000/ws"),
        ("https://host", "wss://host/ws"),
        ("ws://host:8765/", "ws://host:8765/ws"),
        ("wss://host/ws?token=secret", "wss://host/ws"),
    ],
)
def test_addresses(given: str, found: str) -> None:
    assert websocket_url(given) == found


def test_what_is_no_address() -> None:
    with pytest.raises(ConfigurationError):
        Client("ftp://host")


@pytest.fixture
def hub_in_a_thread() -> Iterator[tuple[Server, asyncio.AbstractEventLoop]]:
    """A hub beside a test that has no loop of its own."""
    hub, started = Server(port=0, tokens=tokens()), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with hub:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(WITHIN_S)
    yield hub, loop
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_a_script_without_a_loop(
    hub_in_a_thread: tuple[Server, asyncio.AbstractEventLoop],
) -> None:
    hub, loop = hub_in_a_thread

    async def snap() -> None:
        async with connected(hub) as seed:
            await seed.send("snap")

    with Client(f"ws://127.0.0.1:{hub.port}/", token=token("viewer")) as client:
        client.connect(WITHIN_S)
        asyncio.run_coroutine_threadsafe(snap(), loop).result(WITHIN_S)
        assert client.wait_for_snap(WITHIN_S) is True
        with pytest.raises(TimedOut):
            client.wait_for_snap(timeout_s=0.05)
    refused = Client(f"ws://127.0.0.1:{hub.port}/", token="wrong")
    with pytest.raises(Unauthorized):
        refused.wait_for_snap(WITHIN_S)
    refused.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def test_a_half_open_connection_is_found_within_two_heartbeats_by_both() -> None:
    heartbeat_s = 2.0
    loop, noticed = asyncio.get_running_loop(), asyncio.Event()
    async with serving(heartbeat_s=heartbeat_s) as hub:
        hello = Hello(role="camera", instance="far", cameras=(CameraOffer(name="door"),))
        with Wire(hub.port) as wire:
            async with Link(
                wire.url, hello, token=token("admin"), tell=lambda line: noticed.set()
            ) as link:
                assert isinstance(await link.receive(), Welcome)
                listening = asyncio.create_task(link.receive())
                await asyncio.sleep(1.2 * heartbeat_s)  # a ping each way was answered
                assert not noticed.is_set() and hub.runner.cameras()["door"].online
                wire.stall()
                stalled_at = loop.time()
                async with asyncio.timeout(WITHIN_S):
                    while hub.runner.cameras()["door"].online:  # noqa: ASYNC110 - told later
                        await asyncio.sleep(0.02)
                    hub_s = loop.time() - stalled_at
                    await noticed.wait()
                assert max(hub_s, loop.time() - stalled_at) < 2 * heartbeat_s
                assert hub.runner.counts.dropped.silent == 1
                assert "broke" in link.outage.reason
                listening.cancel()
