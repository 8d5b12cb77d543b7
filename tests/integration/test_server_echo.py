"""The hub alone over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from objectclassification.auth import Tokens
from objectclassification.errors import ConfigurationError
from objectclassification.hub.server_echo import Server
from objectclassification.messages import (
    Accepted,
    Done,
    Event,
    Problem,
    Shots,
    SnapOrder,
    SnapRequest,
    Welcome,
)
from objectclassification.receipts import Receipt
from tests.hubs import ADMIN
from tests.integration.hub_fixtures import (
    WITHIN_S,
    camera,
    connected,
    controller,
    hear,
    say,
    serving,
    token,
    tokens,
    url,
)


async def _close_of(client: ClientConnection) -> tuple[int, str]:
    """Reads until the hub closes; returns its code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(WITHIN_S):
            while True:
                await client.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_one_snap_over_real_sockets() -> None:
    async with serving() as hub, connected(hub) as cam, connected(hub) as ctl:
        assert isinstance(await camera(cam, "door"), Welcome)
        await controller(ctl)
        await say(ctl, "snap", to=["door"], context={"serial": "A7"})
        order = await hear(cam)
        assert isinstance(order, SnapOrder)
        await say(cam, "shot", snap=order.id, camera="door", state="delivered")
        await say(cam, "shot", snap=order.id, camera="door", state="captured", freshness="proven")
        accepted, shots, done = await hear(ctl), await hear(ctl), await hear(ctl)
        assert accepted == Accepted(order.id, ("door",))
        assert isinstance(shots, Shots)
        assert shots.shots[0].state == "captured"
        assert isinstance(done, Done)
        assert (done.answered, done.failed, done.missing) == (1, 0, 0)


async def test_a_snap_from_inside_the_process() -> None:
    async with serving() as hub, connected(hub) as cam:
        await camera(cam, "door")
        receipt = await hub.runner.snap(SnapRequest(to=("door",), id="mine"), ADMIN)
        assert not receipt.done
        ending = asyncio.create_task(hub.runner.wait_done("mine"))
        assert isinstance(await hear(cam), SnapOrder)
        await say(cam, "shot", snap="mine", camera="door", state="captured")
        done: Receipt = await ending
        assert done.answered == 1
        again = await hub.runner.snap(SnapRequest(to=("door",), id="mine"), ADMIN)
        assert again == done


async def test_many_clients_that_send_at_the_same_moment() -> None:
    async with serving() as hub, asyncio.TaskGroup() as group:
        cams = [await connect(url(hub)) for _ in range(40)]
        for number, cam in enumerate(cams):
            await camera(cam, f"c{number}", instance=f"i{number}")
        talkers = [await connect(url(hub)) for _ in range(20)]
        for number, talker in enumerate(talkers):
            await controller(talker, instance=f"t{number}")

        async def answer(cam: ClientConnection, name: str) -> None:
            for _ in talkers:
                order = await hear(cam)
                assert isinstance(order, SnapOrder)
                await say(cam, "shot", snap=order.id, camera=name, state="captured")

        async def ask(talker: ClientConnection) -> Done:
            await say(talker, "snap", to=["*"])
            await talker.send("{ not JSON")
            while not isinstance(message := await hear(talker), Done):
                pass
            return message

        answering = [group.create_task(answer(cam, f"c{n}")) for n, cam in enumerate(cams)]
        asking = [group.create_task(ask(talker)) for talker in talkers]
        for done in await asyncio.gather(*asking):
            assert (done.answered, done.failed, done.missing) == (40, 0, 0)
        await asyncio.gather(*answering)
        for client in [*cams, *talkers]:
            await client.close()


async def test_a_slow_reader_does_not_delay_the_others_and_is_dropped() -> None:
    async with serving() as hub, connected(hub) as sender, connected(hub) as quick:
        async with connect(url(hub), max_queue=1, max_size=2**20) as slow:
            # A plain client that never reads: its socket's buffers fill, then the hub's bound.
            slow.transport.pause_reading()
            text = "x" * 16_000
            async with asyncio.timeout(WITHIN_S * 3):
                sent = 0
                while hub.runner.connections == 3:
                    await sender.send(text)
                    assert await quick.recv() == text
                    sent += 1
            assert sent > 2**20 / len(text)
            slow.transport.abort()
        await sender.send("still here")
        assert await hear(quick) == "still here"


