"""The seed's client: connect, back off, listen; ``wait_for_snap()`` returns ``True``."""

from __future__ import annotations

import asyncio
import platform
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from uuid_utils import uuid7

from objectclassification import __version__
from objectclassification.client.link import Link
from objectclassification.errors import TimedOut
from objectclassification.messages import Event, Hello, HubMessage, Welcome


class AsyncClient:
    """Hears every snap, on the running loop.

    ::

        async with AsyncClient(url, token=token) as client:
            await client.wait_for_snap()

    Args:
        url: ``http(s)://`` or ``ws(s)://`` address of a server or a hub alone; it may hold a
            ``?token=``.
        token: any good token.
        ca: certificates to trust instead of the system's.

    Raises:
        ConfigurationError: the address or the certificates cannot be used.
    """

    def __init__(self, url: str, token: str | None = None, *, ca: Path | None = None) -> None:
        hello = Hello(
            role="listener",
            instance=str(uuid7()),
            version=__version__,
            agent=f"{platform.system()} {platform.machine()}",
        )
        self._link = Link(url, hello, token=token, ca=ca)
        self._listening: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def connect(self, timeout_s: float | None = None) -> None:
        """Waits until the hub has welcomed this client: from then on it hears every snap.

        Raises:
            TimedOut: it took longer than ``timeout_s``.
            Unauthorized: the token is not good.
        """
        await self._wait(self._connected, timeout_s, "no connection")

    async def wait_for_snap(self, timeout_s: float | None = None) -> bool:
        """Returns True once a snap has been received, over as many connections as it takes.

        Snaps that came since the last call count, together, as one.

        Raises:
            TimedOut: none came within ``timeout_s``; its detail says why there is no connection.
            Unauthorized: the token is not good.
        """
        await self._wait(self._heard, timeout_s, "no snap")
        self._heard.clear()
        return True

    async def _listen(self) -> None:
        async with self._link as link:
            async for message in link:
                if isinstance(message, Welcome):
                    self._connected.set()
                elif _is_snap(message):
                    self._heard.set()

    async def _wait(self, event: asyncio.Event, timeout_s: float | None, what: str) -> None:
        if self._listening is None:
            raise RuntimeError("use it as `async with AsyncClient(…) as client`")
        if event.is_set():
            return
        happened = asyncio.create_task(event.wait())
        try:
            await asyncio.wait(
                {happened, self._listening},
                timeout=timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            happened.cancel()
        if event.is_set():
            return
        if self._listening.done():
            self._listening.result()  # raises why it does not listen any more
        why = f": {self._link.outage.reason}" if self._link.outage.reason else ""
        raise TimedOut(f"{what} within {timeout_s:g} s{why}", after_s=timeout_s or 0.0)


class Client:
    """Hears every snap; for scripts without a loop. It listens in a thread of its own.

    ::

        client = Client("http://23.254.176.188:8765", token="…")
        if client.wait_for_snap():
            ...

    Args:
        url: ``http(s)://`` or ``ws(s)://`` address of a server or a hub alone; it may hold a
            ``?token=``.
        token: any good token.
        ca: certificates to trust instead of the system's.

    Raises:
        ConfigurationError: the address or the certificates cannot be used.
    """

    def __init__(self, url: str, token: str | None = None, *, ca: Path | None = None) -> None:
        self._client = AsyncClient(url, token, ca=ca)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def connect(self, timeout_s: float | None = None) -> None:
        """Waits until the hub has welcomed this client: from then on it hears every snap.

        Raises:
            TimedOut: it took longer than ``timeout_s``.
            Unauthorized: the token is not good.
        """
        loop = self._start()
        asyncio.run_coroutine_threadsafe(self._client.connect(timeout_s), loop).result()

    def wait_for_snap(self, timeout_s: float | None = None) -> bool:
        """Returns True once a snap has been received; connects first if it was not yet.

        Snaps that came since the last call count, together, as one.

        Raises:
            TimedOut: none came within ``timeout_s``; its detail says why there is no connection.
            Unauthorized: the token is not good.
        """
        loop = self._start()
        waiting = asyncio.run_coroutine_threadsafe(self._client.wait_for_snap(timeout_s), loop)
        try:
            return waiting.result()
        except KeyboardInterrupt:
            waiting.cancel()
            raise

    def close(self) -> None:
        """Ends the connection and the thread."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(self._stopped.set)
            thread.join()

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            started: threading.Event = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._run(started)),
                name="objectclassification-client",
                daemon=True,
            )
            self._thread.start()
            started.wait()
        assert self._loop is not None  # noqa: S101 - set before `started`
        return self._loop

    async def _run(self, started: threading.Event) -> None:
        self._stopped = asyncio.Event()
        async with self._client:
            self._loop = asyncio.get_running_loop()
            started.set()
            await self._stopped.wait()


def _is_snap(message: HubMessage) -> bool:
    """Whether somebody asked for a picture; one that a camera took by itself is none."""
    return (
        isinstance(message, Event)
        and message.topic == "snaps"
        and message.name in ("accepted", "relayed")
        and message.data.get("origin") != "camera"
    )
