"""Autobahn's cases (RFC 6455, told by kosoku) against the hub's own connections.

They expect a server that sends back what it gets, and the hub relays to *others*. So they are run
twice: against the hub's connection class with a hub behind it that echoes, where all of them apply,
and against the real programs with a client beside it that says again what the hub relayed to it,
where the hub's own bounds leave out binary messages and long ones.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from objectclassification.auth import Tokens
from objectclassification.hub.connection import Connection
from objectclassification.hub.frames import text_frame
from objectclassification.hub.hub import Hub
from objectclassification.hub.limits import Limits
from objectclassification.hub.recorder import MemoryRecorder
from objectclassification.hub.runner import HubRunner
from tests.serving import HubProcess, ServeProcess

KNOWN = {"7.1.5"}
"""A verdict on ``websockets`` itself: a close in the middle of a message is answered with 1002."""
COMPRESSION = ("12.*", "13.*")
TOO_LONG_OR_BINARY = ("1.1.6", "1.1.7", "1.1.8", "1.2.*", "9.*", "10.*")
SLOW_ONES = ("5.6", "5.7", "5.8", "5.19", "5.20", "6.4.*")
"""They wait for seconds, in which the hub's own pings come between, which no case expects."""
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")
LONGEST_BYTES = 2**24
"""Of case 9.1.6."""
WITHIN_S = 120.0


class EchoRunner(HubRunner):
    """Everything a hub's runner does, but messages go back to who sent them."""

    def received(self, connection: Connection, message: bytes) -> None:
        connection.send(text_frame(message))

    def bound(self, connection: Connection) -> int:
        return 2 * LONGEST_BYTES


class EchoConnection(Connection):
    """A hub's connection that, for the cases' sake, knows what is in a binary message."""

    __slots__ = ("_binary",)

    def __init__(self, runner: HubRunner) -> None:
        super().__init__(runner, max_message_bytes=LONGEST_BYTES)
        self._binary: list[bytes] | None = None

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self._binary = []
        if self._binary is None or frame.opcode not in (Opcode.BINARY, Opcode.CONT):
            super()._take_frame(frame)
            return
        self._binary.append(bytes(frame.data))
        if frame.fin:
            whole, self._binary = b"".join(self._binary), None
            self.send(Frame(Opcode.BINARY, whole).serialize(mask=False))


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    as_many_as_they_like = Limits(messages_at_once=10**9, misuses_at_once=10**9)
    runner = EchoRunner(Hub(), MemoryRecorder(), Tokens(open=True), limits=as_many_as_they_like)
    await runner.start()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: EchoConnection(runner), "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        listening.close()
        await runner.stop()


@asynccontextmanager
async def said_again(url: str) -> AsyncIterator[None]:
    """A plain client that sends what it hears, which the hub relays to the others."""

    async def say_again() -> None:
        async for message in client:
            await client.send(message)

    async with connect(url, compression=None) as client:
        saying = asyncio.create_task(say_again())
        yield
        saying.cancel()
        with suppress(asyncio.CancelledError):
            await saying


async def report(
    url: str, folder: Path, *, only: Iterable[str] = (), without: Iterable[str] = (), at_once: int
) -> dict[str, Any]:
    """Runs cases; returns what their report says of each."""
    chosen = [word for case in only for word in ("-i", case)]
    chosen += [word for case in without for word in ("-x", case)]
    program = Path(sys.executable).with_name("kosoku")
    running = await asyncio.create_subprocess_exec(
        program, "-m", "fuzzingclient", url, "-p", str(at_once), "-o", folder, *chosen,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WITHIN_S):
            said, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode in (0, 1), said  # 1: a case failed
    agents: dict[str, dict[str, Any]] = json.loads((folder / "index.json").read_text())
    assert len(agents) == 1, agents.keys()
    return agents.popitem()[1]


def failed(cases: dict[str, Any]) -> dict[str, Any]:
    return {
        case: said
        for case, said in cases.items()
        if said["behavior"] not in PASSED or said["behaviorClose"] not in PASSED
    }


async def always_failed(url: str, folder: Path, cases: dict[str, Any]) -> set[str]:
    """Which cases fail by themselves, too.

    What a case did not wait for may be relayed into the next one; and they wait for a second, which
    is little on a machine that does more than this.
    """
    bad = failed(cases)
    for case in bad.keys() - KNOWN:
        for number in range(3):
            again = await report(url, folder / f"{case}-{number}", only=[case], at_once=1)
            if not failed(again):
                del bad[case]
                break
    return set(bad)


async def test_the_connection_class(tmp_path: Path) -> None:
    async with echoing() as url:
        cases = await report(url, tmp_path / "all", without=COMPRESSION, at_once=8)
        bad = await always_failed(url, tmp_path, cases)
    assert len(cases) == 301
    assert bad == KNOWN, failed(cases)


async def test_compression_is_refused(tmp_path: Path) -> None:
    async with echoing() as url:
        cases = await report(url, tmp_path, only=("12.1.*", "13.*"), at_once=8)
    assert {(said["behavior"], said["behaviorClose"]) for said in cases.values()} == {
        ("UNIMPLEMENTED", "OK")
    }


@pytest.mark.parametrize("program", ["serve", "server"])
async def test_the_real_programs(program: str, tmp_path: Path) -> None:
    with ServeProcess(tmp_path) if program == "serve" else HubProcess(tmp_path) as server:
        url = f"ws://127.0.0.1:{server.port}/?token={server.token}"
        async with said_again(url):
            left_out = (*COMPRESSION, *TOO_LONG_OR_BINARY, *SLOW_ONES)
            cases = await report(url, tmp_path / "all", without=left_out, at_once=1)
            bad = await always_failed(url, tmp_path, cases)
    assert len(cases) > 200
    assert bad == KNOWN, failed(cases)