async def test_the_same_instance_replaces_a_connection_that_may_be_half_open() -> None:
    async with serving() as hub, connected(hub) as old, connected(hub) as new:
        await camera(old, "door", instance="pi")
        await hub.runner.snap(SnapRequest(to=("door",), id="open"), ADMIN)
        welcome = await camera(new, "door", instance="pi")
        assert isinstance(welcome, Welcome)
        assert [order.id for order in welcome.pending] == ["open"]
        assert await _close_of(old) == (1000, "replaced")


async def test_two_instances_with_one_camera_name() -> None:
    async with serving() as hub, connected(hub) as first, connected(hub) as second:
        await camera(first, "door", instance="one")
        problem = await camera(second, "door", instance="two")
        assert isinstance(problem, Problem)
        assert problem.code == "name_in_use"
        await first.close()
        while isinstance(await camera(second, "door", instance="two"), Problem):
            pass  # the first one's close is on its way


async def test_a_revoked_token_closes_its_connections() -> None:
    async with serving() as hub, connected(hub, "operator") as mine, connected(hub) as other:
        hub.runner.tokens.revoke("token-operator-id")
        hub.runner.revoke("token-operator-id")
        assert await _close_of(mine) == (1008, "the token was revoked")
        with pytest.raises(InvalidStatus):
            await connect(url(hub, "operator"))
        await say(other, "hello", role="listener", instance="l")
        assert isinstance(await hear(other), Welcome)


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("/", {}, 401),
        ("/?token=wrong", {}, 401),
        ("/", {"Authorization": "Bearer wrong"}, 401),
        ("/", {"Authorization": "Basic dG9rZW4="}, 401),
        ("/elsewhere?token=token-admin", {}, 404),
        ("/?token=token-admin", {"Origin": "http://evil.example"}, 403),
        ("/?token=token-admin", {"Origin": "null"}, 403),
        ("/?token=token-admin", {"Origin": "http://127.0.0.1"}, 403),
        ("/?token=token-admin", {"Origin": "http://["}, 403),
    ],
)
async def test_handshakes_that_are_refused(
    address: str, headers: dict[str, str], status: int
) -> None:
    async with serving() as hub:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{hub.port}{address}", additional_headers=headers)
        assert refused.value.response.status_code == status
        assert "token-" not in refused.value.response.body.decode()


async def test_a_path_that_cannot_be_read_is_answered() -> None:
    async with serving() as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(_handshake("127.0.0.1", path="//["))
        async with asyncio.timeout(WITHIN_S):
            assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_handshakes_that_are_taken() -> None:
    async with serving() as hub:
        bearer = {"Authorization": f"Bearer {token('viewer')}"}
        own_page = {"Origin": f"http://127.0.0.1:{hub.port}"}
        for path, headers in [("/", bearer), ("/ws", bearer), ("/ws", bearer | own_page)]:
            address = f"ws://127.0.0.1:{hub.port}{path}"
            async with connect(address, additional_headers=headers) as client:
                await client.ping()
                assert not client.response or not client.response.headers.get(
                    "Sec-WebSocket-Extensions"
                )


async def test_without_tokens_only_this_machines_names_are_served() -> None:
    async with serving(tokens=Tokens(open=True)) as hub:
        async with connect(f"ws://127.0.0.1:{hub.port}/") as client:
            await client.ping()
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(_handshake("rebound.example"))
        assert b"403" in await reader.readline()
        writer.close()
        await writer.wait_closed()


def test_without_tokens_only_loopback_is_listened_on() -> None:
    with pytest.raises(ConfigurationError, match="--no-auth"):
        Server("0.0.0.0", 0, tokens=Tokens(open=True))  # noqa: S104 - it is what is refused


async def test_a_port_in_use_is_one_clear_error() -> None:
    async with serving() as hub:
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{hub.port}: .*in use"):
            await Server(port=hub.port, tokens=tokens()).start()


async def test_fragments_are_one_message() -> None:
    async with serving() as hub, connected(hub) as client:
        hello = json.dumps({"type": "hello", "role": "listener", "instance": "l"})
        await client.send([hello[:5], hello[5:9], hello[9:]])
        assert isinstance(await hear(client), Welcome)


async def test_fragments_are_bounded_together() -> None:
    async with serving() as hub, connected(hub) as client:
        with pytest.raises(ConnectionClosed):
            await client.send(["x" * 6000] * 3)
            await client.recv()
        assert client.close_code == 1009


