"""Hostile clients: what a server lets one of them take, and what the honest ones notice of it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import zlib
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from benchmarks.hostile import MIB, HonestPair, attacking, percentile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from objectclassification.hub.admission import Admission
from objectclassification.hub.counts import Counts
from objectclassification.hub.limits import Limits
from objectclassification.hub.pace import Pace
from objectclassification.hub.remote import TrustedProxies
from objectclassification.hub.turns import Turns
from objectclassification.messages import Problem, Welcome
from tests.integration.hub_fixtures import (
    WITHIN_S,
    camera,
    connected,
    hear,
    say,
    serving,
    token,
    url,
)
from tests.serving import WAIT_S, Served, ServeProcess, photo, until

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}Upgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)


def raw(port: int, sends: str = "") -> socket.socket:
    """A connection that is written by hand."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    sock.sendall(sends.encode())
    return sock


def rest_of(sock: socket.socket) -> bytes:
    """What comes until the server ends the connection, however it does."""
    got = b""
    with sock:
        try:
            while piece := sock.recv(65_536):
                got += piece
        except ConnectionResetError:
            pass
    return got


class TestCrowds:
    """Connections: of a token, of an address, of those who have shown no token."""

    def test_a_token_has_its_number_of_connections(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", max_connections_per_token=2) as server:
            mine, other = server.new_token("viewer"), server.new_token("viewer")
            with server.connect(mine), server.connect(mine):
                with pytest.raises(InvalidStatus) as refused, server.connect(mine):
                    pass
                assert refused.value.response.status_code == 429
                assert "this token has too many" in refused.value.response.body.decode()
                with server.connect(other) as socket:
                    assert socket.ping().wait(WAIT_S)
            until(lambda: server.system.runner.connections == 0)
            with server.connect(mine) as socket:
                assert socket.ping().wait(WAIT_S)

    def test_an_address_has_its_number_of_connections(self, tmp_path: Path) -> None:
        settings = {"max_connections_per_address": 1, "trusted_proxies": "127.0.0.1"}
        with Served(tmp_path / "data", **settings) as server:
            address = f"ws://127.0.0.1:{server.port}/ws?token={server.token}"

            async def of(client: str) -> ClientConnection:
                return await connect(address, additional_headers={"X-Forwarded-For": client})

            async def crowd() -> None:
                async with await of("192.0.2.1"), await of("192.0.2.2"), await of("2001:db8::1"):
                    for again in ("192.0.2.1", "2001:db8::2"):  # of the same network
                        with pytest.raises(InvalidStatus) as refused:
                            await of(again)
                        assert refused.value.response.status_code == 429

            asyncio.run(crowd())

    def test_strangers_give_way_to_newer_ones(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", max_strangers_per_address=5) as server:
            old = [raw(server.port, "GET / HTTP/1.1\r\n") for _ in range(5)]
            with server.camera("door") as door:  # a newcomer with a token, HTTP and WebSocket
                until(lambda: server.system.runner.counts.dropped.crowded >= 1)
                more = [raw(server.port) for _ in range(20)]
                until(lambda: server.system.runner.counts.dropped.crowded >= 20)
                assert rest_of(old[0]) == b""
                snap = server.call("POST", "/api/snaps", json={"to": ["door"], "until": "uploaded"})
                assert door.answer().id == snap.json()["snap"]
            for sock in [*old[1:], *more]:
                sock.close()

    def test_who_shows_a_good_token_over_http_is_no_stranger(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", max_strangers_per_address=1) as server:
            ask = "GET /api/cameras HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n"
            with raw(server.port, ask.format(server.token)) as known:
                assert b"200 OK" in known.recv(65_536)
                stranger = raw(server.port, ask.format("wrong"))
                assert b"401" in stranger.recv(65_536)
                with raw(server.port, ask.format("wrong")) as newer:
                    assert b"401" in newer.recv(65_536)
                    assert rest_of(stranger) == b""
                    known.sendall(ask.format(server.token).encode())
                    assert b"200 OK" in known.recv(65_536)

    def test_the_places_of_those_who_left_are_free(self) -> None:
        class Guest:
            def abort(self) -> None:
                raise AssertionError("there is room")

        admission = Admission(Limits(2, 2, 2, 2), Counts(), TrustedProxies())
        for number in range(100):
            known, stranger = Guest(), Guest()
            assert admission.arrive(known, f"192.0.2.{number}")
            assert admission.arrive(stranger, "192.0.2.1")
            assert admission.admit(known, "192.0.2.1", "token") is None
            admission.leave(known)
            admission.leave(stranger)
            assert len(admission) == 0
        admission.most = 0
        assert not admission.arrive(Guest(), "192.0.2.1")


class TestPace:
    """Messages: as many as an honest client could want, and no more."""

    async def test_a_camera_that_reports_5_000_shots_is_not_hit(self) -> None:
        async with serving() as hub, connected(hub) as cam:
            assert isinstance(await camera(cam, "door"), Welcome)
            for number in range(5000):
                for state in ("delivered", "captured"):
                    await say(cam, "shot", snap=f"s{number}", camera="door", state=state)
            await say(cam, "cancel", snap="behind-them")
            problem = await hear(cam)
            assert isinstance(problem, Problem)
            assert problem.re == "behind-them"
            assert hub.runner.counts.limited == 0

    async def test_who_floods_is_told_once_and_read_no_faster(self) -> None:
        async with serving() as hub, connected(hub) as listener:
            hub.runner.limits = Limits(messages_per_s=100, messages_at_once=50)
            async with connected(hub) as flooder:
                loop = asyncio.get_running_loop()
                began = loop.time()
                for number in range(200):
                    await flooder.send(str(number))
                problem = await hear(flooder)
                assert isinstance(problem, Problem)
                assert problem.code == "too_fast"
                heard = [await hear(listener) for _ in range(200)]
                assert heard == [str(number) for number in range(200)]  # nothing is lost
                assert loop.time() - began > 0.4
                assert hub.runner.counts.limited > 0
                pong = await flooder.ping()
                await asyncio.wait_for(pong, WITHIN_S)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(flooder.recv(), 0.05)

    async def test_who_must_go_and_goes_on_sending_is_not_read(self) -> None:
        async with serving() as hub:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            writer.write(HANDSHAKE.format(path=f"/?token={token('admin')}", more="").encode())
            await reader.readuntil(b"\r\n\r\n")
            bad = Frame(Opcode.BINARY, b"x").serialize(mask=True) * 8192
            with pytest.raises(ConnectionError):  # after a moment to read why
                async with asyncio.timeout(WITHIN_S):
                    while True:
                        writer.write(bad)
                        await writer.drain()
            assert hub.runner.counts.received_bytes < MIB

    @pytest.mark.parametrize("is_awaited", [True, False])
    async def test_who_sends_much_has_a_share_while_somebody_waits(self, is_awaited: bool) -> None:
        turns, runs, enough = Turns(lambda: is_awaited), [], asyncio.Event()

        class Reader:
            """One whose every piece takes a turn, a millisecond."""

            def work_on(self) -> None:
                began = time.monotonic()
                while time.monotonic() - began < 0.001:
                    pass
                runs.append((began, time.monotonic()))
                if len(runs) < 20:
                    turns.add(self)
                else:
                    enough.set()

        turns.add(Reader())
        await asyncio.wait_for(enough.wait(), WITHIN_S)
        pauses_s = [later[0] - sooner[1] for sooner, later in pairwise(runs)]
        assert (min(pauses_s) > 0.002) == is_awaited

    def test_a_bucket_fills_again(self) -> None:
        pace = Pace(10, 5)
        assert [pace.take(1, 100.0) for _ in range(5)] == [0] * 5
        assert pace.take(1, 100.0) == pytest.approx(0.1)
        assert pace.take(1, 100.2) == 0
        assert pace.take(1000, 100.2) == pytest.approx(0.5)  # not for ever
        assert pace.take(5, 200.0) == 0


class TestFrames:
    """RFC 6455, and what it leaves open."""

    async def test_compression_is_not_agreed_to_and_its_frames_are_refused(self) -> None:
        async with serving() as hub, connect(url(hub), compression="deflate") as client:
            assert client.response
            assert "Sec-WebSocket-Extensions" not in client.response.headers
            bomb = bytearray(Frame(Opcode.TEXT, zlib.compress(bytes(MIB))).serialize(mask=True))
            bomb[0] |= 0x40  # RSV1: it is compressed (RFC 7692, section 6)
            client.transport.write(bomb)
            with pytest.raises(ConnectionClosed) as closed:
                await hear(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1002

    async def test_half_a_frame_is_no_sign_of_life(self) -> None:
        async with serving(heartbeat_s=0.5) as hub:
            _, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            writer.write(HANDSHAKE.format(path=f"/?token={token('admin')}", more="").encode())
            writer.write(b"\x81\xfe" + struct.pack(">H", 16_000) + bytes(4))
            async with asyncio.timeout(WITHIN_S):
                while not hub.runner.counts.dropped.silent:
                    writer.write(b"x")
                    await asyncio.sleep(0.05)  # it drips
            writer.close()

    async def test_nothing_comes_between_the_fragments_of_a_binary_message(self) -> None:
        async with serving() as hub, connected(hub) as client:
            first = Frame(Opcode.BINARY, b"", fin=False).serialize(mask=True)
            client.transport.write(first + Frame(Opcode.CONT, b"", fin=False).serialize(mask=True))
            await client.send("between two fragments")
            with pytest.raises(ConnectionClosed) as closed:
                while isinstance(await hear(client), Problem):
                    pass  # that it is binary
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1002

    @pytest.mark.parametrize("path", ["/", "/ws"])
    def test_two_hosts_are_refused(self, path: str, tmp_path: Path) -> None:
        with Served(tmp_path / "data") as server:
            more = f"Host: other\r\nAuthorization: Bearer {server.token}\r\n"
            with raw(server.port, HANDSHAKE.format(path=path, more=more)) as sock:
                assert sock.recv(4096).startswith(b"HTTP/1.1 400 ")

    async def test_whoever_is_refused_all_the_time_waits(self) -> None:
        async with serving() as hub:
            hub.runner.limits = Limits(misuses_at_once=1)
            hub.runner.admission = Admission(hub.runner.limits, Counts(), TrustedProxies())
            for _ in range(3):
                async with connected(hub) as client:
                    await client.send("x" * 17_000)
                    with pytest.raises(ConnectionClosed):
                        await client.recv()
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with connected(hub):
                assert loop.time() - began > 0.4


def test_requests_behind_one_another_are_few(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        get = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n"
        stranger = get.format(more="")
        known = get.format(more=f"Authorization: Bearer {server.token}\r\n")
        for one, count in ((known, 8), (stranger, 2)):
            with raw(server.port, one * count) as polite:
                polite.settimeout(WAIT_S)
                got = b""
                while got.count(b"200 OK") < count:
                    got += polite.recv(65_536)
        assert b"400 Bad Request" in rest_of(raw(server.port, known * 1000))
        assert b"400 Bad Request" in rest_of(raw(server.port, stranger * 8))


def test_trailers_are_bounded_and_kept_by_nobody(tmp_path: Path) -> None:
    """They come behind the body, when nobody counts headers any more."""
    head = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    head += "1\r\na\r\n0\r\n"
    with ServeProcess(tmp_path) as server:
        assert b"200 OK" in raw_answer(server.port, f"{head}X: y\r\n\r\n")
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        for _ in range(4):
            with raw(server.port) as sock, suppress(ConnectionError):  # it hangs up
                sock.sendall(head.encode() + b"X: y\r\n" * (10 * MIB // 6) + b"\r\n")
                while sock.recv(65_536):
                    pass
        assert process.memory_info().rss - before < 20 * MIB
        assert server.call("GET", "/healthz").status_code == 200


def raw_answer(port: int, sends: str) -> bytes:
    with raw(port, sends) as sock:
        return sock.recv(65_536)


ATTACKS = (
    "tiny text frames",
    "fragments without end",
    "10,000 silent connections",
    "1,000 slow HTTP headers",
    "requests with a wrong token",
)


def test_the_honest_go_on_and_memory_is_bounded(tmp_path: Path) -> None:
    """Real processes: a server, attackers beside one another, a camera and a controller.

    What each attack costs is measured in ``benchmarks/hostile.py``; here the bounds are generous.
    """
    fast = {"OBJECTCLASSIFICATION_MAX_SNAPS_PER_MINUTE": "1000000"}
    with ServeProcess(tmp_path, **fast) as server:
        theirs = server.new_token("admin")
        process = psutil.Process(server.process.pid)
        with HonestPair(server.url, str(server.token), photo()) as honest:
            quiet = honest.snaps(1.0)
            before = process.memory_info().rss
            for kind in ATTACKS:
                with attacking(kind, server.url, theirs):
                    took = honest.snaps(1.0)
                assert percentile(took, 90) < 1000 + 10 * percentile(quiet, 90), kind
            assert process.memory_info().rss - before < 100 * MIB
        assert server.stop() == 0
