"""A wire between a program and a server that a test can hold, stall, cut, and have lose answers."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

from tests.serving import WAIT_S

Tap = Callable[[int, bool, bytes], None]


class Wire:
    """Forwards TCP to a server's port; its own methods may be called from any thread.

    Args:
        port: of the server, on loopback.
        tls: the wire's own certificate and key: it is the TLS proxy in front of the server.
        tap: hears every piece: the connection's number, whether it goes to the server, the bytes.

    Attributes:
        port: its own.
        url: what to give to the program instead of the server's.
        heard_bytes: what the program has sent so far.
        held: set while a PUT is kept from the server.
        lost: set once the answer to a PUT was lost.
    """

    def __init__(
        self, port: int, tls: ssl.SSLContext | None = None, tap: Tap = lambda *piece: None
    ) -> None:
        self._server_port = port
        self._tls = tls
        self._tap = tap
        self._numbers = itertools.count(1)
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="wire")
        self._writers: set[asyncio.StreamWriter] = set()
        self._answers_to_lose = 0
        self.heard_bytes = 0
        self.held = threading.Event()
        self.lost = threading.Event()

    def __enter__(self) -> Wire:
        self._thread.start()
        self.port = self._ready.result(WAIT_S)
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)

    def hold_puts(self) -> None:
        """From now on no PUT reaches the server, until :meth:`release`."""
        self._loop.call_soon_threadsafe(self._free.clear)

    def release(self) -> None:
        """Lets the PUTs that were held go on, and all others."""
        self._loop.call_soon_threadsafe(self._free.set)

    def lose_answers(self, number: int) -> None:
        """The server gets the next PUTs, and its answers are lost."""
        self._answers_to_lose = number

    def stall(self) -> None:
        """Nothing comes through any more, and nobody is told: as when a router loses its power."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def cut(self) -> None:
        """Breaks all connections, without a word of farewell; new ones may be made.

        Returns when they are broken; the server may not have noticed yet.
        """
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(WAIT_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._flows = asyncio.Event()
        self._flows.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self._ready.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        self._abort_all()

    async def _cut(self) -> None:
        cut = list(self._writers)
        self._abort_all()
        await asyncio.gather(*(writer.wait_closed() for writer in cut), return_exceptions=True)

    def _abort_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:  # the server is down: so is the wire
            writer.transport.abort()
            return
        self._writers |= {writer, there[1]}
        loses, number = asyncio.Event(), next(self._numbers)
        ways = {
            asyncio.create_task(self._up(reader, there[1], loses, number)),
            asyncio.create_task(self._down(there[0], writer, loses, number)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers -= {writer, there[1]}
            writer.transport.abort()
            there[1].transport.abort()

    async def _up(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        loses: asyncio.Event,
        number: int,
    ) -> None:
        while piece := await reader.read(65536):
            self.heard_bytes += len(piece)
            self._tap(number, True, piece)
            if piece.startswith(b"PUT "):
                if not self._free.is_set():
                    self.held.set()
                    await self._free.wait()
                if self._answers_to_lose:
                    self._answers_to_lose -= 1
                    loses.set()
            await self._flows.wait()
            writer.write(piece)
            await writer.drain()

    async def _down(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        loses: asyncio.Event,
        number: int,
    ) -> None:
        while piece := await reader.read(65536):
            self._tap(number, False, piece)
            if loses.is_set():
                self.lost.set()
                return
            await self._flows.wait()
            writer.write(piece)
            await writer.drain()