@pytest.mark.parametrize(
    ("fragment", "code"), [("x", 1008), ("", 1008), ("x" * 100, 1009)], ids=["x", "empty", "long"]
)
async def test_a_message_in_too_many_fragments_ends_the_connection(
    fragment: str, code: int
) -> None:
    async with serving() as hub, connected(hub) as client:
        with pytest.raises(ConnectionClosed):
            await client.send([fragment] * 2000)
            await client.recv()
        assert client.close_code == code


async def test_empty_fragments_are_taken_and_cost_nothing() -> None:
    hello = json.dumps({"type": "hello", "role": "listener", "instance": "l"})
    async with serving() as hub, connected(hub) as client:
        await client.send([hello[:5], *[""] * 1000, hello[5:]])
        assert isinstance(await hear(client), Welcome)


async def test_a_message_of_17_kb_ends_the_connection() -> None:
    async with serving() as hub, connected(hub) as client:
        await client.send("x" * 17_000)
        assert (await _close_of(client))[0] == 1009


async def test_bad_input_is_answered_and_the_connection_stays() -> None:
    async with serving() as hub, connected(hub) as client:
        for frame in ('{"type": "hel', '{"a":' * 3000, b"\x00\x01", "{}"):
            await client.send(frame)
            problem = await hear(client)
            assert isinstance(problem, Problem)
            assert problem.code == "bad_message"
        await say(client, "hello", role="listener", instance="l")
        assert isinstance(await hear(client), Welcome)


async def test_text_that_is_not_utf_8_breaks_rfc_6455() -> None:
    async with serving() as hub, connected(hub) as client:
        await client.send(b"\xff\xfe", text=True)
        assert (await _close_of(client))[0] == 1007


async def test_a_flood_of_bad_messages_is_closed() -> None:
    async with serving() as hub, connected(hub) as client:
        for _ in range(60):
            await client.send("{")
        assert await _close_of(client) == (1008, "too many bad messages")


async def test_the_silent_are_dropped_and_the_others_pinged() -> None:
    async with serving(heartbeat_s=0.5) as hub:
        async with connected(hub) as alive, connected(hub) as ctl:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            writer.write(_handshake(f"127.0.0.1:{hub.port}", path="/?token=token-admin"))
            assert b"101" in await reader.readline()
            # It never answers a ping: a half-open connection, as the hub sees it.
            async with asyncio.timeout(WITHIN_S):
                with pytest.raises(ConnectionResetError):
                    while await reader.read(1000):
                        pass
                    raise ConnectionResetError  # a clean end of the stream will do as well
            writer.close()
            await controller(ctl)
            await alive.send("there")
            await camera(alive, "door")


async def test_a_camera_that_vanishes_is_known_to_be_gone() -> None:
    async with serving() as hub:
        seen: asyncio.Queue[tuple[str, object]] = asyncio.Queue()
        hub.runner.subscribe(lambda event: seen.put_nowait((event.name, event.data.get("camera"))))
        async with connected(hub) as cam:
            await camera(cam, "door")
            assert await asyncio.wait_for(seen.get(), WITHIN_S) == ("connected", "door")
            raw: socket.socket = cam.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            cam.transport.abort()  # a reset, not a close: as a power cut looks after a while
            assert await asyncio.wait_for(seen.get(), WITHIN_S) == ("disconnected", "door")
            assert not hub.runner.cameras()["door"].online


async def test_a_subscriber_that_fails_costs_the_hub_nothing() -> None:
    async with serving() as hub, connected(hub) as cam, connected(hub) as ctl:

        def fail(event: Event) -> None:
            raise RuntimeError(event.name)

        unsubscribe = hub.runner.subscribe(fail)
        await camera(cam, "door")
        await controller(ctl)
        await say(ctl, "snap", to=["door"])
        assert isinstance(await hear(cam), SnapOrder)
        unsubscribe()


async def test_stop_ends_open_snaps_and_closes_with_1012() -> None:
    async with serving() as hub, connected(hub) as cam, connected(hub) as ctl:
        await camera(cam, "door")
        await controller(ctl)
        await say(ctl, "snap", to=["door"])
        assert isinstance(await hear(ctl), Accepted)
        await hub.stop()
        messages = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                messages.append(await hear(ctl))
        assert isinstance(messages[-1], Done)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


def _handshake(host: str, *, path: str = "/") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
